"""What every Invoker does. Inherit `InvokerContract` and give it a fixture `invoker`.

It calls the functions of `invoker_functions` by their names (NAMES); `slow` has a limit of LIMIT_S, the others of more.
Each may run a few times at once. They see this machine's files.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from matinee.errors import LimitError, NotFoundError
from matinee.ports import Invocation, Invoker
from matinee.testing.harness import wait_until

NAMES = ("echo", "fail", "caller", "big", "slow", "crash", "note", "talk")
LIMIT_S = 1
PAYLOADS: list[Any] = [{}, [], None, "ünïcode 日本 🎭 \x00", 0.1 + 0.2, 2**53 + 1, {"a": [{"": None}]}, "x" * 5_000_000]


def payload_of(answer: Invocation) -> Any:
    """Return the payload, of an answer that is no error."""
    assert answer.error_type == "", answer
    return json.loads(answer.payload)


class InvokerContract:
    """The whole contract."""

    @pytest.mark.parametrize("payload", PAYLOADS, ids=lambda value: ascii(value)[:20])
    def test_what_is_sent_is_what_the_function_gets_and_its_answer_comes_back(
        self, invoker: Invoker, payload: Any
    ) -> None:
        answer = invoker.invoke("echo", json.dumps(payload).encode())
        assert payload_of(answer) == payload
        assert answer.version
        assert answer.log_tail == "", "only when asked for"

    def test_an_exception_is_an_answer_with_its_type_and_message(self, invoker: Invoker) -> None:
        answer = invoker.invoke("fail", b'{"what": "such thing"}')
        assert answer.error_type == "ValueError"
        problem = json.loads(answer.payload)
        assert problem["errorMessage"] == "no such thing"
        assert "invoker_functions" in "".join(problem["stackTrace"])

    def test_the_next_call_after_an_exception_is_answered(self, invoker: Invoker) -> None:
        invoker.invoke("fail", b'{"what": "thing"}')
        assert invoker.invoke("fail", b'{"what": "thing"}').error_type
        assert payload_of(invoker.invoke("echo", b"1")) == 1

    def test_the_context_of_the_run_reaches_the_function(self, invoker: Invoker) -> None:
        context = {"run": "R1", "user": "ünï 🎭", "parent": "", "attempt": "1"}
        assert payload_of(invoker.invoke("caller", b"{}", context=context)) == context
        assert payload_of(invoker.invoke("caller", b"{}")) is None

    def test_a_function_that_takes_too_long_is_ended_and_reported(self, invoker: Invoker) -> None:
        began = time.monotonic()
        answer = invoker.invoke("slow", b"{}")
        assert answer.error_type == "Sandbox.Timedout"
        assert LIMIT_S <= time.monotonic() - began < 20

    def test_a_process_that_ends_is_an_error_and_the_next_call_has_another(self, invoker: Invoker) -> None:
        for _ in range(2):
            assert invoker.invoke("crash", b"{}").error_type == "Runtime.ExitError"

    def test_the_last_lines_are_returned_when_asked_for(self, invoker: Invoker) -> None:
        answer = invoker.invoke("talk", b'{"text": "said so"}', log_tail=True)
        assert "said so" in answer.log_tail

    def test_a_function_that_is_not_there(self, invoker: Invoker) -> None:
        for call in (invoker.invoke, invoker.poke):
            with pytest.raises(NotFoundError, match="nobody") as raised:
                call("nobody", b"{}")
            assert raised.value.hint

    def test_more_than_6_mb_is_refused_before_it_runs(self, invoker: Invoker, tmp_path: Path) -> None:
        large = {"file": str(tmp_path / "note"), "filler": "x" * 6_300_000}
        with pytest.raises(LimitError, match="note"):
            invoker.invoke("note", json.dumps(large).encode())
        assert not (tmp_path / "note").exists()

    def test_an_answer_over_6_mb_is_an_error(self, invoker: Invoker) -> None:
        assert len(payload_of(invoker.invoke("big", b'{"size": 6000000}'))) == 6_000_000
        assert invoker.invoke("big", b'{"size": 6400000}').error_type == "Function.ResponseSizeTooLarge"

    def test_a_poke_returns_before_the_function_does(self, invoker: Invoker, tmp_path: Path) -> None:
        note = tmp_path / "note"
        invoker.poke("note", json.dumps({"file": str(note), "after_s": 0.5}).encode())
        assert not note.exists()
        wait_until(note.exists, what="what was poked")

    def test_calls_at_once_get_their_own_answers(self, invoker: Invoker) -> None:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda n: payload_of(invoker.invoke("echo", json.dumps(n).encode())), range(24)))
        assert answers == list(range(24))
