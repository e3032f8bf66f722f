"""Workers as Fargate tasks: what is asked of ECS, and what each of its answers becomes. ECS's answers are planted."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

import pytest
from botocore.stub import ANY

from matinee.backends.aws.launcher import SPOT_PAUSE_S, EcsLauncher
from matinee.errors import BackendError, UnansweredError
from matinee.runs import Slot
from matinee.settings import LaunchSettings
from support.wire import Wire

NOW = 1_800_000_000.0
ARN = "arn:aws:ecs:eu-central-1:000000000000:task/app/0123"
SETTINGS = LaunchSettings("app", ("subnet-a", "subnet-b"), ("sg-1",))
LISTED = {"cluster": "app", "startedBy": "token"}
ON_DEMAND = LaunchSettings("app", ("subnet-a", "subnet-b"), ("sg-1",), spot=False)


def slot(handle="", token="token", **more):
    return Slot("plan", 1, token, "hash", **{"taken_at": NOW - 3600, **more}, handle=handle)


@pytest.fixture
def make(session):
    def launcher(settings=ON_DEMAND, **more):
        return EcsLauncher(session, settings, lambda name: f"app-{name}:7", clock=lambda: NOW, **more)

    return launcher


def request(provider="FARGATE"):
    told = {"MATINEE_PREDICTOR": "plan", "MATINEE_SLOT_TOKEN": "token", "MATINEE_SLOT_NUMBER": "1"}
    return {
        "cluster": "app",
        "taskDefinition": "app-plan:7",
        "count": 1,
        "clientToken": "token",
        "startedBy": "token",
        "group": "matinee:plan",
        "capacityProviderStrategy": [{"capacityProvider": provider, "weight": 1}],
        "networkConfiguration": {
            "awsvpcConfiguration": {
                "subnets": ["subnet-a", "subnet-b"],
                "securityGroups": ["sg-1"],
                "assignPublicIp": "ENABLED",
            }
        },
        "overrides": {
            "containerOverrides": [
                {"name": "worker", "environment": [{"name": n, "value": v} for n, v in told.items()]}
            ]
        },
        "propagateTags": "TASK_DEFINITION",
    }


def started(stub, provider="FARGATE"):
    stub("ecs").add_response("run_task", {"tasks": [{"taskArn": ARN}], "failures": []}, request(provider))


def interrupted(stub, *tasks):
    """Have ECS say which workers of the predictor have stopped."""
    listed = {"cluster": "app", "family": "app-plan", "desiredStatus": "STOPPED"}
    stub("ecs").add_response("list_tasks", {"taskArns": [ARN for _ in tasks]}, listed)
    if tasks:
        stub("ecs").add_response("describe_tasks", {"tasks": [{"taskArn": ARN, **task} for task in tasks]})


def refused(stub, reason, detail="", provider="FARGATE"):
    failure = {"arn": "arn:of:nothing", "reason": reason, "detail": detail}
    stub("ecs").add_response("run_task", {"tasks": [], "failures": [failure]}, request(provider))


# --- launch


def test_a_token_is_the_client_token_of_one_task_in_any_of_several_subnets(make, stub):
    started(stub)
    assert make().launch(slot()) == ARN


def test_correction_11_a_worker_is_told_its_slot_and_no_secret(make, stub):
    started(stub)
    make().launch(slot())  # the request is compared as a whole: `overrides` names three variables


def test_a_token_that_has_a_task_by_another_request_is_that_task(make, stub):
    stub("ecs").add_client_error(
        "run_task", "ConflictException", "in use", modeled_fields={"resourceIds": [ARN]}, expected_params=request()
    )
    assert make().launch(slot()) == ARN


def test_a_token_in_use_of_which_no_task_is_named_is_asked_for_by_who_started_it(make, stub):
    stub("ecs").add_client_error("run_task", "ConflictException", "in use", expected_params=request())
    stub("ecs").add_response("list_tasks", {"taskArns": [ARN]}, {**LISTED, "desiredStatus": "RUNNING"})
    assert make().launch(slot()) == ARN


@pytest.mark.parametrize(
    "fault",
    [
        {"code": "ServerException", "status": 500},
        {"code": "ServiceUnavailableException", "status": 503},
        {"code": "ThrottlingException", "status": 400, "meta": {"RetryAttempts": 4}},  # one of them may have been heard
    ],
    ids=lambda fault: fault["code"],
)
def test_an_answer_that_leaves_open_whether_a_task_started_is_said_to_do_so(make, stub, fault):
    stub("ecs").add_client_error(
        "run_task", fault["code"], "no", fault["status"], response_meta=fault.get("meta"), expected_params=request()
    )
    with pytest.raises(UnansweredError, match="plan"):
        make().launch(slot())


def test_no_answer_leaves_open_whether_a_task_started_and_the_token_tells_when_asked_again(make, session):
    wire = Wire(session.client("ecs"))
    wire.cut("RunTask", times=5)
    with pytest.raises(UnansweredError, match="broke"):
        make().launch(slot())
    wire.answer("RunTask", 200, json.dumps({"tasks": [{"taskArn": ARN}], "failures": []}).encode())
    assert make().launch(slot()) == ARN
    assert {sent.body["clientToken"] for sent in wire.sent} == {"token"}


def test_a_refusal_leaves_nothing_open(make, stub):
    refused(stub, "Capacity is unavailable at this time.")
    with pytest.raises(BackendError) as caught:
        make().launch(slot())
    assert not isinstance(caught.value, UnansweredError)


def test_correction_6_spot_first_then_on_demand_under_the_same_token(make, stub):
    interrupted(stub)
    refused(stub, "Capacity is unavailable at this time.", provider="FARGATE_SPOT")
    started(stub, "FARGATE")
    assert make(SETTINGS).launch(slot()) == ARN


def test_correction_6_after_spot_had_no_capacity_the_next_worker_is_on_demand_at_once(make, stub):
    interrupted(stub)
    refused(stub, "Capacity is unavailable at this time.", provider="FARGATE_SPOT")
    stub("ecs").add_client_error("run_task", "ConflictException", "settling", expected_params=request("FARGATE"))
    for status in ("RUNNING", "STOPPED"):
        stub("ecs").add_response("list_tasks", {"taskArns": []}, {**LISTED, "desiredStatus": status})
    launcher = make(SETTINGS)
    with pytest.raises(BackendError, match="another token"):
        launcher.launch(slot())
    started(stub, "FARGATE")
    assert launcher.launch(slot()) == ARN


def test_correction_6_after_an_interruption_the_next_worker_is_on_demand(make, stub):
    described(stub, {"lastStatus": "STOPPED", "stopCode": "SpotInterruption"})
    started(stub, "FARGATE")
    launcher = make(SETTINGS)
    assert launcher.status([slot(ARN)])["token"].reason == "AWS took its Spot capacity back"
    assert launcher.launch(slot()) == ARN


LOST = {"lastStatus": "DEACTIVATING", "stopCode": "SpotInterruption"}


def test_correction_6_an_interruption_is_known_to_a_dispatcher_that_has_not_seen_it(make, stub):
    interrupted(stub, LOST)
    started(stub, "FARGATE")
    started(stub, "FARGATE")
    launcher = make(SETTINGS)
    assert launcher.launch(slot()) == ARN, "its worker gave the slot up before anybody looked at its task"
    assert launcher.launch(slot()) == ARN, "and ECS is not asked again for a while"


@pytest.mark.parametrize(
    "task",
    [
        {**LOST, "stoppingAt": datetime.fromtimestamp(NOW - SPOT_PAUSE_S - 1, UTC)},
        {"lastStatus": "STOPPED", "stopCode": "EssentialContainerExited"},
    ],
    ids=["long ago", "by itself"],
)
def test_a_worker_that_ended_otherwise_is_no_reason_to_leave_spot(make, stub, task):
    interrupted(stub, task)
    started(stub, "FARGATE_SPOT")
    assert make(SETTINGS).launch(slot()) == ARN


def test_who_may_not_look_for_interruptions_starts_all_the_same(make, stub):
    stub("ecs").add_client_error("list_tasks", "AccessDeniedException")
    started(stub, "FARGATE_SPOT")
    assert make(SETTINGS).launch(slot()) == ARN


def test_a_worker_in_private_subnets_gets_no_public_address(make, stub):
    asked = request()
    asked["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"] = "DISABLED"
    stub("ecs").add_response("run_task", {"tasks": [{"taskArn": ARN}], "failures": []}, asked)
    assert make(ON_DEMAND._replace(public_ip=False)).launch(slot()) == ARN


@pytest.mark.parametrize(
    ("reason", "detail", "said"),
    [
        ("Capacity is unavailable at this time. Please try again later", "", "no Fargate capacity"),
        ("RESOURCE:MEMORY", "", "no room"),
        ("RESOURCE:ENI", "", "no room"),
        ("AGENT", "", "no room"),
        ("ATTRIBUTE", "", "no room"),
        ("You've reached the limit on the number of vCPUs you can run concurrently", "", "vCPU quota"),
        ("SOMETHING_NEW", "of 2031", "ECS says SOMETHING_NEW of 2031"),
        ("", "", "did not say why"),
    ],
)
def test_an_answer_200_without_a_task_says_why_the_run_stays_queued(make, stub, caplog, reason, detail, said):
    refused(stub, reason, detail)
    with caplog.at_level(logging.WARNING, "matinee.aws"), pytest.raises(BackendError, match=said) as caught:
        make().launch(slot())
    assert "plan" in caught.value.message
    assert caught.value.hint
    line = json.loads(caplog.records[0].message)
    assert (line["action"], line["status"]) == ("ecs:RunTask", 200)


@pytest.mark.parametrize(
    ("code", "text", "said", "hint"),
    [
        ("ClientException", "You've reached the limit on the number of vCPUs you can run", "quota", "Service Quotas"),
        ("ClientException", "TaskDefinition is inactive", "task definition does not exist", "Deploy"),
        ("ClientException", "TaskDefinition not found.", "task definition does not exist", "Deploy"),
        (
            "InvalidParameterException",
            "No Fargate configuration exists for given",
            "no task of this CPU",
            "pair",
        ),
        ("InvalidParameterException", "Unable to assume the service linked role.", "service-linked role", "aws iam"),
        ("InvalidParameterException", "The subnet ID 'subnet-a' does not exist", "subnets", "network"),
        ("ClusterNotFoundException", "Cluster not found.", "does not exist", "Deploy"),
        ("ServerException", "Service Unavailable", "the service itself failed", "tried again"),
        ("BlockedException", "Your account was blocked", "blocked", "AWS Support"),
        ("ThrottlingException", "Rate exceeded", "asked too often", "Service Quotas"),
        (
            "AccessDeniedException",
            "User: x is not authorized to perform: ecs:RunTask on resource: arn:aws:ecs:e:0:task-definition/app-plan:7",
            "ecs:RunTask is not allowed",
            "Allow ecs:RunTask on arn:aws:ecs",
        ),
        (
            "AccessDeniedException",
            "User: x is not authorized to perform: iam:PassRole on resource: arn:aws:iam::0:role/app-plan",
            "iam:PassRole is not allowed",
            "Allow iam:PassRole on arn:aws:iam::0:role/app-plan",
        ),
    ],
)
def test_what_run_task_refuses_is_told_in_plain_words_and_logged(make, stub, caplog, code, text, said, hint):
    stub("ecs").add_client_error("run_task", code, text, expected_params=request())
    with caplog.at_level(logging.WARNING, "matinee.aws"), pytest.raises(BackendError, match=said) as caught:
        make().launch(slot())
    assert hint in caught.value.hint
    assert [json.loads(record.message)["code"] for record in caplog.records] == [code]


def test_settings_longer_than_ecs_takes_are_refused_before_the_call(make):
    with pytest.raises(BackendError, match="8,192"):
        make(environment={"MATINEE_LONG": "x" * 8192}).launch(slot())


# --- status


def described(stub, *tasks, missing=()):
    stub("ecs").add_response(
        "describe_tasks",
        {
            "tasks": [{"taskArn": ARN, **task} for task in tasks],
            "failures": [{"arn": arn, "reason": "MISSING"} for arn in missing],
        },
        {"cluster": "app", "tasks": ANY},
    )


@pytest.mark.parametrize("status", ["PROVISIONING", "PENDING", "ACTIVATING", "RUNNING", "DEACTIVATING", "STOPPING"])
def test_a_task_that_has_not_stopped_has_not_ended(make, stub, status):
    described(stub, {"lastStatus": status})
    assert not make().status([slot(ARN)])["token"].ended


def stopped(text="", code="EssentialContainerExited", **container):
    return {
        "lastStatus": "STOPPED",
        "stopCode": code,
        "stoppedReason": text,
        "containers": [{"name": "sidecar", "exitCode": 0}, {"name": "worker", **container}],
    }


PULL = "CannotPullContainerError: pull image manifest has been retried 1 time(s): "


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (stopped(exitCode=137), "out of memory"),
        (stopped(exitCode=137, reason="OutOfMemoryError: Container killed due to memory usage"), "out of memory"),
        (stopped(exitCode=3), "exit code 3"),
        (stopped(exitCode=143), "told to end"),
        (stopped("Matinee told it to end", "UserInitiated", exitCode=137), "told to end"),
        (stopped("Your Spot Task was interrupted.", "SpotInterruption", exitCode=137), "Spot capacity"),
        (stopped(PULL + "repo:1: not found", "TaskFailedToStart"), "does not exist any more"),
        (stopped(PULL + "403 Forbidden", "TaskFailedToStart"), "ecr:BatchGetImage"),
        (stopped(PULL + "no matching platform", "TaskFailedToStart"), "processor architecture"),
        (stopped(PULL + "dial tcp 1.2.3.4:443: i/o timeout", "TaskFailedToStart"), "public address"),
        (stopped("ResourceInitializationError: unable to pull secrets: ssm", "TaskFailedToStart"), "ssm:GetParameters"),
        (stopped("ResourceInitializationError: failed to validate awslogs", "TaskFailedToStart"), "logs:Create"),
        (stopped("Capacity is unavailable at this time", "TaskFailedToStart"), "no Fargate capacity"),
        (stopped("Something of 2031", "TaskFailedToStart"), "Something of 2031"),
        ({"lastStatus": "STOPPED"}, "does not say why"),
    ],
)
def test_the_end_of_a_task_is_told_in_plain_words(make, stub, task, said):
    described(stub, task)
    status = make().status([slot(ARN)])["token"]
    assert status.ended
    assert said in status.reason


@pytest.mark.parametrize(
    ("task", "passes"),
    [
        ({"lastStatus": "STOPPED", "stopCode": "SpotInterruption"}, True),
        ({"lastStatus": "STOPPED", "stopCode": "UserInitiated"}, True),
        ({"lastStatus": "STOPPED", "stoppedReason": "Capacity is unavailable at this time"}, True),
        ({"lastStatus": "STOPPED", "containers": [{"name": "worker", "exitCode": 143}]}, True),
        ({"lastStatus": "STOPPED", "containers": [{"name": "worker", "exitCode": 1}]}, False),
        ({"lastStatus": "STOPPED", "containers": [{"name": "worker", "exitCode": 137}]}, False),
        ({"lastStatus": "STOPPED", "stopCode": "TaskFailedToStart", "stoppedReason": PULL + "not found"}, False),
    ],
)
def test_an_end_of_aws_s_own_making_passes_and_one_of_the_app_s_does_not(make, stub, task, passes):
    described(stub, task)
    assert make().status([slot(ARN)])["token"].passes is passes


@pytest.mark.parametrize(
    ("taken_s_ago", "renewed_s_ago", "ended"),
    [(3600, 10, False), (3600, 3000, True), (10, None, False), (3600, None, True)],
)
def test_a_task_not_found_has_ended_only_when_its_slot_is_quiet(make, stub, taken_s_ago, renewed_s_ago, ended):
    described(stub, missing=[ARN])
    renewed_at = 0.0 if renewed_s_ago is None else NOW - renewed_s_ago
    quiet = slot(ARN, taken_at=NOW - taken_s_ago, renewed_at=renewed_at)
    assert make().status([quiet])["token"].ended is ended


def test_tasks_are_described_by_the_hundred(make, stub):
    slots = [slot(f"{ARN}{n:03}", token=str(n)) for n in range(250)]
    for start in range(0, 250, 100):
        arns = [f"{ARN}{n:03}" for n in range(start, min(250, start + 100))]
        tasks = [{"taskArn": arn, "lastStatus": "RUNNING"} for arn in arns]
        stub("ecs").add_response("describe_tasks", {"tasks": tasks}, {"cluster": "app", "tasks": arns})
    statuses = make().status(slots)
    assert len(statuses) == 250
    assert not any(status.ended for status in statuses.values())


def test_a_handle_that_is_no_task_was_never_started_and_spoils_nothing(make, stub):
    described(stub, {"lastStatus": "RUNNING"})
    statuses = make().status([slot(ARN), slot("nowhere", token="never")])
    assert {token: status.ended for token, status in statuses.items()} == {"token": False, "never": True}
    assert make().status([]) == {}


# --- stop


def test_stop_asks_the_task_to_end_and_one_that_is_gone_is_no_error(make, stub):
    asked = {"cluster": "app", "task": ARN, "reason": ANY}
    stub("ecs").add_response("stop_task", {"task": {"taskArn": ARN}}, asked)
    stub("ecs").add_client_error(
        "stop_task", "InvalidParameterException", "The referenced task was not found.", expected_params=asked
    )
    make().stop(slot(ARN))
    make().stop(slot(ARN))
    make().stop(slot("nowhere"))


def test_a_slot_whose_dispatcher_died_is_stopped_by_its_token(make, stub):
    asked = {"cluster": "app", "startedBy": "token", "desiredStatus": "RUNNING"}
    stub("ecs").add_response("list_tasks", {"taskArns": [ARN]}, asked)
    stub("ecs").add_response("stop_task", {}, {"cluster": "app", "task": ARN, "reason": ANY})
    make().stop(slot())


def test_a_stop_that_is_refused_names_the_permission(make, stub):
    stub("ecs").add_client_error("stop_task", "AccessDeniedException", "no")
    with pytest.raises(BackendError, match="ecs:StopTask is not allowed"):
        make().stop(slot(ARN))
