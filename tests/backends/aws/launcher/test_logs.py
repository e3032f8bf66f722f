"""Log lines printed by a worker and read back from CloudWatch, whose answers are planted."""

from __future__ import annotations

import io

import pytest

from matinee.backends.aws.logs import CloudWatchLogs, StreamLogs
from matinee.errors import BackendError
from matinee.log_lines import CUT, MAX_MESSAGE_CHARS
from matinee.ports import LogLine
from matinee.runs import Run, Status

RUN = Run("r1", "plan", "batch", "ada", Status.SUCCEEDED, None, created_at=1000.0, finished_at=1100.0)
ASKED = {
    "logGroupName": "/matinee/matinee-app-dev-plan",
    "filterPattern": '{ $.run_id = "r1" }',
    "startTime": 700_000,
    "endTime": 1_400_000,
}


@pytest.fixture
def logs(session):
    return CloudWatchLogs(session, {"r1": RUN}.get, prefix="matinee-app-dev-")


def printed(*lines):
    stream = io.StringIO()
    StreamLogs(stream).write(lines)
    return [{"timestamp": 1_000_000, "message": text} for text in stream.getvalue().split("\n")[:-1]]


def line(at, message="Hello", run_id="r1", **more):
    return LogLine(at, "INFO", message, "plans", run_id, **more)


def test_lines_are_read_back_as_they_were_written_page_by_page_and_in_order(logs, stub):
    lines = [
        line(1000.25, 'Grüße, "Welt" {$.run_id = "r2"} \u2028 \\ \t 日本'),
        line(1001.5, ""),
        line(1001.5, "two\nlines"),
        line(1002.0, "with fields", fields={"loss": 0.25, "names": ["a"], "none": None}),
    ]
    first, second, third, fourth = (printed(each)[0] for each in lines)
    stub("logs").add_response("filter_log_events", {"events": [fourth, second], "nextToken": "a"}, ASKED)
    stub("logs").add_response("filter_log_events", {"events": [], "nextToken": "b"}, {**ASKED, "nextToken": "a"})
    stub("logs").add_response("filter_log_events", {"events": [third, first]}, {**ASKED, "nextToken": "b"})
    assert logs.read("r1") == lines


def test_a_message_that_is_no_unicode_is_printed_all_the_same(logs, stub):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, "utf-8")
    StreamLogs(stream).write([line(1.0, "caf\udce9")])
    event = {"timestamp": 1, "message": raw.getvalue().decode()}
    stub("logs").add_response("filter_log_events", {"events": [event]})
    assert logs.read("r1")[0].message == "caf\udce9"


def test_a_line_is_one_line_of_output_and_a_very_long_one_is_cut(logs, stub):
    events = printed(line(1.0, "x\n" * MAX_MESSAGE_CHARS + "ValueError: it broke"))
    assert len(events) == 1
    stub("logs").add_response("filter_log_events", {"events": events})
    message = logs.read("r1")[0].message
    assert len(message) == MAX_MESSAGE_CHARS
    assert message.startswith(CUT)
    assert message.endswith("x\nValueError: it broke")


def test_what_is_not_the_runs_own_is_left_out(logs, stub):
    others = [*printed(line(1.0, run_id="r2")), {"timestamp": 1, "message": '{"run_id": "r1", "mine": true}'}]
    stub("logs").add_response("filter_log_events", {"events": [*others, *printed(line(2.0, "mine"))]})
    assert [each.message for each in logs.read("r1")] == ["mine"]


def test_a_run_that_goes_on_is_read_up_to_now(session, stub):
    going = Run("r1", "plan", "batch", "ada", Status.RUNNING, None, created_at=1000.0)
    asked = []
    client = session.client("logs")
    client.meta.events.register("provide-client-params.logs.FilterLogEvents", lambda params, **_: asked.append(params))
    stub("logs").add_response("filter_log_events", {"events": []})
    assert CloudWatchLogs(session, {"r1": going}.get, prefix="app-").read("r1") == []
    assert asked[0]["endTime"] > 1_700_000_000_000


def test_no_group_yet_no_such_run_and_no_such_id_are_no_lines(logs, stub):
    stub("logs").add_client_error("filter_log_events", "ResourceNotFoundException", "The log group does not exist.")
    assert logs.read("r1") == []
    assert logs.read("unknown") == []
    assert logs.read('r1" || $.x = "') == []


def test_a_search_that_is_refused_names_the_permission(logs, stub):
    stub("logs").add_client_error("filter_log_events", "AccessDeniedException", "no")
    with pytest.raises(BackendError, match="logs:FilterLogEvents is not allowed"):
        logs.read("r1")
