"""Log groups of a stage as CloudWatch answers: pages, groups that are not there, and what is not allowed."""

from __future__ import annotations

import json

import pytest

from matinee.errors import BackendError
from matinee.operate.logs import _merged

UI, PLAN = "/matinee/matinee-shop-dev-ui", "/matinee/matinee-shop-dev-plan"
SINCE = 1_795_000_000.0


def event(at, message, number=0):
    return {"eventId": f"{at}-{number}", "timestamp": int((SINCE + at) * 1000), "message": message}


def page(stubs, group, *events, token="", after=""):
    asked = {"logGroupName": group, "startTime": int(SINCE * 1000)} | ({"nextToken": after} if after else {})
    answer = {"events": list(events)} | ({"nextToken": token} if token else {})
    stubs["logs"].add_response("filter_log_events", answer, asked)


def test_pages_are_read_as_they_are_needed_and_the_lines_come_in_the_order_of_time(session, stubs):
    page(stubs, UI, event(1, "a"), event(5, "e"), token="more")
    page(
        stubs, PLAN, event(3, "c\n"), event(2, "b"), event(4, json.dumps({"at": 9e9, "level": "ERROR", "message": "d"}))
    )
    page(stubs, UI, event(6, "f"), after="more")
    found = list(_merged(session, {"ui": UI, "plan": PLAN}, SINCE, None))
    assert [(line.component, line.message) for line in found] == [
        ("ui", "a"),
        ("plan", "b"),
        ("plan", "c"),
        ("plan", "d"),
        ("ui", "e"),
        ("ui", "f"),
    ]
    assert found[3].level == "ERROR"
    assert found[3].at == SINCE + 4, "by CloudWatch's clock, not by a worker's own"


def test_a_group_that_nobody_has_written_to_yet_is_empty(session, stubs):
    stubs["logs"].add_client_error("filter_log_events", "ResourceNotFoundException", "no such group")
    assert list(_merged(session, {"ui": UI}, SINCE, None)) == []


@pytest.mark.parametrize(
    ("code", "message", "says"),
    [
        (
            "AccessDeniedException",
            f"User: x is not authorized to perform: logs:FilterLogEvents on resource: {UI}",
            f"The log group {UI} may not be used: logs:FilterLogEvents is not allowed. Allow logs:FilterLogEvents on",
        ),
        ("ExpiredTokenException", "expired", "AWS does not accept the credentials (ExpiredTokenException). Sign in"),
        ("ThrottlingException", "Rate exceeded", f"The log group {UI} is asked too often at the moment"),
    ],
)
def test_what_cloudwatch_refuses_is_one_sentence_with_what_to_do(session, stubs, code, message, says):
    stubs["logs"].add_client_error("filter_log_events", code, message)
    with pytest.raises(BackendError) as told:
        list(_merged(session, {"ui": UI}, SINCE, None))
    assert says in str(told.value)
