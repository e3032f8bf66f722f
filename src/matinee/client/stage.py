"""A deployed stage from wherever there are AWS credentials: a laptop, a notebook, CI.

app's name and stage → the table's name → the release, read strongly consistent → bucket and functions. Nothing is
started here. Whoever can use the account's table owns what is in it, so the client has an owner's rights.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from matinee.backends.factory import open_backend
from matinee.client.core import Client
from matinee.client.host import Report, adopt_data, open_client
from matinee.errors import BackendError, NotFoundError
from matinee.manifest import Release
from matinee.names import Names, check_stage
from matinee.ports import Store
from matinee.project import Project
from matinee.settings import Settings

if TYPE_CHECKING:
    from matinee.backends.aws.session import Session

OPERATOR = "operator"  # who makes no run needs no name of AWS


@contextmanager
def open_store_of(project: Project, stage: str = "") -> Iterator[Store]:
    """Give the store alone, of a deployed stage or of the app here: for users and tokens, which belong to no person."""
    if stage:
        client = open_stage(project, stage, user=OPERATOR)
        store = client.backend.store
    else:
        adopt_data(project)
        project.data.mkdir(parents=True, exist_ok=True)
        store = open_backend(Settings.of_folder(project.name, project.data)).store
    try:
        yield store
    finally:
        store.close()


@contextmanager
def open_app(
    project: Project, stage: str = "", *, region: str = "", user: str = "", report: Report | None = None
) -> Iterator[Client]:
    """Give a client on a deployed stage, or, without one, on the app here (`host.open_client`)."""
    if not stage:
        with open_client(project, user=user or "local", report=report) as client:
            yield client
        return
    client = open_stage(project, stage, region=region, user=user)
    try:
        yield client
    finally:
        client.close()


def open_stage(project: Project, stage: str, *, region: str = "", user: str = "") -> Client:
    """Return a client on a deployed stage; `user` "" is who AWS takes the caller for.

    Raises UsageError for what can be no stage, NotFoundError when nothing is deployed there, BackendError when there
    are no credentials, no region, no permission or no network.
    """
    from matinee.backends.aws.adapters import open_store
    from matinee.backends.aws.identity import caller_name

    names, session = session_on(project, stage, region=region)
    store = open_store(session=session)
    try:
        session = session.with_bucket(_bucket(store, names, session))
        emulator = Settings.from_environment().lambda_endpoint if session.settings.endpoint else ""
        app = Settings("aws", project.name, lambda_endpoint=emulator, function_prefix=names.prefix)
        return Client(open_backend(app, session, store), app, user or caller_name(session), owner=True)
    except BaseException:
        session.close()
        raise


def session_on(project: Project, stage: str, *, region: str = "") -> tuple[Names, Session]:
    """Return the names of a stage and a session on its table, in its region; nothing is asked yet.

    Raises UsageError for what can be no stage.
    """
    from matinee.backends.aws.session import Session
    from matinee.settings import AwsSettings

    check_stage(stage)
    names, told = Names(project.name, stage), AwsSettings.from_environment()
    region = region or project.for_stage(stage).aws.region or told.region
    return names, Session(told._replace(table=names.base, bucket="", region=region))


def _bucket(store: Store, names: Names, session: Session) -> str:
    """Return the bucket that the live release names; NotFoundError when nothing is live."""
    release = _live(store, names)
    if release is None:
        raise NotFoundError(
            f"Nothing is deployed on the stage {names.stage} of {names.app} in {session.region}.",
            hint=f"Deploy it: `matinee deploy --stage {names.stage}`. If it is in another region or account, set "
            "`region` under [aws] in matinee.toml, AWS_REGION or AWS_PROFILE.",
        )
    if not release.aws.bucket:
        raise _another_version(names, "it names no bucket")
    return release.aws.bucket


def _live(store: Store, names: Names) -> Release | None:
    from matinee.backends.aws.errors import code_of

    try:
        return store.release()
    except BackendError as error:
        if code_of(error.__cause__ or error) != "ResourceNotFoundException":
            raise
        return None
    except (KeyError, TypeError) as error:
        raise _another_version(names, f"{type(error).__name__}: {error}") from error


def _another_version(names: Names, why: str) -> BackendError:
    what = f"The stage {names.stage} of {names.app} was deployed by another version of Matinee"
    return BackendError(f"{what}: its release cannot be used ({why}).", hint="Use the same version here.")
