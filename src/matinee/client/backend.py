"""The adapters of the four ports (and the view of logs) that a process's settings ask for."""

from __future__ import annotations

from dataclasses import dataclass

from matinee.ports import Files, Invoker, Logs, Store
from matinee.settings import Settings


@dataclass(frozen=True)
class Backend:
    """What a client needs of a backend. The Launcher is missing on purpose: only the dispatcher has it."""

    store: Store
    files: Files
    invoker: Invoker
    logs: Logs


def open_backend(settings: Settings) -> Backend:
    """Open the local backend on `settings.data` and the local Lambda service at `settings.lambda_endpoint`."""
    from matinee.backends.local.files import FolderFiles
    from matinee.backends.local.logs import FolderLogs
    from matinee.backends.local.store import SqliteStore
    from matinee.lambda_api.invoker import LambdaInvoker

    return Backend(
        store=SqliteStore(settings.data / "state.db"),
        files=FolderFiles(settings.data / "files"),
        invoker=LambdaInvoker(endpoint=settings.lambda_endpoint, prefix=settings.function_prefix),
        logs=FolderLogs(settings.data / "logs"),
    )
