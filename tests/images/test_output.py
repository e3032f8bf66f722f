"""On AWS each event of the app's own containers is one JSON line, whatever was written."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys

from matinee.runtime.output import JsonLines


def lines(written: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_a_line_is_an_event_and_so_is_a_traceback() -> None:
    written = io.StringIO()
    stream = JsonLines(written, "INFO")
    print("one", "event", file=stream)
    print("two\nlines", file=stream)
    handler = logging.StreamHandler(stream)
    try:
        raise ValueError("broken")
    except ValueError:
        handler.emit(logging.LogRecord("x", 40, "x.py", 1, "It failed", (), sys.exc_info()))
    first, second, third = lines(written)
    assert (first["level"], first["message"]) == ("INFO", "one event")
    assert second["message"] == "two\nlines"
    assert str(third["message"]).startswith("It failed\nTraceback")
    assert str(third["message"]).endswith("ValueError: broken")


def test_what_is_json_already_stays_and_what_is_long_keeps_its_end() -> None:
    written = io.StringIO()
    stream = JsonLines(written, "INFO")
    print('{"event": "queues", "oldest_s": 1.5}', file=stream)
    print("x" * 5000 + " the end", file=stream)
    first, second = lines(written)
    assert first == {"event": "queues", "oldest_s": 1.5}
    assert str(second["message"]).endswith(" the end")
    assert len(str(second["message"])) < 4100


def test_a_process_that_dies_of_an_error_says_it_in_one_line() -> None:
    code = "from matinee.runtime.output import install; install(); print('here'); 1 / 0"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30)
    assert json.loads(ended.stdout)["message"] == "here"
    (told,) = ended.stderr.splitlines()
    assert json.loads(told)["message"].endswith("ZeroDivisionError: division by zero")
