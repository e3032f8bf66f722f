"""The ports on this machine, as `backends.factory` opens them: SQLite, folders, the Lambda service, processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from matinee.errors import UsageError
from matinee.settings import LAUNCHER

if TYPE_CHECKING:  # each is imported when it is opened: a worker must start fast
    from matinee.backends.local.files import FolderFiles
    from matinee.backends.local.launcher import LaunchCommand, ProcessLauncher
    from matinee.backends.local.logs import FolderLogs
    from matinee.backends.local.store import SqliteStore
    from matinee.lambda_api.invoker import LambdaInvoker
    from matinee.runs import Slot
    from matinee.settings import Settings


def open_store(settings: Settings) -> SqliteStore:
    """Open `state.db` of the data folder; DiskError when that is not possible."""
    from matinee.backends.local.store import SqliteStore

    return SqliteStore(settings.data / "state.db")


def open_files(settings: Settings) -> FolderFiles:
    """Open `files/` of the data folder."""
    from matinee.backends.local.files import FolderFiles

    return FolderFiles(settings.data / "files")


def open_invoker(settings: Settings) -> LambdaInvoker:
    """Open the local Lambda service at the endpoint of the settings."""
    from matinee.lambda_api.invoker import LambdaInvoker

    def find_service() -> tuple[str, str] | None:
        """Return endpoint and secret of the dev that runs on this data now: it may have been started again."""
        from matinee.backends.local.dev_record import running_dev

        record = running_dev(settings.data)
        return (record.lambda_endpoint, record.aws_secret_access_key) if record else None

    return LambdaInvoker(
        settings.lambda_endpoint,
        prefix=settings.function_prefix,
        secret=settings.lambda_secret,
        find_service=find_service,
    )


def open_logs(settings: Settings, _run_of: Any = None) -> FolderLogs:
    """Open `logs/` of the data folder."""
    from matinee.backends.local.logs import FolderLogs

    return FolderLogs(settings.data / "logs")


open_log_writer = open_logs


def open_launcher(
    settings: Settings,
    command_for: Callable[[Slot], LaunchCommand] | None,
    on_exit: Callable[[Slot], None] | None = None,
) -> ProcessLauncher:
    """Start workers as processes with the data folder; UsageError where nobody knows their command."""
    from matinee.backends.local.launcher import ProcessLauncher

    if command_for is None:
        raise UsageError(
            "Workers of this machine are started by `matinee dev`.", hint=f"Set {LAUNCHER} to another backend."
        )
    return ProcessLauncher(command_for, settings.data, on_exit=on_exit)
