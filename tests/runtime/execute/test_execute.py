"""One prediction, from JSON inputs to JSON result, and each way it can fail."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import pytest

import matinee
from matinee.errors import BackendError, InputError, PredictionError
from matinee.runtime.execute import execute
from matinee.values.describe import describe


@dataclass
class Plan:
    days: int
    first: dt.date


def run(function: Callable[..., Any], inputs: Any, files: Any = None) -> Any:
    parameters, result = describe(function)
    return execute(function, {"parameters": parameters, "result": result}, inputs, files)


def failure(function: Callable[..., Any], inputs: Any = None) -> PredictionError:
    with pytest.raises(PredictionError) as failed:
        run(function, inputs or {})
    return failed.value


def plan(start: dt.date, end: Annotated[dt.date, matinee.after("start")], step: int = 1) -> Plan:
    return Plan((end - start).days // step, start)


def test_json_in_python_inside_json_out() -> None:
    assert run(plan, {"start": "2026-01-01", "end": "2026-01-11", "step": 2}) == {"days": 5, "first": "2026-01-01"}


def test_inputs_that_do_not_fit_never_reach_the_function() -> None:
    with pytest.raises(InputError) as refused:
        run(plan, {"start": "2026-01-02", "end": "2026-01-01", "step": "x", "stop": 1})
    assert [p.path for p in refused.value.problems] == ["end", "step", "stop"]


@pytest.mark.parametrize("inputs", [[], "x", None, 3])
def test_inputs_are_an_object(inputs: Any) -> None:
    with pytest.raises(InputError, match="must be an object"):
        run(plan, inputs)


def picky(n: int) -> int:
    raise InputError("n", "must be lucky")


def test_the_function_may_refuse_a_value_itself() -> None:
    with pytest.raises(InputError, match="n: must be lucky"):
        run(picky, {"n": 1})


def deep(n: int) -> int:
    return deeper(n)


def deeper(n: int) -> int:
    return n // 0


def test_an_exception_shows_the_users_own_frames_only() -> None:
    failed = failure(deep, {"n": 1})
    assert failed.kind == "exception"
    assert failed.message == "deep raised ZeroDivisionError: integer division or modulo by zero"
    assert failed.traceback.startswith("Traceback (most recent call last):")
    assert failed.traceback.endswith("ZeroDivisionError: integer division or modulo by zero")
    assert "in deep\n" in failed.traceback
    assert "in deeper\n" in failed.traceback
    assert "matinee/runtime" not in failed.traceback


def chained() -> int:
    try:
        deeper(1)
    except ZeroDivisionError as error:
        raise RuntimeError("no luck") from error
    return 1


def test_the_cause_of_an_exception_is_shown_too() -> None:
    trace = failure(chained).traceback
    assert "direct cause" in trace
    assert trace.index("ZeroDivisionError") < trace.index("RuntimeError: no luck")


def hungry() -> int:
    raise MemoryError


def leaves() -> int:
    raise SystemExit(3)


def cut_off() -> int:
    raise BackendError("The store does not answer.", hint="Try again.")


@pytest.mark.parametrize("kind", [asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, BaseException])
def test_what_is_no_exception_is_named_as_well(kind: type[BaseException]) -> None:
    def ends() -> int:
        raise kind("here")

    assert failure(ends).message == f"ends raised {kind.__name__}: here"


def test_each_failure_has_its_kind_and_a_way_out() -> None:
    assert (failure(hungry).kind, failure(hungry).hint) == (
        "out_of_memory",
        "Raise memory_mb, or work on the data in smaller parts.",
    )
    assert failure(leaves).message == "leaves raised SystemExit: 3"
    assert (failure(cut_off).message, failure(cut_off).hint) == ("The store does not answer.", "Try again.")


def wrong_type() -> Plan:
    return Plan("many", None)  # type: ignore[arg-type]


def not_json() -> dict[str, Any]:
    return {"model": object()}


def not_a_number() -> list[float]:
    return [1.0, float("nan")]


def nothing() -> int:
    return None  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("function", "wrong"),
    [
        (wrong_type, "days must be a whole number; first must be a date such as 2026-01-31"),
        (not_json, "model is a object, which has no JSON form"),
        (not_a_number, "1 is nan, which JSON cannot carry"),
        (nothing, "it must be a whole number"),
    ],
)
def test_a_result_that_does_not_fit_is_said_in_a_sentence(function: Callable[..., Any], wrong: str) -> None:
    failed = failure(function)
    assert failed.kind == "invalid_result"
    assert failed.message == f"The result of {function.__name__} does not fit its return annotation: {wrong}."
    assert failed.hint


def size(file: matinee.File) -> matinee.File:
    return matinee.File(file.data * 300_000, "twice.bin")


def test_large_bytes_travel_through_files() -> None:
    class Files:
        def __init__(self) -> None:
            self.kept = {"files/in": b"ab", "p": b'{"file":{"$blob":"text/plain","name":"n","key":"files/in"}}'}

        def read(self, key: str) -> bytes:
            return self.kept[key]

        def put(self, key: str, data: bytes, *, media_type: str) -> int:
            self.kept[key] = data
            return len(data)

    files = Files()
    blob = run(size, {"$payload": "p"}, files)
    assert blob == {
        "$blob": "application/octet-stream",
        "name": "twice.bin",
        "key": "results/run/1/0-twice.bin",
        "size_bytes": 600_000,
    }
    assert files.kept[blob["key"]] == b"ab" * 300_000
