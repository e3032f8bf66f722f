"""The product's functions, stopped at each call of a port, without threads.

A step's function is run again from its start with the answers it had so far; at its first call without an answer it is
left by an exception no code catches. So what a process is in the middle of is a value: the step and its answers.

Different answers often leave it in the same place: where it stopped, in each function with which local variables
(`place`). What can still matter is in them, but for the three cases `_place` names.
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

from matinee.errors import BackendError, UnansweredError
from matinee.queue.claims import ClaimBatch
from matinee.runs import Pool

# What stands for an error in the answers.
LOST = "answer lost"
UNANSWERED = "launch unanswered"


class Request(NamedTuple):
    """One call of a port."""

    method: str
    args: tuple[Any, ...]
    kwargs: tuple[tuple[str, Any], ...] = ()


class Waiting(NamedTuple):
    """It waits for the answer to `request`; in the same place it will go on in the same way."""

    request: Request
    place: Any


class Returned(NamedTuple):
    value: Any


class Raised(NamedTuple):
    error: BackendError


class _Stopped(BaseException):
    def __init__(self, request: Request) -> None:
        self.request = request


class Ports:
    """Store, launcher, invoker and clock of a step that is being replayed.

    `torn`: the pool, as several items read one after the other, is no snapshot (as with DynamoDB's Query).
    """

    def __init__(self, answers: tuple[Any, ...], *, torn: bool) -> None:
        self._answers = iter(answers)
        self._torn = torn

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        try:
            answer = next(self._answers)
        except StopIteration:
            raise _Stopped(Request(method, args, tuple(kwargs.items()))) from None
        if answer is LOST:
            raise BackendError("The answer was lost.")
        if answer is UNANSWERED:
            raise UnansweredError("No answer came.")
        return answer

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ports)

    def __hash__(self) -> int:
        return 0

    def __getattr__(self, method: str) -> Any:
        return lambda *args, **kwargs: self.call(method, *args, **kwargs)

    def submit(self, runs):
        return list(self.call("submit", tuple(runs)))

    def status(self, slots):
        return dict(self.call("status", tuple(slots)))

    def pool(self, predictor):
        first = self.call("pool", predictor)
        if not self._torn:
            return first
        second = self.call("pool", predictor)
        return Pool(first.predictor, first.wake, first.fair_share_rank, first.note, second.slots)


def replay(step: Any, args: tuple[Any, ...], answers: tuple[Any, ...], *, torn: bool) -> Waiting | Returned | Raised:
    """Run `step(ports, *args)` on these answers; return the call it makes next, or how it ended."""
    try:
        return Returned(step(Ports(answers, torn=torn), *args))
    except _Stopped as stopped:
        place = _place(stopped.__traceback__, stopped.request.method)
        return Waiting(stopped.request, answers if place is None else place)
    except BackendError as error:
        return Raised(error)


# Variables that are set anew, or never looked at again, before they could matter.
_DEAD = {
    ("dispatch", ""): {"launched"},
    ("dispatch", "missing_slot"): {"slot"},
    ("settle", "_claim_first"): {"new", "many"},
    ("_claimable", "run"): {"run"},
    ("_take_up_unanswered", "run"): {"run", "entry"},
    ("_take_up_unanswered", "entry"): {"entry"},
    ("_record_ends", "finish"): {"ends"},
    ("_claim_first", "due"): {"entries", "entry", "run", "change"},
    ("_claim_first", "run"): {"run", "change"},
    ("finish", "run"): {"change", "current"},
    ("lose_lease", "run"): {"run"},
    ("lose_lease", "entry"): {"run"},
    ("free_dead_slots", "status"): {"slot"},
    ("count_failed_starts", "run"): {"run"},
    ("relaunch", "launch"): {"note"},
}


def _place(traceback: Any, method: str) -> Any:
    """Return where the step stopped and its variables; None where they do not tell all.

    A comprehension keeps what it has made so far where nobody can look: then the answers tell. A function is its
    arguments, which are in the place; a loop is its variables, for no list holds a thing twice.
    """
    frames = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if code.co_filename != __file__:
            if code.co_name.startswith("<"):
                return None
            frames.append((code.co_name, traceback.tb_lasti, traceback.tb_frame.f_locals))
        elif "first" in traceback.tb_frame.f_locals:  # between the two halves of a torn read
            frames.append((code.co_name, traceback.tb_lasti, {"first": traceback.tb_frame.f_locals["first"]}))
        traceback = traceback.tb_next
    inner = [name for name, _, _ in frames[1:]] + [method]
    return tuple(
        (name, at, _frozen({key: value for key, value in found.items() if key not in _dead(name, below)}))
        for (name, at, found), below in zip(frames, inner, strict=True)
    )


def _dead(name: str, below: str) -> set[str]:
    return _DEAD.get((name, ""), set()) | _DEAD.get((name, below), set())


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple((key, _frozen(one)) for key, one in sorted(value.items()) if not callable(one))
    if isinstance(value, ClaimBatch):
        return _frozen(vars(value))
    if isinstance(value, Exception):
        return str(value)
    if isinstance(value, set):
        return frozenset(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return value
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple | deque) else value
