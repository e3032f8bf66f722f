"""Which backend each port has: the one place that makes store, files, invoker, launcher and logs from settings.

A backend is a package with functions `open_store(settings)`, `open_files`, …, one for each port that it has. A further
one is that package and a line in PACKAGES; `MATINEE_STORE=postgres` then chooses it for one port alone. Nothing of a
backend is loaded before it is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from matinee import settings as matinee_settings
from matinee.caches import SharedReads
from matinee.errors import UsageError

if TYPE_CHECKING:  # a worker must start fast
    from matinee.backends.aws.session import Session
    from matinee.backends.local.launcher import LaunchCommand
    from matinee.ports import Files, Invoker, Launcher, LogLine, Logs, Store
    from matinee.runs import Run, Slot
    from matinee.settings import Settings

LOCAL, AWS = "local", "aws"
PACKAGES = {
    LOCAL: "matinee.backends.local.adapters",
    AWS: "matinee.backends.aws.adapters",
}


class LogWriter(Protocol):
    """Where a worker's log lines go."""

    def write(self, lines: Iterable[LogLine]) -> None:
        """Keep the lines; OSError when that is not possible."""


@dataclass(frozen=True)
class StoreTraits:
    """How the clients of a store behave: how old what they read may be, and what to do when nothing is live there."""

    release_age_s: float = 0.25
    queue_age_s: float = 0.25
    how_to_start: str = "Start it: `matinee dev`."


@dataclass(frozen=True)
class Backend:
    """What a client needs of a backend. The Launcher is missing on purpose: only the dispatcher has it."""

    store: Store
    files: Files
    invoker: Invoker
    logs: Logs
    poll: SharedReads = field(default_factory=SharedReads)  # what all clients of this backend read together
    traits: StoreTraits = StoreTraits()


def open_backend(settings: Settings, session: Session | None = None, store: Store | None = None) -> Backend:
    """Open what a client needs; nothing connects before it is used. `session` is the one of all that is on AWS.

    Raises DiskError when the local data cannot be opened, UsageError when the settings name what there is not, or the
    environment no table or bucket.
    """
    store = store or open_store(settings, session)
    return Backend(
        store=store,
        files=open_files(settings, session),
        invoker=open_invoker(settings, session),
        logs=open_logs(settings, store.run, session),
        traits=StoreTraits(
            **getattr(_package(matinee_settings.STORE, settings.store or settings.backend), "TRAITS", {})
        ),
    )


def open_store(settings: Settings, session: Session | None = None) -> Store:
    """Open the store; BackendError or UsageError with what to do when that is not possible."""
    store: Store = _open("store", matinee_settings.STORE, settings.store or settings.backend, session)(settings)
    return store


def open_files(settings: Settings, session: Session | None = None) -> Files:
    """Open the files."""
    files: Files = _open("files", matinee_settings.FILES, settings.files or settings.backend, session)(settings)
    return files


def open_invoker(settings: Settings, session: Session | None = None) -> Invoker:
    """Open what calls functions, predictors and the dispatcher alike."""
    invoker: Invoker = _open("invoker", matinee_settings.INVOKER, settings.invoker or settings.backend, session)(
        settings
    )
    return invoker


def open_launcher(
    settings: Settings,
    command_for: Callable[[Slot], LaunchCommand] | None = None,
    on_exit: Callable[[Slot], None] | None = None,
) -> Launcher:
    """Open what starts workers. On this machine it needs the command of a slot; `on_exit` hears when one has ended."""
    opener = _open("launcher", matinee_settings.LAUNCHER, settings.launcher or settings.backend)
    launcher: Launcher = opener(settings, command_for, on_exit)
    return launcher


def open_logs(settings: Settings, run_of: Callable[[str], Run | None], session: Session | None = None) -> Logs:
    """Open the reader of log lines; `run_of` finds a run by its id."""
    logs: Logs = _open("logs", matinee_settings.LOGS, _logs_of(settings), session)(settings, run_of)
    return logs


def open_log_writer(settings: Settings) -> LogWriter:
    """Open the writer of a worker's log lines."""
    writer: LogWriter = _open("log_writer", matinee_settings.LOGS, _logs_of(settings))(settings)
    return writer


def _logs_of(settings: Settings) -> str:
    return LOCAL if settings.logs == "folder" else settings.backend


def _open(port: str, variable: str, name: str, session: Session | None = None) -> Callable[..., Any]:
    """Return the function that opens a port of the backend of that name; UsageError when there is none."""
    opener: Callable[..., Any] | None = getattr(_package(variable, name), f"open_{port}", None)
    if opener is None:
        raise UsageError(f"The backend {name} has no {port}.", hint=f"Name another one in {variable}, or unset it.")
    if session is None or name != AWS:
        return opener
    return lambda *arguments: opener(*arguments, session=session)


def _package(variable: str, name: str) -> Any:
    if name not in PACKAGES:
        raise UsageError(
            f"The variable {variable} is {name!r}: there is no such backend.",
            hint=f"Set it to {' or '.join(PACKAGES)}, or unset it.",
        )
    return import_module(PACKAGES[name])
