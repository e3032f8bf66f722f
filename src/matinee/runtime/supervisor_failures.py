"""Plain words for every way an attempt can fail outside the predictor's own exceptions."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from matinee.runs import Failure, Json

if TYPE_CHECKING:
    from matinee.runtime.supervisor_job import Job
    from matinee.runtime.supervisor_slot import Predictor

_OF_THE_PROCESS = ("crash", "out_of_memory", "timeout")  # after which many rows go on in a new process
_KILLED = -signal.SIGKILL
_NEAR = 0.8  # of the memory: killed by the system at this size means that memory ran out


def timed_out(predictor: Predictor) -> Failure:
    """The run took longer than it may."""
    limit = f"{predictor.timeout_s:g} s"
    return Failure(
        "timeout",
        f"{predictor.name} took longer than its limit of {limit}.",
        hint=f"Raise timeout_s (now {limit}) of {predictor.name}, or give it less to do.",
    )


def start_timed_out(predictor: Predictor, limit_s: float) -> Failure:
    """Importing the component never came to an end."""
    return Failure(
        "start",
        f"Importing {predictor.component} took longer than {limit_s:g} s.",
        hint="What a component does at module level (downloading or loading a model) must end sooner.",
    )


def out_of_memory(predictor: Predictor, used_bytes: int) -> Failure:
    """The run used more memory than it may."""
    limit = predictor.memory_mb
    used = f"used {used_bytes / 2**20:.0f} MB of its {limit} MB" if used_bytes else f"ran out of its {limit} MB"
    return Failure(
        "out_of_memory",
        f"{predictor.name} {used} of memory.",
        hint=f"Raise memory_mb (now {limit}) of {predictor.name}, or work on less at a time.",
    )


def crashed(
    predictor: Predictor, exit_code: int, *, peak_bytes: int, had_no_memory: bool, last_words: str, ready: bool
) -> Failure:
    """The process that ran the predictor ended in the middle of it."""
    is_near = peak_bytes >= _NEAR * predictor.memory_mb * 2**20
    if exit_code == _KILLED and (had_no_memory or is_near):
        return out_of_memory(predictor, peak_bytes if is_near else 0)  # what grows fast is seen while it is small
    how = f"was ended by {_signal_name(-exit_code)}" if exit_code < 0 else f"ended with exit code {exit_code}"
    doing = "running" if ready else "being imported"
    return Failure(
        "crash",
        f"The process of {predictor.name} {how} while {doing}.",
        hint="Look at the run's log: native code (a segmentation fault), os._exit or the system ended it.",
        traceback=last_words,
    )


def in_rows(failure: Failure, job: Job | None) -> tuple[Failure, bool]:
    """Say which of many rows were being predicted, and whether to go on after those whose results are stored.

    A process that ended before it had stored any would end there again: then the run fails. A single run's failure
    stays as it is.
    """
    if job is None or job.rows is None:
        return failure, False
    first, last = job.rows
    where = f"row {first:,}" if first == last else f"one of the rows {first:,} to {last:,}"
    hint = f"{failure.hint} The rows before have their results."
    message = f"{failure.message.rstrip('.')}, at {where}."
    told = Failure(failure.kind, message, hint=hint.strip(), traceback=failure.traceback)
    return told, job.has_stored and failure.kind in _OF_THE_PROCESS


def reported(report: Json) -> Failure:
    """Return the failure that the child reported."""
    return Failure(
        str(report.get("kind") or "exception"),
        str(report.get("message") or "The predictor failed without a message."),
        str(report.get("hint") or ""),
        str(report.get("traceback") or ""),
    )


def _signal_name(number: int) -> str:
    try:
        return f"signal {signal.Signals(number).name}"
    except ValueError:
        return f"signal {number}"
