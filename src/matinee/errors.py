"""Every error a person can meet: one sentence of what is wrong and where, and a hint of what to do next.

MatineeError
├── UsageError                 the caller's to mend: exit code 2, HTTP 4xx
│   ├── InputError             values that do not fit a predictor's parameters (HTTP 422)
│   ├── AccessError            not signed in, or not this person's to do (401, 403)
│   ├── NotFoundError          no such predictor, run or file (404)
│   ├── ConflictError          the run is no longer in a state that allows this (409)
│   ├── LimitError             payload or upload over its limit (413)
│   │   └── RateError          too much at once: later it is allowed (429)
│   ├── ProjectError           matinee.toml or the folder
│   └── ComponentError         a component that cannot be inspected: dependencies, syntax, import, annotation
├── PredictionError            the predictor ran and failed: exception, timeout, memory, crash
└── BackendError               the store, the files or a service did not do its part: it was not done
    ├── UnansweredError        the exception to that: no answer came, and it may have been done all the same
    └── DiskError              the data folder on this machine: damaged, full, read-only (exit code 2)
"""

from __future__ import annotations

from typing import NamedTuple


class MatineeError(Exception):
    """An error for a person: `message` says what is wrong and where, `hint` what to do next."""

    exit_code = 1
    http_status = 500

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        if not self.hint:
            return self.message
        stop = "" if self.message.endswith((".", "!", "?")) else "."
        return f"{self.message}{stop} {self.hint}"


class Interruption(BaseException):
    """Ends a call of user code from outside. No Exception: a predictor that catches everything must not catch it."""


class UsageError(MatineeError):
    """Something the caller can mend."""

    exit_code = 2
    http_status = 400


class Problem(NamedTuple):  # not a dataclass: importing `dataclasses` would double a predictor's start
    """One thing wrong with one value; `path` is where, as in `start` or `model.layers.0`."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class InputError(UsageError):
    """Values that do not fit. Raise it to speak of one field: `InputError("end", "must be after start")`."""

    http_status = 422

    def __init__(
        self, path: str = "", message: str = "", *, problems: tuple[Problem, ...] = (), hint: str = ""
    ) -> None:
        self.problems = problems or (Problem(path, message),)
        super().__init__("; ".join(map(str, self.problems)), hint=hint)


class AccessError(UsageError):
    """Seen, but not this person's to do; `http_status` is 401 where signing in would help."""

    http_status = 403

    def __init__(self, message: str, *, hint: str = "", signed_in: bool = True) -> None:
        super().__init__(message, hint=hint)
        self.http_status = 403 if signed_in else 401


class NotFoundError(UsageError):
    """There is no such thing, or it is not the caller's to see: the answer is the same."""

    http_status = 404


class ConflictError(UsageError):
    """What was asked for is not possible in the present state."""

    http_status = 409


class LimitError(UsageError):
    """Over a limit that `matinee.toml` can raise."""

    http_status = 413


class RateError(LimitError):
    """Too much at once; the same is allowed later. `retry_after_s` says when, 0 = unknown."""

    http_status = 429

    def __init__(self, message: str, *, hint: str = "", retry_after_s: float = 0.0) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class ProjectError(UsageError):
    """The app's folder or its `matinee.toml`."""


class ComponentError(UsageError):
    """A component that cannot be inspected. `file` and `line` (1-based, 0 = unknown) say where."""

    def __init__(self, message: str, *, hint: str = "", file: str = "", line: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.file = file
        self.line = line


class PredictionError(MatineeError):
    """A predictor ran and failed. `kind` is one of `runs.FAILURE_KINDS`; `traceback` its last lines."""

    http_status = 500

    def __init__(self, message: str, *, kind: str = "exception", hint: str = "", traceback: str = "") -> None:
        super().__init__(message, hint=hint)
        self.kind = kind
        self.traceback = traceback


class BackendError(MatineeError):
    """The store, the files or a service did not do its part. Only an UnansweredError leaves open whether it did."""

    http_status = 503


class UnansweredError(BackendError):
    """No answer came, or none that tells: what was asked for may have been done. Ask again in the same words."""


class DiskError(BackendError):
    """The app's own data folder cannot be used: damaged, full, read-only. The one who runs the command can mend it."""

    exit_code = 2
