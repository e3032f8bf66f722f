"""What is at hand inside a predictor: `state`, `track`, `progress`, `context`.

Without a backend (the plain function in a test or a notebook) `state` is a dict and `track` a bar on the terminal.
A runtime connects them with `bind`.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any, NamedTuple, Protocol, TypeVar

from matinee.settings import LABEL, MANIFEST, PREDICTOR

T = TypeVar("T")

REPORT_EVERY_S = 0.2


class Context(NamedTuple):
    """Which run this is. `deadline_s` is in epoch seconds."""

    run_id: str = ""
    user: str = ""
    version: str = ""
    attempt: int = 1
    deadline_s: float = float("inf")
    predictor: str = ""


class Binding(Protocol):
    """What a runtime offers the predictor it runs."""

    @property
    def context(self) -> Context:
        """Return the present run's context."""

    def report(self, fraction: float | None, message: str) -> None:
        """Tell how far the run is; called often, must be cheap."""

    def call(self, name: str, inputs: Mapping[str, Any]) -> Any:
        """Call another predictor with Python values; return its result as read-only records."""

    def map(self, name: str, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Call it for every row in parallel; return the results in order."""

    def submit(self, name: str, inputs: Mapping[str, Any]) -> str:
        """Submit a run with Python values and return its id."""

    def state_get(self, key: str) -> Any:
        """Return the shared value, None if there is none."""

    def state_set(self, key: str, value: Any) -> None:
        """Set the shared value; None removes it."""

    def state_increment(self, key: str, by: float) -> float:
        """Add atomically to a number (0 if there is none) and return the sum."""

    def state_swap(self, key: str, old: Any, new: Any) -> bool:
        """Set `new` only if the value is still `old`."""


_binding: Binding | None = None


def bind(binding: Binding | None) -> None:
    """Connect this process to a runtime, or let go of it (None)."""
    global _binding
    _binding = binding


def bound() -> Binding | None:
    """Return what this process is connected to."""
    return _binding if _binding is not None else _binding_of_image()


def _binding_of_image() -> Binding | None:
    """Connect the process of an image that was not built by Matinee but has it inside; None for every other process.

    Its own command starts it, so no runtime of ours has bound it: only our variables say what it is. Without this
    every process of it would count in a `state` of its own.
    """
    if not os.environ.get(PREDICTOR) or os.environ.get(MANIFEST):
        return None
    global _binding
    # By name: the runtime stands above this module, and only such a process needs it here.
    runtime = importlib.import_module("matinee.runtime.execute")
    _binding = runtime.RuntimeBinding(None, Context(version=os.environ.get(LABEL, ""), predictor=os.environ[PREDICTOR]))
    return _binding


def context() -> Context:
    """Return which run this is: run id, user, version, attempt, deadline."""
    binding = bound()
    return binding.context if binding is not None else Context()


class State:
    """A small key-value store that all runs of the app share. Keys are text, values JSON.

    Without a backend it is a dict of this process.
    """

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._lock = threading.Lock()

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value, `default` if there is none."""
        binding = bound()
        value = binding.state_get(key) if binding is not None else _copy(self._values.get(key))
        return default if value is None else value

    def __getitem__(self, key: str) -> Any:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        value, binding = _copy(value), bound()
        if binding is not None:
            binding.state_set(key, value)
        else:
            with self._lock:
                self._put(key, value)

    def __delitem__(self, key: str) -> None:
        self[key] = None

    def __contains__(self, key: str) -> bool:
        return self.get(key) is not None

    def increment(self, key: str, by: float = 1, start: float = 0) -> float:
        """Add to a number atomically and return the sum; a missing number counts as `start`."""
        binding = bound()
        if binding is not None:
            if start:
                binding.state_swap(key, None, start)
            return binding.state_increment(key, by)
        with self._lock:
            total: float = self._values.get(key, start) + by
            self._values[key] = total
            return total

    def swap(self, key: str, old: Any, new: Any) -> bool:
        """Set `new` only if the value is still `old` (None = missing); say whether it was."""
        old, new, binding = _copy(old), _copy(new), bound()
        if binding is not None:
            return binding.state_swap(key, old, new)
        with self._lock:
            if self._values.get(key) != old:
                return False
            self._put(key, new)
            return True

    def clear(self) -> None:
        """Forget everything this process keeps without a backend: for tests."""
        self._values.clear()

    def _put(self, key: str, value: Any) -> None:
        if value is None:
            self._values.pop(key, None)
        else:
            self._values[key] = value


def _copy(value: Any) -> Any:
    """Return the value as the store would give it back, so that a test meets what production meets."""
    return json.loads(json.dumps(value, allow_nan=False))


state = State()


def progress(fraction: float | None, message: str = "") -> None:
    """Tell how far the run is: `fraction` in 0…1, None when unknown."""
    if fraction is not None:
        fraction = min(1.0, max(0.0, float(fraction)))
    if _binding is not None:
        _binding.report(fraction, message)
    elif sys.stderr is not None and sys.stderr.isatty():
        _draw(fraction, message)


def track(iterable: Iterable[T], label: str = "", *, total: int | None = None) -> Iterator[T]:
    """Yield the items and report the progress. `total`: how many, when the iterable cannot tell."""
    if total is None:
        total = len(iterable) if isinstance(iterable, Sized) else None
    done, reported_at = 0, 0.0
    for item in iterable:
        now = time.monotonic()
        if now - reported_at >= REPORT_EVERY_S:
            _report_step(done, total, label)
            reported_at = now
        yield item
        done += 1
    _report_step(done, done, label)


def _report_step(done: int, total: int | None, label: str) -> None:
    count = f"{done}/{total}" if total is not None else str(done)
    progress(done / total if total else None, f"{label} {count}".strip())


def _draw(fraction: float | None, message: str) -> None:
    filled = round(30 * (fraction or 0))
    end = "\n" if fraction == 1 else ""
    sys.stderr.write(f"\r\x1b[2K{'█' * filled}{'░' * (30 - filled)} {message}{end}")
    sys.stderr.flush()
