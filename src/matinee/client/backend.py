"""The adapters of the four ports (and the view of logs) that a process's settings ask for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from matinee.caches import SharedReads
from matinee.ports import Files, Invoker, Logs, Store
from matinee.settings import LIVE, Settings

if TYPE_CHECKING:
    from matinee.backends.aws.session import AwsSettings, Session


@dataclass(frozen=True)
class Backend:
    """What a client needs of a backend. The Launcher is missing on purpose: only the dispatcher has it."""

    store: Store
    files: Files
    invoker: Invoker
    logs: Logs
    poll: SharedReads = field(default_factory=SharedReads)  # what all clients of this backend read together


def open_backend(settings: Settings) -> Backend:
    """Open the backend that `settings.backend` names; nothing connects before it is used.

    Raises DiskError when the local data cannot be opened, UsageError when the environment names no table or bucket.
    """
    return _open_aws(settings) if settings.backend == "aws" else _open_local(settings)


def _open_local(settings: Settings) -> Backend:
    """Open `settings.data` and the local Lambda service at `settings.lambda_endpoint`."""
    from matinee.backends.local.files import FolderFiles
    from matinee.backends.local.logs import FolderLogs
    from matinee.backends.local.store import SqliteStore

    return Backend(
        store=SqliteStore(settings.data / "state.db"),
        files=FolderFiles(settings.data / "files"),
        invoker=open_invoker(settings),
        logs=FolderLogs(settings.data / "logs"),
    )


def _open_aws(settings: Settings) -> Backend:
    """Open the table and bucket of the environment (`backends.aws.session`), and the functions at their alias."""
    from matinee.backends.aws import opening

    opening.aws_settings()
    return on_aws(settings, opening.open_session())


def on_aws(settings: Settings, session: Session, store: Store | None = None) -> Backend:
    """Return the backend on this session's table and bucket, and the functions at their alias."""
    from matinee.backends.aws import opening

    store = store or opening.open_store(session)
    return Backend(
        store=store,
        files=opening.open_files(session),
        invoker=open_invoker(settings, session.settings),
        logs=_folder_logs(settings)
        if settings.logs == "folder"
        else opening.open_logs(store.run, settings.function_prefix, session),
    )


def _folder_logs(settings: Settings) -> Logs:
    from matinee.backends.local.logs import FolderLogs

    return FolderLogs(settings.data / "logs")


def open_invoker(settings: Settings, aws: AwsSettings | None = None) -> Invoker:
    """Open what calls functions, predictors and the dispatcher alike: on AWS always at their alias.

    `aws` names region and endpoint, by default as the environment does.
    """
    from matinee.lambda_api.invoker import LambdaInvoker

    if settings.backend != "aws":
        return LambdaInvoker(endpoint=settings.lambda_endpoint, prefix=settings.function_prefix)
    from matinee.backends.aws.session import AwsSettings

    aws = aws or AwsSettings.from_environment()
    return LambdaInvoker(
        endpoint=settings.lambda_endpoint or aws.endpoint,
        region=aws.region,
        prefix=settings.function_prefix,
        qualifier=LIVE,
        signed=not settings.lambda_endpoint,
    )
