"""Correction 7: at no tasks the circuit breaker proves nothing, so a deployment wakes a sleeping app first."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from botocore.stub import Stubber

from matinee.deploy.cloud import Cloud
from matinee.deploy.drain import awake
from matinee.deploy.publish import put_sleeping_page
from matinee.errors import MatineeError
from matinee.project.aws import DAYS, Aws, OfficeHours
from matinee.stack.blueprint import Blueprint
from matinee.stack.edge import sleeping_page

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


def test_who_interrupts_the_waking_leaves_it_asleep(recorded: Cloud, answers: Answers) -> None:
    service(answers, 0, 0)
    count(answers, 1)
    answers("ecs").add_client_error("describe_services", "AccessDeniedException")
    count(answers, 0)
    with pytest.raises(MatineeError), awake(recorded, lambda _: None):
        raise AssertionError("it was not awake yet")
    answers("ecs").assert_no_pending_responses()


def test_one_that_is_up_is_left_alone(recorded: Cloud, answers: Answers) -> None:
    service(answers, 2, 2)
    with awake(recorded, lambda _: None):
        pass


def test_where_there_is_none_nothing_is_done(recorded: Cloud, answers: Answers) -> None:
    answers("ecs").add_client_error("describe_services", "ClusterNotFoundException")
    with awake(recorded, lambda _: None):
        pass


def test_correction_7_the_page_of_a_sleeping_app_is_put_where_cloudfront_reads_it(recorded, answers):
    hours = OfficeHours(DAYS[:5], "08:00", "18:00")
    b = Blueprint(recorded.names, "Fish & Chips", (), Aws(office_hours=hours))
    put = {
        "Bucket": recorded.bucket,
        "Key": "edge/sleeping.html",
        "Body": sleeping_page("Fish & Chips", hours).encode(),
        "ContentType": "text/html; charset=utf-8",
        "CacheControl": "max-age=60",
    }
    answers("s3").add_response("put_object", {}, put)
    put_sleeping_page(recorded, b)
    for aws in (Aws(), Aws(office_hours=hours, edge="alb")):
        put_sleeping_page(recorded, Blueprint(recorded.names, "Fish", (), aws))
