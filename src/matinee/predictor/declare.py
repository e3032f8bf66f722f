"""`@realtime` and `@batch`: they note what a function is and leave it the plain function. They connect to nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar, overload

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
    secrets: Sequence[str] = (),
) -> F | Callable[[F], F]:
    """Declare a predictor that is submitted, queued and worked off by up to `max_workers` workers.

    `cpu` in vCPU; `retries`: further attempts after a failed one; `schedule`: when it runs by itself, in UTC, as in
    `rate(1 hour)` or `cron(0 9 ? * MON-FRI *)` (`matinee.schedule`), "" = only on demand.
    """
    resources = {
        "cpu": cpu,
        "memory_mb": memory_mb,
        "timeout_s": timeout_s,
        "retries": retries,
        "max_workers": max_workers,
        "gpu": gpu,
        "schedule": schedule,
        "secrets": secrets,
    }
    if function is not None:
        return _declare(function, "batch", resources, examples)
    return lambda f: _declare(f, "batch", dict(resources), examples)
