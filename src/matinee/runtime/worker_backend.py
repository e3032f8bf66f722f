"""The adapters a batch worker uses, by `settings.backend`: the one place to add another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # a worker must start fast
    from matinee.ports import Files, LogLine, Store
    from matinee.settings import Settings


class LogWriter(Protocol):
    """Where a worker's log lines go."""

    def write(self, lines: Iterable[LogLine]) -> None:
        """Keep the lines; OSError when that is not possible."""


def open_store(settings: Settings) -> Store:
    """Open the store; BackendError with what to do when that is not possible."""
    if settings.backend == "aws":
        from matinee.backends.aws import opening

        return opening.open_store()
    from matinee.backends.local.store import SqliteStore

    return SqliteStore(settings.data / "state.db")


def open_files(settings: Settings) -> Files:
    """Open the files."""
    if settings.backend == "aws":
        from matinee.backends.aws import opening

        return opening.open_files()
    from matinee.backends.local.files import FolderFiles

    return FolderFiles(settings.data / "files")


def open_log_writer(settings: Settings) -> LogWriter:
    """Open the writer of log lines."""
    if settings.backend == "aws" and settings.logs != "folder":
        from matinee.backends.aws import opening

        return opening.open_log_writer()
    from matinee.backends.local.logs import FolderLogs

    return FolderLogs(settings.data / "logs")
