"""The adapters of this process, opened from its environment; all of them share one session."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from matinee.backends.aws.session import AwsSettings, Session
from matinee.errors import UsageError

if TYPE_CHECKING:  # each is imported when it is opened
    from collections.abc import Callable

    from matinee.backends.aws.files import S3Files
    from matinee.backends.aws.logs import CloudWatchLogs, StreamLogs
    from matinee.backends.aws.store import DynamoStore
    from matinee.runs import Run


def aws_settings() -> AwsSettings:
    """Return where table and bucket are; UsageError when the environment names none."""
    found = AwsSettings.from_environment()
    missing = [f"MATINEE_{n}" for n, v in (("TABLE", found.table), ("BUCKET", found.bucket)) if not v]
    if missing:
        raise UsageError(
            f"The AWS backend has no {' and no '.join(missing)} in its environment.",
            hint="A deployed container has them; elsewhere, use matinee.connect(stage=…).",
        )
    return found


def open_session() -> Session:
    """Return the process's session; nothing connects before it is used."""
    return _session(aws_settings())


@cache
def _session(found: AwsSettings) -> Session:
    return Session(found)


def open_store(session: Session | None = None) -> DynamoStore:
    """Open the store, at the process's session unless another is given."""
    from matinee.backends.aws.store import DynamoStore

    return DynamoStore(session or open_session())


def open_files(session: Session | None = None) -> S3Files:
    """Open the files."""
    from matinee.backends.aws.files import S3Files

    return S3Files(session or open_session())


def open_logs(run_of: Callable[[str], Run | None], prefix: str, session: Session | None = None) -> CloudWatchLogs:
    """Open the reader of log lines of the app whose resources' names begin with `prefix`."""
    from matinee.backends.aws.logs import CloudWatchLogs

    return CloudWatchLogs(session or open_session(), run_of, prefix=prefix)


def open_log_writer() -> StreamLogs:
    """Open the writer of log lines: a container's own output is what CloudWatch keeps."""
    from matinee.backends.aws.logs import StreamLogs

    return StreamLogs()
