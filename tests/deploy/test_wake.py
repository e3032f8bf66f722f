"""Correction 7: at no tasks the circuit breaker proves nothing, so a deployment wakes a sleeping app first."""

from __future__ import annotations

from collections.abc import Callable

from botocore.stub import Stubber

from matinee.ops.deploy.cloud import Cloud
from matinee.ops.deploy.wake import awake

Answers = Callable[[str], Stubber]
AT = {"cluster": "matinee-activity-prod", "services": ["ui"]}


def service(answers: Answers, desired: int, running: int) -> None:
    found = {"services": [{"status": "ACTIVE", "desiredCount": desired, "runningCount": running}]}
    answers("ecs").add_response("describe_services", found, AT)


def count(answers: Answers, wanted: int) -> None:
    given = {"cluster": "matinee-activity-prod", "service": "ui", "desiredCount": wanted}
    answers("ecs").add_response("update_service", {}, given)


def test_correction_7_a_sleeping_ui_is_woken_and_put_to_sleep_again(recorded: Cloud, answers: Answers) -> None:
    service(answers, 0, 0)
    count(answers, 1)
    service(answers, 1, 0)
    service(answers, 1, 1)
    count(answers, 0)
    told = []
    with awake(recorded, told.append):
        assert "it is woken for this" in told[0].text


def test_one_that_is_up_is_left_alone(recorded: Cloud, answers: Answers) -> None:
    service(answers, 2, 2)
    with awake(recorded, lambda _: None):
        pass


def test_where_there_is_none_nothing_is_done(recorded: Cloud, answers: Answers) -> None:
    answers("ecs").add_client_error("describe_services", "ClusterNotFoundException")
    with awake(recorded, lambda _: None):
        pass
