"""The ports on AWS, as `backends.factory` opens them: DynamoDB, S3, Lambda, ECS and CloudWatch.

All of a process share one session (`session.open_session`) unless another is given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from matinee.backends.aws.session import Session, open_session
from matinee.settings import LIVE, AwsSettings, LaunchSettings, Settings

if TYPE_CHECKING:  # each is imported when it is opened
    from matinee.backends.aws.files import S3Files
    from matinee.backends.aws.launcher import AwsLauncher
    from matinee.backends.aws.logs import CloudWatchLogs, StreamLogs
    from matinee.backends.aws.store import DynamoStore
    from matinee.lambda_api.invoker import LambdaInvoker
    from matinee.runs import Run

TRAITS = {
    "release_age_s": 5.0,  # each look is a request
    "queue_age_s": 5.0,  # a look at 1,000 entries costs as much as 60 of a short queue, however many look on
    "how_to_start": "Deploy it: `matinee deploy`.",
}


def open_store(_settings: Settings | None = None, session: Session | None = None) -> DynamoStore:
    """Open the table; UsageError when the environment names none."""
    from matinee.backends.aws.store import DynamoStore

    return DynamoStore(session or open_session())


def open_files(_settings: Settings | None = None, session: Session | None = None) -> S3Files:
    """Open the bucket."""
    from matinee.backends.aws.files import S3Files

    return S3Files(session or open_session())


def open_invoker(settings: Settings, session: Session | None = None) -> LambdaInvoker:
    """Open the functions, always at their alias; region and endpoint are the session's, else the environment's."""
    from matinee.lambda_api.invoker import LambdaInvoker

    aws = session.settings if session else AwsSettings.from_environment()
    return LambdaInvoker(
        endpoint=settings.lambda_endpoint or aws.endpoint,
        region=aws.region,
        prefix=settings.function_prefix,
        qualifier=LIVE,
        signed=not settings.lambda_endpoint,
        secret=settings.lambda_secret,
    )


def open_logs(
    settings: Settings, run_of: Callable[[str], Run | None], session: Session | None = None
) -> CloudWatchLogs:
    """Open the reader of the log groups of the app whose resources' names begin with the function prefix."""
    from matinee.backends.aws.logs import CloudWatchLogs

    return CloudWatchLogs(session or open_session(), run_of, prefix=settings.function_prefix)


def open_log_writer(_settings: Settings) -> StreamLogs:
    """Open the writer of log lines: a container's own output is what CloudWatch keeps."""
    from matinee.backends.aws.logs import StreamLogs

    return StreamLogs()


def open_launcher(settings: Settings, _command_for: Any = None, _on_exit: Any = None) -> AwsLauncher:
    """Start workers by ECS and AWS Batch, where the environment says."""
    from matinee.backends.aws.launcher import AwsLauncher

    return AwsLauncher(open_session(), LaunchSettings.from_environment(), prefix=settings.function_prefix)
