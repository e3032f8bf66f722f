"""Every state in which a stack can be left, with CloudFormation's recorded answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from matinee.deploy.cloud import Cloud, Note, TaskFailed
from matinee.deploy.stack_changes import delete_stack, settle
from matinee.deploy.stack_events import failure, follow, mend_of
from matinee.deploy.stack_state import describe
from matinee.errors import BackendError, ConflictError

NAME = "matinee-activity-prod"
ID = f"arn:aws:cloudformation:eu-central-1:123456789012:stack/{NAME}/5d1f"
START = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)
Answers = Callable[[str], Stubber]


def state(answers: Answers, status: str) -> None:
    found = {"StackId": ID, "StackName": NAME, "CreationTime": START, "StackStatus": status}
    answers("cloudformation").add_response("describe_stacks", {"Stacks": [found]}, {"StackName": ANY})


def no_stack(answers: Answers) -> None:
    answers("cloudformation").add_client_error("describe_stacks", "ValidationError", f"{NAME} does not exist")


def history(answers: Answers, *lines: tuple[str, str, str, str], ident: str = "e") -> None:
    """Record a history: logical name, type, status, reason; oldest first, as it happened."""
    events = [
        {
            "EventId": f"{ident}{number}",
            "StackId": ID,
            "StackName": NAME,
            "Timestamp": START + timedelta(seconds=30 * number),
            "LogicalResourceId": logical,
            "ResourceType": type_,
            "PhysicalResourceId": ID if type_ == "AWS::CloudFormation::Stack" else physical(type_, logical),
            "ResourceStatus": status,
            "ResourceStatusReason": reason,
        }
        for number, (logical, type_, status, reason) in enumerate(lines)
    ]
    answers("cloudformation").add_response("describe_stack_events", {"StackEvents": events[::-1]}, {"StackName": ANY})


def physical(type_: str, logical: str) -> str:
    base = "arn:aws:ecs:eu-central-1:123456789012:service"
    return f"{base}/{NAME}/{NAME}-ui" if type_ == "AWS::ECS::Service" else f"physical-{logical}"


def stack(status: str, reason: str = "") -> tuple[str, str, str, str]:
    return (NAME, "AWS::CloudFormation::Stack", status, reason)


def test_what_another_deploy_has_begun_is_waited_for(recorded: Cloud, answers: Answers) -> None:
    state(answers, "UPDATE_IN_PROGRESS")
    old = stack("CREATE_IN_PROGRESS"), stack("CREATE_COMPLETE")
    history(answers, *old, stack("UPDATE_IN_PROGRESS"))
    history(answers, *old, stack("UPDATE_IN_PROGRESS"), stack("UPDATE_COMPLETE"))
    state(answers, "UPDATE_COMPLETE")
    state(answers, "UPDATE_COMPLETE")
    told: list[Any] = []
    assert settle(recorded, NAME, told.append).status == "UPDATE_COMPLETE"
    assert told[0] == Note(
        f"The stack {NAME} is being changed already (UPDATE_IN_PROGRESS): waiting until that is done."
    )
    assert [event.status for event in told[1:]] == ["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"], "of this operation only"


def test_or_is_said_at_once(recorded: Cloud, answers: Answers) -> None:
    state(answers, "UPDATE_IN_PROGRESS")
    with pytest.raises(ConflictError) as raised:
        settle(recorded, NAME, lambda _: None, may_wait=False)
    assert raised.value.message == f"The stack {NAME} is being changed by another deployment (UPDATE_IN_PROGRESS)."


def test_a_rollback_that_failed_is_continued_without_what_cannot_be_rolled_back(
    recorded: Cloud, answers: Answers
) -> None:
    cloudformation = answers("cloudformation")
    began = stack("UPDATE_ROLLBACK_FAILED")
    state(answers, "UPDATE_ROLLBACK_FAILED")
    history(answers, began)
    cloudformation.add_response("continue_update_rollback", {}, {"StackName": ID, "ResourcesToSkip": []})
    again = began, stack("UPDATE_ROLLBACK_IN_PROGRESS"), stack("UPDATE_ROLLBACK_FAILED")
    history(answers, *again)
    state(answers, "UPDATE_ROLLBACK_FAILED")
    summary = {
        "LogicalResourceId": "Ui",
        "ResourceType": "AWS::ECS::Service",
        "LastUpdatedTimestamp": START,
        "ResourceStatus": "UPDATE_FAILED",
    }
    cloudformation.add_response("list_stack_resources", {"StackResourceSummaries": [summary]}, {"StackName": ID})
    history(answers, *again)
    cloudformation.add_response("continue_update_rollback", {}, {"StackName": ID, "ResourcesToSkip": ["Ui"]})
    history(answers, *again, stack("UPDATE_ROLLBACK_IN_PROGRESS"), stack("UPDATE_ROLLBACK_COMPLETE"))
    state(answers, "UPDATE_ROLLBACK_COMPLETE")
    state(answers, "UPDATE_ROLLBACK_COMPLETE")
    told: list[Any] = []
    assert settle(recorded, NAME, told.append).status == "UPDATE_ROLLBACK_COMPLETE"
    assert "What cannot be rolled back is left as it is: Ui." in [e.text for e in told if isinstance(e, Note)]


def test_a_rollback_that_cannot_be_continued_is_explained(recorded: Cloud, answers: Answers) -> None:
    cloudformation = answers("cloudformation")
    state(answers, "UPDATE_ROLLBACK_FAILED")
    history(answers, stack("UPDATE_ROLLBACK_FAILED"))
    cloudformation.add_response("continue_update_rollback", {}, {"StackName": ID, "ResourcesToSkip": []})
    history(answers, stack("UPDATE_ROLLBACK_FAILED"), stack("UPDATE_ROLLBACK_FAILED", "again"))
    state(answers, "UPDATE_ROLLBACK_FAILED")
    cloudformation.add_response("list_stack_resources", {"StackResourceSummaries": []}, {"StackName": ID})
    with pytest.raises(BackendError) as raised:
        settle(recorded, NAME, lambda _: None)
    assert f"The stack {NAME} is stuck in UPDATE_ROLLBACK_FAILED" in raised.value.message
    assert "What serves is not touched" in raised.value.hint


def test_a_deletion_that_failed_is_finished_first(recorded: Cloud, answers: Answers) -> None:
    state(answers, "DELETE_FAILED")
    history(answers, stack("DELETE_FAILED"))
    answers("cloudformation").add_response("delete_stack", {}, {"StackName": ID})
    state(answers, "DELETE_COMPLETE")
    no_stack(answers)
    assert settle(recorded, NAME, lambda _: None) is None


def test_correction_3_what_interfaces_hold_is_deleted_again(recorded: Cloud, answers: Answers) -> None:
    state(answers, "UPDATE_COMPLETE")
    found = describe(recorded, NAME)
    held = (
        "Subnet",
        "AWS::EC2::Subnet",
        "DELETE_FAILED",
        "The subnet 'subnet-1' has dependencies and cannot be deleted",
    )
    end = stack("DELETE_FAILED", "The following resource(s) failed to delete: [Subnet].")
    for number in range(2):
        history(answers, stack("UPDATE_COMPLETE"), ident=f"{number}-")
        answers("cloudformation").add_response("delete_stack", {}, {"StackName": ID})
        state(answers, "DELETE_IN_PROGRESS")
        history(answers, stack("UPDATE_COMPLETE"), stack("DELETE_IN_PROGRESS"), held, end, ident=f"{number}-")
        state(answers, "DELETE_FAILED")
    told: list[Any] = []
    with pytest.raises(BackendError) as raised:
        delete_stack(recorded, found, told.append, tries=2)
    assert "could not be deleted: the subnet Subnet failed: The subnet 'subnet-1' has dep" in raised.value.message
    assert "go away by themselves" in raised.value.hint
    assert next(e.text for e in told if isinstance(e, Note)).endswith("try 2 of 2.")


def test_a_service_that_does_not_start_is_explained_by_its_task_and_its_last_lines(
    recorded: Cloud, answers: Answers
) -> None:
    begun = stack("UPDATE_IN_PROGRESS"), ("Ui", "AWS::ECS::Service", "UPDATE_IN_PROGRESS", "")
    broke = (
        "Resource handler returned message: \"Error occurred during operation 'ECS Deployment Circuit Breaker was "
        "triggered'.\" (RequestToken: 5a, HandlerErrorCode: GeneralServiceException)"
    )
    cancelled = ("Alarm", "AWS::CloudWatch::Alarm", "UPDATE_FAILED", "Resource update cancelled")
    history(answers, *begun)
    task = f"arn:aws:ecs:eu-central-1:123456789012:task/{NAME}/7f3a"
    ecs, logs = answers("ecs"), answers("logs")
    asked = {"cluster": NAME, "serviceName": f"{NAME}-ui", "desiredStatus": "STOPPED"}
    stopped = {
        "taskArn": task,
        "taskDefinitionArn": "arn:td:7",
        "stopCode": "EssentialContainerExited",
        "stoppedReason": "Essential container in task exited",
        "containers": [{"name": "ui", "exitCode": 1}],
    }
    for _ in range(3):
        ecs.add_response("list_tasks", {"taskArns": [task]}, asked)
        ecs.add_response("describe_tasks", {"tasks": [stopped]}, {"cluster": NAME, "tasks": [task]})
        if _ == 0:
            log = {"awslogs-group": f"/matinee/{NAME}-ui", "awslogs-stream-prefix": "t", "awslogs-region": "x"}
            container = {"name": "ui", "logConfiguration": {"logDriver": "awslogs", "options": log}}
            definition = {"taskDefinition": {"containerDefinitions": [container]}}
            ecs.add_response("describe_task_definition", definition, {"taskDefinition": "arn:td:7"})
            lines = [{"message": "Traceback (most recent call last):\n"}, {"message": "ImportError: no numpy\n"}]
            wanted = {"logGroupName": f"/matinee/{NAME}-ui", "logStreamName": "t/ui/7f3a", "limit": 20}
            logs.add_response("get_log_events", {"events": lines}, wanted)
    history(answers, *begun, ("Ui", "AWS::ECS::Service", "UPDATE_IN_PROGRESS", ""))
    failed = ("Ui", "AWS::ECS::Service", "UPDATE_FAILED", broke)
    history(answers, *begun, begun[1], cancelled, failed, stack("UPDATE_ROLLBACK_COMPLETE"))
    state(answers, "UPDATE_ROLLBACK_COMPLETE")
    told: list[Any] = []
    error = failure(follow(recorded, ID, told.append), "updated")
    assert "the service Ui failed: " in error.message
    assert "Circuit Breaker was triggered" in error.message
    assert "Its task stopped: It ended with exit code 1." in error.message
    assert error.message.endswith("    ImportError: no numpy")
    assert "RequestToken" not in error.message
    assert "matinee test --containers" in error.hint
    assert len([event for event in told if isinstance(event, TaskFailed)]) == 1


SENTENCES = {
    "CloudFront of a new account (correction 5)": (
        (
            "Access denied for operation 'AWS::CloudFront::Distribution: Your account must be verified before you can "
            "add new CloudFront resources.'"
        ),
        'until then use edge = "alb" under [aws]',
    ),
    "Lambda concurrency 10 (correction 5)": (
        (
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
            "below its minimum value of [10]."
        ),
        "raise the quota L-B99A9384",
    ),
    "memory of a new account": (
        (
            "1 validation error detected: Value '4096' at 'memorySize' failed to satisfy constraint: Member must have "
            "value less than or equal to 3008"
        ),
        "3,008 MB",
    ),
    "five networks (correction 5)": ("The maximum number of VPCs has been reached.", "L-F678F1CE"),
    "a missing permission": (
        "User: arn:aws:iam::1:user/ada is not authorized to perform: ecs:CreateCluster on resource: *",
        "`matinee iam-policy`",
    ),
    "a missing image": ("Source image 1.dkr.ecr.eu.amazonaws.com/a@sha256:1 does not exist.", "which pushes it"),
    "an image index": ("The image manifest or layer media type for the source image is not supported.", "--provenance"),
    "a fresh role": ("The role defined for the function cannot be assumed by Lambda.", "deploy again in a minute"),
    "a name that is taken": ("matinee-a-dev already exists in stack arn:aws:…", "another name in matinee.toml"),
    "a bucket with files": ("The bucket you tried to delete is not empty", "`matinee destroy --data` empties it"),
    "the service-linked role": ("Unable to assume the service linked role.", "deploy again"),
    "a Fargate pair": ("Invalid 'cpu' setting for task. No Fargate configuration exists", "fixed pairs"),
    "throttling": ("Rate exceeded (Service: Lambda, Status Code: 429)", "asked too often"),
    "a quota": ("Resource limit exceeded: you have reached the limit of alarms", "under Service Quotas"),
}


@pytest.mark.parametrize(("reason", "mend"), SENTENCES.values(), ids=SENTENCES)
def test_what_aws_says_comes_with_what_helps(reason: str, mend: str) -> None:
    assert mend in mend_of(reason)
