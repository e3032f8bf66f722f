"""What stakeholders and predictors wrote is shown on the owner's terminal, never obeyed by it."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable

import pytest

from matinee.cli import main, output
from matinee.errors import MatineeError
from matinee.runs import Failure, Run, Status

FORGED = "fine\x1b[2K\x1b]0;owned\x07\x9b31m\u202egnp.exe\rall is well"
SHOWN = "fine\\x1b[2K\\x1b]0;owned\\x07\\x9b31m\\u202egnp.exe\\rall is well"
DOORS: dict[str, Callable[[], None]] = {
    "a line": lambda: output.print_text(FORGED),
    "a table": lambda: output.print_table(["A"], [[FORGED]]),
    "a sentence": lambda: output.say(FORGED),
    "a next step": lambda: output.next_step(FORGED),
    "an error": lambda: output.show_error(FORGED),
    "a hint": lambda: output.show_error("wrong", FORGED),
    "a traceback": lambda: output.show_error("wrong", "", FORGED),
    "a line of a component": lambda: output.component_line("plan", FORGED),
    "what mends": lambda: output.show_mends([("plan", FORGED)]),
}


@pytest.mark.parametrize("print_it", DOORS.values(), ids=DOORS)
def test_control_characters_are_shown_at_every_door(print_it: Callable[[], None], capsys) -> None:
    print_it()
    heard = capsys.readouterr()
    assert SHOWN in (heard.out + heard.err).replace("\n", "")
    assert output.show_controls(heard.out + heard.err) == heard.out + heard.err


def test_json_means_the_same_and_holds_none(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json({"text": FORGED})
    out = capsys.readouterr().out
    assert json.loads(out) == {"text": FORGED}
    assert output.show_controls(out) == out


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_result_is_exact_in_a_pipe_and_shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run("r", "ask", "realtime", "ada", Status.SUCCEEDED, {}, 0.0)
    for stream, text in ((io.StringIO(), FORGED), (Terminal(), SHOWN)):
        monkeypatch.setattr(sys, "stdout", stream)
        output.show_result(run, FORGED)
        assert stream.getvalue() == f"{text}\n"


def test_the_failure_of_a_run_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    failure = Failure(kind="exception", message=FORGED, hint=FORGED, traceback=FORGED)
    run = Run("r", "ask", "realtime", "ada", Status.FAILED, {}, 0.0, failure=failure)
    with pytest.raises(MatineeError) as raised:
        output.show_result(run, None)
    monkeypatch.setattr(main, "app", lambda *_, **__: (_ for _ in ()).throw(raised.value))
    assert main.run([]) == 1
    heard = capsys.readouterr().err
    assert heard.count(SHOWN) == 3
    assert "\x1b" not in heard
    assert "\x9b" not in heard
