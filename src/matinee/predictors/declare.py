"""`@realtime` and `@batch`: they note what a function is and leave it the plain function. They connect to nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar, overload

from matinee.errors import InputError, MatineeError, PredictionError
from matinee.predictors.context import bound

F = TypeVar("F", bound=Callable[..., Any])

declared: list[Callable[..., Any]] = []  # every decorated function of this process, in definition order


class Declared(NamedTuple):
    """What a decorator says of its function. `resources` has the names of `manifest.Resources`."""

    kind: Literal["realtime", "batch"]
    resources: Mapping[str, Any]
    examples: tuple[Mapping[str, Any], ...] = ()


def function_declared_as(name: str) -> Callable[..., Any] | None:
    """Return the plain function declared last under this name in this process."""
    return next((f for f in reversed(declared) if f.__name__ == name), None)


def _declare(
    function: F, kind: Literal["realtime", "batch"], resources: dict[str, Any], examples: Sequence[Mapping[str, Any]]
) -> F:
    resources["secrets"] = tuple(resources["secrets"])
    function.__matinee__ = Declared(kind, resources, tuple(examples))  # type: ignore[attr-defined]
    declared.append(function)
    return function


@overload
def realtime(function: F, /) -> F: ...
@overload
def realtime(
    *,
    memory_mb: int = 512,
    timeout_s: float = 30,
    concurrency: int = 0,
    examples: Sequence[Mapping[str, Any]] = (),
    secrets: Sequence[str] = (),
) -> Callable[[F], F]: ...
def realtime(
    function: F | None = None,
    /,
    *,
    memory_mb: int = 512,
    timeout_s: float = 30,
    concurrency: int = 0,
    examples: Sequence[Mapping[str, Any]] = (),
    secrets: Sequence[str] = (),
) -> F | Callable[[F], F]:
    """Declare a predictor that answers while the caller waits.

    `concurrency`: processes at once, 0 = as many as the machine or the account allows. `examples`: inputs people can
    click. `secrets`: names of the secrets it may read.
    """
    resources = {"memory_mb": memory_mb, "timeout_s": timeout_s, "concurrency": concurrency, "secrets": secrets}
    if function is not None:
        return _declare(function, "realtime", resources, examples)
    return lambda f: _declare(f, "realtime", dict(resources), examples)


@overload
def batch(function: F, /) -> F: ...
@overload
def batch(
    *,
    cpu: float = 0.25,
    memory_mb: int = 512,
    timeout_s: float = 3600,
    retries: int = 0,
    max_workers: int = 1,
    gpu: int = 0,
    examples: Sequence[Mapping[str, Any]] = (),
    schedule: str = "",
    timezone: str = "",
    secrets: Sequence[str] = (),
) -> Callable[[F], F]: ...
def batch(
    function: F | None = None,
    /,
    *,
    cpu: float = 0.25,
    memory_mb: int = 512,
    timeout_s: float = 3600,
    retries: int = 0,
    max_workers: int = 1,
    gpu: int = 0,
    examples: Sequence[Mapping[str, Any]] = (),
    schedule: str = "",
    timezone: str = "",
    secrets: Sequence[str] = (),
) -> F | Callable[[F], F]:
    """Declare a predictor that is submitted, queued and worked off by up to `max_workers` workers.

    `cpu` in vCPU; `retries`: further attempts after a failed one; `schedule`: when it runs by itself, as in
    `rate(1 hour)` or `cron(0 9 ? * MON-FRI *)` (`matinee.schedule`), "" = only on demand; `timezone`: whose clock that
    is, as in "Europe/Berlin", "" = UTC.
    """
    resources = {
        "cpu": cpu,
        "memory_mb": memory_mb,
        "timeout_s": timeout_s,
        "retries": retries,
        "max_workers": max_workers,
        "gpu": gpu,
        "schedule": schedule,
        "timezone": timezone,
        "secrets": secrets,
    }
    if function is not None:
        return _declare(function, "batch", resources, examples)
    return lambda f: _declare(f, "batch", dict(resources), examples)


# --- handles on other predictors --------------------------------------------------------------------------------------
# `predictor(name)`: a handle on another predictor, inert until it is called.

handled: list[str] = []  # names a handle was made for in this process: inspection reads them as `calls`


class Handle(NamedTuple):
    """Calls the predictor `name`: through the backend inside a run, else its plain function in this process."""

    name: str

    def __call__(self, **inputs: Any) -> Any:
        """Call and wait; results are read-only records. Raises PredictionError when the predictor fails."""
        binding = bound()
        if binding is None:
            return self._plain()(**inputs)
        return self._refusal_explained(lambda: binding.call(self.name, inputs))

    def map(self, rows: Iterable[Mapping[str, Any]]) -> list[Any]:
        """Call for every row in parallel; results in the rows' order."""
        binding = bound()
        if binding is not None:
            return list(self._refusal_explained(lambda: binding.map(self.name, list(rows))))
        from concurrent.futures import ThreadPoolExecutor

        function = self._plain()
        with ThreadPoolExecutor() as pool:
            return list(pool.map(lambda row: function(**row), rows))

    def submit(self, **inputs: Any) -> str:
        """Submit a run of a batch predictor and return its id."""
        binding = bound()
        if binding is not None:
            return str(self._refusal_explained(lambda: binding.submit(self.name, inputs)))
        raise MatineeError(
            f"{self.name}.submit() needs a running app, and this is a plain Python process.",
            hint="Call it directly to run it here, or use matinee.connect() to submit from outside.",
        )

    def _plain(self) -> Callable[..., Any]:
        function = function_declared_as(self.name)
        if function is None:
            raise MatineeError(
                f'predictor("{self.name}") was called, and no predictor of that name is declared in this process.',
                hint=f"In a test or a notebook import the module that declares {self.name} first; "
                "inside an app it is found by itself.",
            )
        return function

    def _refusal_explained(self, call: Callable[[], Any]) -> Any:
        """Call; inputs the callee refuses are this predictor's mistake, not its user's."""
        try:
            return call()
        except InputError as error:
            raise PredictionError(f"{self.name} refused its input: {error.message}.", hint=error.hint) from error


def predictor(name: str) -> Handle:
    """Return a handle on the predictor `name` of this app, whichever component holds it."""
    handled.append(name)
    return Handle(name)
