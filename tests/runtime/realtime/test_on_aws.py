"""What is different in a function on AWS: its log lines name their run, and its label is the stage's."""

from __future__ import annotations

import json
import threading

import pytest

from matinee.log_lines import MAX_MESSAGE_CHARS
from matinee.runtime.output import RequestLines
from matinee.testing.harness import wait_until

AWS = {"MATINEE_BACKEND": "aws", "MATINEE_TABLE": "app", "MATINEE_BUCKET": "app"}


def told(lines, count):
    """The JSON lines among the first `count` written."""
    wait_until(lambda: len(lines) >= count, what=f"{count} lines")
    return [json.loads(line) for line, _ in lines if line.startswith("{")]


def test_each_printed_and_logged_line_is_json_with_its_run(call, lines):
    assert call("talk", {"text": "ünï 日本\nsecond"}, environment=AWS, run="R1")[1] == []
    found = told(lines, 7)
    assert [(line["level"], line["message"][:20]) for line in found] == [
        ("INFO", "ünï 日本"),
        ("INFO", "second"),
        ("INFO", "on stderr"),
        ("INFO", "no end"),
        ("INFO", "info of ünï 日本\nsecon"),
        ("WARNING", "two\nlines"),
        ("INFO", "… " + "x" * 18),
    ]
    assert {(line["run_id"], line["component"]) for line in found} == {("R1", "plain")}
    assert len(found[-1]["message"]) == MAX_MESSAGE_CHARS, "a long line keeps its end"
    assert all(isinstance(line["at"], float) for line in found)


def test_the_next_request_of_the_process_has_its_own_run(call, lines):
    for run in ("R1", "R2"):
        call("talk", {"text": run}, environment=AWS, run=run)
    found = told(lines, 12)
    assert {line["message"]: line["run_id"] for line in found if line["message"] in ("R1", "R2")} == {
        "R1": "R1",
        "R2": "R2",
    }


def test_why_it_failed_is_a_line_of_the_run(call, lines):
    call("fail", {"how": "raise"}, environment=AWS, run="R1")
    (line,) = told(lines, 1)
    assert (line["level"], line["run_id"]) == ("ERROR", "R1")
    assert line["message"].startswith("ValueError: no such thing\n")
    assert "plain.py" in line["message"]


def test_what_is_written_outside_a_request_names_no_run(call, lines, tmp_path):
    source = tmp_path / "early.py"
    source.write_text(
        "import logging\nfrom matinee import realtime\nprint('loading')\nlogging.warning('model is old')\n"
        "@realtime\ndef greet(name: str) -> str:\n    return name\n"
    )
    call("greet", {"name": "a"}, source=source, environment=AWS)
    wait_until(lambda: len(lines) >= 2, what="2 lines")
    assert lines[0][0] == "loading"
    line = json.loads(lines[1][0])
    assert (line["level"], line["message"], "run_id" in line) == ("WARNING", "model is old", False)


def test_locally_lines_stay_as_they_were_written(call, lines):
    call("talk", {"text": "plain"}, run="R1")
    wait_until(lambda: len(lines) >= 3, what="3 lines")
    assert ("plain", "R1") in lines
    assert not any(line.startswith("{") for line, _ in lines)


def test_a_plain_typed_predictor_answers_without_pydantic_or_boto3(call):
    modules = set(call("greet", {"name": "Ada"}, environment=AWS)[1]["modules"])
    assert not modules & {"pydantic", "pydantic_core", "boto3", "botocore", "asyncio", "streamlit"}


def test_the_label_of_the_stage_beats_that_of_the_image(call):
    assert call("who", {}, environment={**AWS, "MATINEE_LABEL": "v7"})[1][2] == "v7"


@pytest.mark.parametrize("label", ["v7", ""])
def test_a_label_may_be_set_locally_too(call, label):
    assert call("who", {}, environment={"MATINEE_LABEL": label})[1][2] == (label or "v3")


def test_what_prints_while_a_line_is_written_does_not_wait_for_itself():
    """As a finaliser does, which may run at any moment."""

    class Stream:
        def __init__(self):
            self.written = []

        def write(self, text):
            self.written.append(json.loads(text)["message"])
            if len(self.written) == 1:
                lines.write("collected\n")

    stream = Stream()
    lines = RequestLines(stream)
    lines.begin("R1")
    writer = threading.Thread(target=lines.write, args=("first\nsecond\n",), daemon=True)
    writer.start()
    writer.join(5)
    assert not writer.is_alive()
    assert sorted(stream.written) == ["collected", "first", "second"]
