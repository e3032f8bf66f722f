"""Workers with a GPU as jobs of AWS Batch, and which launcher a predictor gets. AWS's answers are planted."""

from __future__ import annotations

import pytest
from botocore.exceptions import ReadTimeoutError
from botocore.stub import ANY

from matinee.backends.aws.launcher import AwsLauncher, BatchLauncher
from matinee.errors import BackendError, UnansweredError
from matinee.manifest import ComponentManifest, PredictorManifest, Release, Resources
from matinee.runs import Slot
from matinee.settings import LaunchSettings

NOW = 1_800_000_000.0
SETTINGS = LaunchSettings("app", ("subnet-a",), ("sg-1",), "gpu-queue", spot=False)
ARN = "arn:aws:ecs:eu-central-1:000000000000:task/app/0123"


def slot(handle="", token="token", predictor="train", **more):
    return Slot(predictor, 0, token, "hash", **{"taken_at": NOW - 3600, **more}, handle=handle)


@pytest.fixture
def launcher(session):
    return BatchLauncher(session, SETTINGS, lambda name: f"app-{name}:3", clock=lambda: NOW)


def listed(stub, *jobs, token=None, **asked):
    answer = {"jobSummaryList": [{"jobId": job, "jobName": name} for job, name in jobs]}
    stub("batch").add_response(
        "list_jobs",
        {**answer, **({"nextToken": token} if token else {})},
        {
            "jobQueue": "gpu-queue",
            "filters": [{"name": "JOB_NAME", "values": ["token"]}],
            "maxResults": 100,
            **asked,
        },
    )


SUBMIT = {
    "jobName": "token",
    "jobQueue": "gpu-queue",
    "jobDefinition": "app-train:3",
    "ecsPropertiesOverride": {
        "taskProperties": [
            {
                "containers": [
                    {
                        "name": "worker",
                        "environment": [
                            {"name": "MATINEE_PREDICTOR", "value": "train"},
                            {"name": "MATINEE_SLOT_TOKEN", "value": "token"},
                            {"name": "MATINEE_SLOT_NUMBER", "value": "0"},
                        ],
                    }
                ]
            }
        ]
    },
    "propagateTags": True,
}


def submitted(stub):
    stub("batch", retry=False).add_response("submit_job", {"jobName": "token", "jobId": "job-1"}, SUBMIT)


def test_correction_16_a_job_overrides_the_container_of_its_ecs_properties(launcher, stub):
    listed(stub)
    submitted(stub)
    assert launcher.launch(slot()) == "batch:job-1"


def test_a_token_that_has_a_job_in_any_state_submits_no_other(launcher, stub):
    listed(stub, token="more")
    listed(stub, ("job-1", "token"), nextToken="more")
    assert launcher.launch(slot()) == "batch:job-1"


def test_a_submission_whose_answer_is_lost_is_not_repeated_but_found_again(launcher, session, stub, monkeypatch):
    listed(stub)
    once = session.client("batch", retry=False)
    assert once.meta.config.retries["total_max_attempts"] == 1
    calls = []

    def lost(**_):
        calls.append(1)
        raise ReadTimeoutError(endpoint_url="https://batch")

    monkeypatch.setattr(once, "submit_job", lost)
    with pytest.raises(UnansweredError, match="broke"):
        launcher.launch(slot())
    listed(stub, ("job-1", "token"))
    assert launcher.launch(slot()) == "batch:job-1"
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("code", "text", "said"),
    [
        ("ClientException", "Job definition app-train:3 is not ACTIVE", "definition does not exist"),
        ("ServerException", "oops", "the service itself failed"),
        (
            "AccessDeniedException",
            "x is not authorized to perform: batch:SubmitJob on resource: arn:q",
            "batch:SubmitJob",
        ),
        ("ClientException", "Job Queue gpu-queue is disabled", "disabled"),
    ],
)
def test_a_job_that_is_refused_says_why(launcher, stub, code, text, said):
    listed(stub)
    stub("batch", retry=False).add_client_error("submit_job", code, text)
    with pytest.raises(BackendError, match=said):
        launcher.launch(slot())


def described(stub, *jobs):
    common = {"jobName": "token", "jobQueue": "gpu-queue", "startedAt": 1, "jobDefinition": "app-train:3"}
    stub("batch").add_response("describe_jobs", {"jobs": [{**common, **job} for job in jobs]}, {"jobs": ANY})


def attempt(**container):
    return {"attempts": [{"taskProperties": [{"containers": [{"name": "worker", **container}]}]}]}


@pytest.mark.parametrize(
    ("job", "ended", "said"),
    [
        ({"status": "SUBMITTED"}, False, ""),
        ({"status": "RUNNABLE", "statusReason": "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"}, False, "CAPACITY"),
        ({"status": "STARTING"}, False, ""),
        ({"status": "RUNNING"}, False, ""),
        ({"status": "SUCCEEDED", **attempt(exitCode=0)}, True, "exit code 0"),
        ({"status": "FAILED", **attempt(exitCode=137)}, True, "out of memory"),
        (
            {"status": "FAILED", **attempt(reason="CannotPullContainer: x: not found")},
            True,
            "does not exist any more",
        ),
        ({"status": "FAILED", "statusReason": "Host EC2 (instance i-1) terminated."}, True, "machine was taken away"),
        ({"status": "FAILED", "isTerminated": True, **attempt(exitCode=137)}, True, "told to end"),
        ({"status": "FAILED", "attempts": []}, True, "does not say why"),
    ],
)
def test_what_became_of_a_job_is_told_in_plain_words(launcher, stub, job, ended, said):
    described(stub, {"jobId": "job-1", **job})
    status = launcher.status([slot("batch:job-1")])["token"]
    assert status.ended is ended
    assert said in status.reason


def test_a_job_not_found_has_ended_only_when_its_slot_is_quiet(launcher, stub):
    described(stub)
    lately = slot("batch:job-1", token="lately", renewed_at=NOW - 20)
    statuses = launcher.status([slot("batch:job-1"), lately, slot("nowhere", token="never")])
    assert {token: status.ended for token, status in statuses.items()} == {
        "token": True,
        "lately": False,
        "never": True,
    }


def test_stop_terminates_the_job_and_one_that_is_gone_is_no_error(launcher, stub):
    stub("batch").add_response("terminate_job", {}, {"jobId": "job-1", "reason": ANY})
    launcher.stop(slot("batch:job-1"))
    listed(stub)
    launcher.stop(slot())
    launcher.stop(slot("nowhere"))


# --- which of the two


def release(**definitions):
    def predictor(name, gpu):
        return PredictorManifest(name, "batch", "ml", "", {}, {}, Resources(gpu=gpu))

    component = ComponentManifest("ml", "hash", "v1", (predictor("train", 1), predictor("plan", 0)))
    return Release("app", "App", 1, 0.0, (component,), {"aws": {"definitions": definitions}})


REQUEST = [
    *("cluster", "count", "clientToken", "startedBy", "group"),
    *("capacityProviderStrategy", "networkConfiguration", "overrides", "propagateTags"),
]


def test_a_predictor_with_a_gpu_is_a_job_and_any_other_a_task(session, stub):
    launcher = AwsLauncher(session, SETTINGS, prefix="app-")
    launcher.follow(release(train="app-train:3", plan="app-plan:9"))
    listed(stub)
    submitted(stub)
    asked = dict.fromkeys(REQUEST, ANY)
    stub("ecs").add_response("run_task", {"tasks": [{"taskArn": ARN}]}, {**asked, "taskDefinition": "app-plan:9"})
    stub("ecs").add_response("run_task", {"tasks": [{"taskArn": ARN}]}, {**asked, "taskDefinition": "app-plan"})
    assert launcher.launch(slot()) == "batch:job-1"
    assert launcher.launch(slot(predictor="plan")) == ARN
    launcher.follow(release())
    assert launcher.launch(slot(predictor="plan")) == ARN, "without a word of the release, the newest revision"


def test_status_and_stop_go_by_the_handle_whatever_the_release_says_now(session, stub):
    launcher = AwsLauncher(session, SETTINGS, prefix="app-")
    stub("ecs").add_response("describe_tasks", {"tasks": [{"taskArn": ARN, "lastStatus": "RUNNING"}]})
    described(stub, {"jobId": "job-1", "status": "RUNNING"})
    stub("batch").add_response("terminate_job", {}, {"jobId": "job-1", "reason": ANY})
    statuses = launcher.status([slot(ARN, token="task"), slot("batch:job-1", token="job")])
    assert {token: status.ended for token, status in statuses.items()} == {"task": False, "job": False}
    launcher.stop(slot("batch:job-1"))


def test_a_gpu_in_an_app_without_a_job_queue_says_so(session):
    launcher = AwsLauncher(session, SETTINGS._replace(job_queue=""), prefix="app-")
    launcher.follow(release())
    with pytest.raises(BackendError, match="asks for a GPU"):
        launcher.launch(slot())


def test_settings_travel_by_the_environment():
    for settings in (SETTINGS, LaunchSettings(), SETTINGS._replace(subnets=("a", "b"), spot=True)):
        assert LaunchSettings.from_environment(settings.environment()) == settings
