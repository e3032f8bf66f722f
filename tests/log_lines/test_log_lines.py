"""A line has one form as JSON, and what is too long keeps its end: there a traceback says what happened."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from matinee import log_lines
from matinee.backends.aws.logs import StreamLogs
from matinee.backends.local.logs import FolderLogs
from matinee.log_lines import CUT, MAX_MESSAGE_CHARS, cut, error_text, from_json, to_json
from matinee.ports import LogLine
from matinee.runtime.output import JsonLines, RequestLines

END = "ValueError: it broke"
TRACEBACK = "Traceback (most recent call last):\n" + "  File …\n" * 1000 + END


def of_a_file(folder: Path) -> str:
    logs = FolderLogs(folder)
    logs.write([LogLine(1.0, "ERROR", TRACEBACK, "one", "r1")])
    return logs.read("r1")[0].message


def of_a_worker_on_aws(_folder: Path) -> str:
    stream = io.StringIO()
    StreamLogs(stream).write([LogLine(1.0, "ERROR", TRACEBACK, "one", "r1")])
    return json.loads(stream.getvalue())["message"]


def of_a_function_on_aws(_folder: Path) -> str:
    stream = io.StringIO()
    lines = RequestLines(stream)
    lines.begin("r1")
    lines.log("ERROR", TRACEBACK)
    return json.loads(stream.getvalue())["message"]


def of_the_ui_on_aws(_folder: Path) -> str:
    stream = io.StringIO()
    JsonLines(stream, "WARNING").write(TRACEBACK + "\n")
    return json.loads(stream.getvalue())["message"]


@pytest.mark.parametrize(
    "writer", [of_a_file, of_a_worker_on_aws, of_a_function_on_aws, of_the_ui_on_aws], ids=lambda one: one.__name__
)
def test_every_writer_keeps_the_end_of_a_long_message(writer, tmp_path):
    message = writer(tmp_path)
    assert message.endswith(END)
    assert message.startswith(CUT)
    assert len(message) == MAX_MESSAGE_CHARS


def test_what_is_short_enough_is_not_cut():
    assert cut("x" * MAX_MESSAGE_CHARS) == "x" * MAX_MESSAGE_CHARS
    assert cut("0123456789", 5) == "… 789"


def test_the_name_of_an_error_stays_when_its_text_is_cut():
    text = error_text(ValueError("x" * 200 + "the end"), 50)
    assert text.startswith("ValueError: … xxx")
    assert text.endswith("the end")
    assert len(text) == 50


def test_a_line_comes_back_as_it_was():
    line = LogLine(1.5, "INFO", "caf\udce9\nsecond", "one", "r1", {"event": "run_failed"})
    text = to_json(line.at, line.level, line.message, component=line.component, run_id=line.run_id, fields=line.fields)
    assert text.count("\n") == 1
    assert text.encode("utf-8")
    assert LogLine(**from_json(text)) == line


def test_what_is_empty_is_left_out():
    assert json.loads(to_json(1.0, "INFO", "hello")) == {"at": 1.0, "level": "INFO", "message": "hello"}


@pytest.mark.parametrize("text", ["START RequestId: 1", "[1]", '{"at": 1}', '{"at": null, "level": "", "message": ""}'])
def test_what_is_no_line_of_ours_is_refused(text):
    with pytest.raises(ValueError):
        log_lines.from_json(text)
