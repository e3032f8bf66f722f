"""`matinee.connect()`: an app's predictors as Python functions, for a notebook, a script or a custom page."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from matinee.backends.factory import open_backend
from matinee.client.core import Client, Verbs, provided
from matinee.client.host import Report, adopt_data, open_client, open_data
from matinee.client.rows import RowsResult, row_verbs, summary_of_rows
from matinee.errors import BackendError, InputError, MatineeError, NotFoundError, PredictionError, UsageError
from matinee.manifest import PredictorManifest, Release
from matinee.names import Names, check_stage
from matinee.ports import LogLine, RunQuery, Store
from matinee.project.load import load
from matinee.project.model import Project
from matinee.runs import UNCHANGED, Entry, Feedback, Json, Progress, Run, Scale, Status, Unchanged
from matinee.settings import STAGE, TOKEN, Settings
from matinee.tables.read import Source
from matinee.values import records

if TYPE_CHECKING:
    from matinee.backends.aws.session import Session
PROGRESS_WIDTH = 32  # characters of the bar


def connect(
    app: str | Path = ".", *, stage: str = "", region: str = "", user: str = "", url: str = "", token: str = ""
) -> App:
    """Connect to the app in this folder (or of this single predictor file), to a deployed stage of it, or to a `url`.

    Here, a running `matinee dev` is used; without one, what is needed is started and ended by `close()`, by the end of
    a `with` block, or with the process. On a page of the app's own UI it is the app as who looks at the page may use
    it (`user` is theirs).
    With a `stage`, as in "dev", it is the one in the AWS account whose credentials are found here; only the app's name
    is read from the folder. `region`: default `[aws]` of matinee.toml, else AWS's own configuration. Runs are of
    `user`: default "local" here, on a stage the name AWS knows the caller by.
    At a `url` the token (default: the variable MATINEE_TOKEN) says who calls.
    Raises ProjectError when the folder holds no app, NotFoundError when nothing is deployed on the stage, BackendError
    without credentials or permission, AccessError for a token that is not valid.
    """
    _check(stage=stage, region=region, url=url, token=token)
    if url:
        return _connect_to(url, token)
    serving = provided() if app == "." and stage in ("", os.environ.get(STAGE)) else None
    if serving is not None:
        return App(serving, lambda: None)
    stack = ExitStack()
    return App(stack.enter_context(open_app(load(Path(app)), stage, region=region, user=user)), stack.close)


def _check(*, stage: str, region: str, url: str, token: str) -> None:
    if url and stage:
        raise UsageError("A url and a stage exclude each other.", hint="Leave one of them out.")
    if token and not url:
        raise UsageError("A token is for an app at a url.", hint="Give both: connect(url=…, token=…).")
    if region and not stage:
        raise UsageError("A region is for a deployed stage.", hint="Give both: connect(stage=…, region=…).")


def _connect_to(url: str, token: str) -> App:
    from matinee.client.remote import RemoteClient

    remote = RemoteClient(url, token or os.environ.get(TOKEN, ""))
    try:
        remote.release()
    except BaseException:
        remote.close()
        raise
    return App(remote, remote.close)


class App:
    """One app. `app.NAME(...)` predicts with the predictor NAME; `app["NAME"]` is the same for any name."""

    def __init__(self, client: Verbs, close: Callable[[], None]) -> None:
        self.client = client
        self._close = close

    def __getitem__(self, name: str) -> Predictor:
        return Predictor(self.client, self.client.predictor(name))

    def __getattr__(self, name: str) -> Predictor:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except MatineeError as error:
            raise AttributeError(str(error)) from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(p.name for p in self.client.release().predictors)]

    def runs(
        self, predictor: str | None = None, *, status: str | None = None, before: str = "", limit: int = 50
    ) -> list[RunHandle]:
        """Return this user's runs, newest first; `before` is the id of the last run of the page before."""
        statuses = frozenset({Status(status)}) if status else frozenset()
        query = RunQuery(user=self.client.user, predictor=predictor, statuses=statuses, before=before, limit=limit)
        return [RunHandle(self.client, run) for run in self.client.runs(query)]

    def run(self, run_id: str) -> RunHandle:
        """Return the run; NotFoundError if there is none."""
        return RunHandle(self.client, self.client.run(run_id))

    def close(self) -> None:
        """End what `connect` started."""
        self._close()

    def __enter__(self) -> App:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Predictor:
    """One predictor of a connected app."""

    def __init__(self, client: Verbs, manifest: PredictorManifest) -> None:
        self._client = client
        self.manifest = manifest
        self.__doc__ = manifest.doc

    def __repr__(self) -> str:
        parameters = ", ".join(self.manifest.parameters["properties"])
        return f"<{self.manifest.kind} predictor {self.manifest.name}({parameters})>"

    def __call__(self, **inputs: Any) -> Any:
        """Predict and return the result; a batch predictor is submitted and waited for, with a bar.

        Raises InputError, or PredictionError when the predictor failed.
        """
        if self.manifest.kind == "batch":
            return self.submit(**inputs).result(show_progress=True)
        run = self._client.predict(self.manifest.name, self._json(inputs))
        if run.warning:
            warnings.warn(run.warning, stacklevel=2)
        return RunHandle(self._client, run).result()

    def submit(self, *, idempotency_key: str = "", **inputs: Any) -> RunHandle:
        """Queue a batch run. The same key gives the same run."""
        run = self._client.submit(self.manifest.name, self._json(inputs), idempotency_key=idempotency_key)
        return RunHandle(self._client, run)

    def submit_many(self, rows: Sequence[Mapping[str, Any]]) -> list[RunHandle]:
        """Queue one batch run a row, all or none."""
        runs = self._client.submit_many(self.manifest.name, [self._json(row) for row in rows])
        return [RunHandle(self._client, run) for run in runs]

    def predict_rows(
        self,
        source: Source,
        columns: Mapping[str, str | None] | None = None,
        *,
        readings: Mapping[str, str] | None = None,
        sheet: str = "",
    ) -> RowsResult:
        """Predict every row of a CSV, Excel or Parquet file as one run, wait with a bar, and return its table.

        `source` is a path, the file's bytes or a binary stream; `columns` says parameter → column where the names do
        not; `readings` says column → "comma", "point", "day-first" or "month-first" where a column can be read in two
        ways; `sheet` names one of a workbook. A row that does not fit or fails has an error instead of a result.
        Raises InputError for what is no table, and for a column whose reading must be said.
        """
        result: RowsResult = self.submit_rows(source, columns, readings=readings, sheet=sheet).result(
            show_progress=True
        )
        return result

    def submit_rows(
        self,
        source: Source,
        columns: Mapping[str, str | None] | None = None,
        *,
        readings: Mapping[str, str] | None = None,
        sheet: str = "",
        idempotency_key: str = "",
    ) -> RunHandle:
        """Queue one run that predicts every row. The same key gives the same run."""
        client, name = row_verbs(self._client), self.manifest.name
        checked = client.check_rows(name, source, columns, readings=readings, sheet=sheet)
        if checked.questions:
            question = checked.questions[0]
            answer = f'readings={{"{question.column}": "{question.choices[0].reading}"}}'
            raise InputError("", checked.why_not, hint=f"Say which it is: {answer}.")
        return RunHandle(self._client, client.submit_rows(name, source, checked, idempotency_key=idempotency_key))

    def _json(self, inputs: Mapping[str, Any]) -> Json:
        return {name: self._client.to_json(value) for name, value in inputs.items()}


class RunHandle:
    """One run, read afresh whenever it is asked and not finished."""

    def __init__(self, client: Verbs, run: Run) -> None:
        self._client = client
        self._run = run

    def __repr__(self) -> str:
        return f"<run {self.id} of {self._run.predictor}: {self.status}>"

    @property
    def id(self) -> str:
        """The run's permanent id."""
        return self._run.id

    @property
    def run(self) -> Run:
        """The run as it is now."""
        if not self._run.status.is_final:
            self._run = self._client.run(self._run.id)
        return self._run

    @property
    def status(self) -> str:
        """One of queued, running, succeeded, failed, cancelled."""
        return self.run.status.value

    @property
    def progress(self) -> Progress:
        """How far it is: complete once it succeeded."""
        run = self.run
        if run.status is Status.SUCCEEDED:
            return Progress(1.0)
        entry = self._client.entry(run)
        return entry.progress if entry else Progress()

    @property
    def inputs(self) -> Json:
        """The inputs as JSON values."""
        return self._client.inputs(self._run)

    def result(self, *, timeout_s: float | None = None, show_progress: bool = False) -> Any:
        """Wait for the result and return it as read-only records.

        Raises PredictionError when the run failed, UsageError when it was cancelled, TimeoutError after `timeout_s`,
        which says what the run waits for or how far it is.
        """
        if not self._run.status.is_final:
            watch = _bar(self._run.predictor) if show_progress and sys.stderr.isatty() else None
            self._run = self._client.wait(self._run.id, timeout_s=timeout_s, watch=watch)
        run = self._run
        if run.failure is not None and run.status is Status.FAILED:
            failure = run.failure
            raise PredictionError(failure.message, kind=failure.kind, hint=failure.hint, traceback=failure.traceback)
        if run.status is Status.CANCELLED:
            raise UsageError(f"Run {run.id} was cancelled.", hint="Submit it again to get a result.")
        if not run.status.is_final:
            raise TimeoutError(f"Run {run.id} is still {run.status} after {timeout_s:g} s: {self._why_unfinished()}")
        if summary_of_rows(run):
            return RowsResult(row_verbs(self._client), run)
        schema = self._client.predictor(run.predictor).result
        return records.from_json(schema, self._client.result(run), self._client.read_blob)

    def _why_unfinished(self) -> str:
        client, run = self._client, self._run
        if run.status is Status.RUNNING:
            entry = client.entry(run)
            progress = entry.progress if entry else Progress()
            how_far = "" if progress.fraction is None else f"{progress.fraction:.0%} "
            reported = f"{how_far}{progress.message}".strip()
            return f"it has reported {reported}." if reported else "it has reported no progress."
        if reason := client.why_waiting(run):
            return reason
        if run.failure is not None:
            return f"its last attempt failed, and it is tried again after a pause. {run.failure.message}"
        before = client.queue_position(run)
        if not before:
            return "it is the next one, and a worker is starting."
        return f"{before:,} {'run starts' if before == 1 else 'runs start'} before it."

    def cancel(self) -> None:
        """Cancel it; ConflictError if it is finished."""
        self._run = self._client.cancel(self.id)

    def logs(self) -> list[LogLine]:
        """Return what the run wrote."""
        return self._client.logs(self.id)

    def feedback(
        self,
        rating: int | Unchanged | None = UNCHANGED,
        comment: str | Unchanged = UNCHANGED,
        corrected: Any = UNCHANGED,
        *,
        scale: Scale = "thumbs",
    ) -> Feedback:
        """Rate it: 1 is good, -1 is bad, on the scale "stars" 1 to 5. What is not named stays as it was said before."""
        value = corrected if corrected is UNCHANGED else self._client.to_json(corrected)
        return self._client.feedback(self.id, rating, comment, value, scale=scale)


def _bar(name: str) -> Callable[[Run, Entry | None], None]:
    def show(run: Run, entry: Entry | None) -> None:
        fraction = 1.0 if run.status.is_final else (entry.progress.fraction if entry else None) or 0.0
        filled = round(fraction * PROGRESS_WIDTH)
        bar = "█" * filled + "░" * (PROGRESS_WIDTH - filled)
        message = entry.progress.message if entry else ""
        sys.stderr.write(f"\r{name} {bar} {fraction:4.0%} {run.status} {message[:40]}\x1b[K")
        sys.stderr.write("\n" if run.status.is_final else "")
        sys.stderr.flush()

    return show


# --- connecting to a deployed stage -----------------------------------------------------------------------------------
# A deployed stage from wherever there are AWS credentials: a laptop, a notebook, CI.
#
# app's name and stage → the table's name → the release, read strongly consistent → bucket and functions. Nothing is
# started here. Whoever can use the account's table owns what is in it, so the client has an owner's rights.

OPERATOR = "operator"  # who makes no run needs no name of AWS


@contextmanager
def open_store_of(project: Project, stage: str = "") -> Iterator[Store]:
    """Give the store alone, of a deployed stage or of the app here: for users and tokens, which belong to no person."""
    if stage:
        client = open_stage(project, stage, user=OPERATOR)
        store = client.backend.store
    else:
        adopt_data(project)
        store = open_data(project)[0].store
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
    from matinee.backends.aws.session import caller_name

    names, session = session_on(project, stage, region=region)
    store = open_store(session=session)
    try:
        session = session.with_bucket(_bucket(store, names, session))
        app = Settings("aws", project.name, function_prefix=names.prefix)
        if session.settings.endpoint:  # of an emulator
            here = Settings.from_environment()
            app = app._replace(lambda_endpoint=here.lambda_endpoint, lambda_secret=here.lambda_secret)
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
    names, environment = Names(project.name, stage), AwsSettings.from_environment()
    region = region or project.for_stage(stage).aws.region or environment.region
    return names, Session(environment._replace(table=names.base, bucket="", region=region))


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
    from matinee.lambda_api.sdk import code_of

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
