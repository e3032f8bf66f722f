"""The client by JSON values: what the UI, the API, the command line and nested calls use.

A realtime run is written once, by its caller, after the answer; a batch run is written before anything is started.
Every method shows and changes only what its user may (`visibility`): UI and API never reach the store behind it.
"""

from __future__ import annotations

import difflib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from matinee.backends.factory import Backend
from matinee.client import rows as client_rows
from matinee.client.history import RecordedRuns, Visibility
from matinee.errors import InputError, MatineeError, NotFoundError, RateError, UsageError
from matinee.lambda_api.outcome import read_result
from matinee.manifest import PredictorManifest, Release
from matinee.ports import Invocation, LogLine, RunQuery, Store
from matinee.project.model import Limits
from matinee.queue.dispatch import cancel
from matinee.rows.inputs import RowsCheck
from matinee.runs import UNCHANGED, Entry, Feedback, Json, Run, Scale, Status, Unchanged, inputs_key, new_run_id
from matinee.schedule import inputs_of
from matinee.settings import DISPATCHER, Settings
from matinee.tables.read import Source
from matinee.values import blobs, validate

INLINE_BYTES = 4096  # larger inputs and results travel through Files: a store is billed by the whole item
NOT_RECORDED = "This result is not in the history and has no link: it could not be recorded."
PAYLOAD_BYTES = 5_500_000  # Lambda takes 6 MB; the rest is room for escapes


log = logging.getLogger(__name__)


def used_key() -> InputError:
    """Return the error for an idempotency key that comes with other inputs."""
    return InputError("Idempotency-Key", "was used before with other inputs", hint="Take a new key for a new request.")


class Client(RecordedRuns):
    """Everything one user does with one app; an `owner` sees all. Thread-safe; `clock` returns epoch seconds."""

    def __init__(
        self,
        backend: Backend,
        settings: Settings,
        user: str = "local",
        *,
        owner: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.backend = backend
        self.settings = settings
        self.user = user
        self.owner = owner
        self.visibility = Visibility(backend.store, backend.files, user, owner=owner)
        self.clock = clock

    # --- what there is ------------------------------------------------------------------------------------------

    def release(self) -> Release:
        """Return what is live, a moment old at most; NotFoundError while nothing is."""
        return self.backend.poll.read("release", self.backend.traits.release_age_s, self._read_release)

    def _read_release(self) -> Release:
        release = self.backend.store.release()
        if release is None:
            raise NotFoundError("Nothing is live yet.", hint=self.backend.traits.how_to_start)
        return release

    def predictor(self, name: str) -> PredictorManifest:
        """Return the predictor of that name; NotFoundError names the nearest."""
        release = self.release()
        predictor = release.predictor(name)
        if predictor is not None:
            return predictor
        broken = [c for c in release.components if c.trouble]
        for component in broken:
            if component.trouble and (component.name == name or len(broken) == len(release.components)):
                trouble = component.trouble
                where = f" (line {trouble.line})" if trouble.line else ""
                raise NotFoundError(
                    f"The component {component.name} does not load{where}: {trouble.message}", hint=trouble.hint
                )
        names = [p.name for p in release.predictors]
        near = difflib.get_close_matches(name, names, 1)
        hint = f"Did you mean {near[0]}?" if near else f"There is: {', '.join(names) or 'none'}."
        if broken:
            why = [f"{c.name}: {c.trouble.message} {c.trouble.hint}".strip() for c in broken if c.trouble]
            hint = f"It may be in a component that does not load. {' '.join(why)}"
        raise NotFoundError(f"There is no predictor {name!r} in {release.app}.", hint=hint)

    # --- realtime -----------------------------------------------------------------------------------------------

    def predict(self, name: str, inputs: Json, *, parent: str = "", run_id: str = "") -> Run:
        """Call a realtime predictor and record the run (as `run_id` if given), whether it succeeded or failed.

        An answer that was computed is returned, even if it cannot be recorded: then the run's `warning` says so.
        Raises InputError (also when the predictor itself rejects a value), NotFoundError, UsageError for a batch
        predictor, BackendError when it could not be reached, UnansweredError when it may have run.
        """
        predictor = self._predictor_of_kind(name, "realtime")
        checked = self._check_inputs(predictor, inputs)
        run = self._make_run(predictor, checked, Status.RUNNING, parent=parent)
        run = replace(run, id=run_id or run.id, started_at=run.created_at, attempt=1)
        answer = self._invoke(predictor, run, checked)
        result, failure = read_result(answer, predictor)
        finished = replace(
            run,
            status=Status.FAILED if failure else Status.SUCCEEDED,
            failure=failure,
            result=None if failure else result,
            finished_at=self.clock(),
        )
        return self._hide_traceback(self._record(finished, answer.version))

    def _record(self, run: Run, version: str) -> Run:
        """Put a finished run into the store; return it as it is there, or whole and with a warning if it is not."""
        try:
            recorded = replace(
                run,
                inputs=self._store_if_large(f"{inputs_key(run.predictor, run.id)}.json", run.inputs),
                result=self._store_if_large(f"results/{run.id}/1.json", run.result),
                version=self._label_of(run, version),
            )
            self.backend.store.record(recorded)
            return recorded
        except MatineeError as error:
            log.warning("Run %s of %s is not recorded: %s", run.id, run.predictor, error)
            return replace(run, warning=f"{NOT_RECORDED} {error}")

    def _label_of(self, run: Run, version: str) -> str:
        """Return the label of the version that answered. On AWS it is a function's number, which a release explains.

        A deployment or a rollback may be newer than the release this process has in memory: then it is read anew. A
        number of which no release tells is better than a label that belongs to other code.
        """
        for read in (self.release, self._read_release):
            release = read()
            component = release.component_of(run.predictor)
            if component and release.aws.functions.get(run.predictor, "") == version:
                return component.label
            if not release.aws.functions:  # here a function's number is the component's
                return f"v{version}" if version.isdecimal() else run.version
        return version or run.version

    def _invoke(self, predictor: PredictorManifest, run: Run, checked: Json) -> Invocation:
        sent = checked["event"] if predictor.plain else checked
        body = json.dumps(sent, separators=(",", ":")).encode()
        if len(body) > PAYLOAD_BYTES and not predictor.plain:  # whoever takes an event as it is knows no reference
            reference = blobs.store_large(
                self.backend.files, f"{inputs_key(run.predictor, run.id)}.json", checked, INLINE_BYTES
            )
            body = json.dumps(reference).encode()
        context = {"run": run.id, "user": run.user, "parent": run.parent, "attempt": "1"}
        return self.backend.invoker.invoke(run.predictor, body, context=context)

    # --- batch --------------------------------------------------------------------------------------------------

    def submit(self, name: str, inputs: Json, *, idempotency_key: str = "", parent: str = "") -> Run:
        """Queue a batch run and have it dispatched; the same key gives the same run (and dispatches again).

        Raises InputError (also for a key that was used with other inputs), NotFoundError, UsageError for a realtime
        predictor, RateError when this person's place in the queue is full.
        """
        predictor = self._predictor_of_kind(name, "batch")
        return self._submit(predictor, [self._make_queued(predictor, inputs, idempotency_key, parent)])[0]

    def submit_many(self, name: str, rows: Sequence[Json], *, idempotency_key: str = "") -> list[Run]:
        """Queue many batch runs, all or none of them; they take turns with other people's.

        The same key gives the same runs, row by row. Raises what `submit` does.
        """
        predictor = self._predictor_of_kind(name, "batch")
        keys = [f"{idempotency_key}/{number}" if idempotency_key else "" for number in range(len(rows))]
        return self._submit(
            predictor, [self._make_queued(predictor, row, key, "") for row, key in zip(rows, keys, strict=True)]
        )

    def _make_queued(self, predictor: PredictorManifest, inputs: Json, key: str, parent: str) -> Run:
        run = self._make_run(predictor, self._check_inputs(predictor, inputs), Status.QUEUED, parent=parent)
        return replace(run, idempotency_key=key)

    def _submit(self, predictor: PredictorManifest, runs: Sequence[Run]) -> list[Run]:
        check_queue(self.backend.store, limits_of(self.release()), runs)
        small = [
            replace(run, inputs=self._store_if_large(f"{inputs_key(run.predictor, run.id)}.json", run.inputs))
            for run in runs
        ]
        submitted = self.backend.store.submit(small)
        self._check_keys(runs, submitted)
        self.poke(predictor.name)
        return [self._hide_traceback(run) for run in submitted]

    def _check_keys(self, runs: Sequence[Run], submitted: Sequence[Run]) -> None:
        """Raise InputError if a key stands for a run with other inputs; what is new beside that run is cancelled."""
        pairs = list(zip(runs, submitted, strict=True))
        if all(new.id == recorded.id or self._has_same_inputs(new, recorded) for new, recorded in pairs):
            return
        for new, recorded in pairs:
            if new.id == recorded.id:
                cancel(self.backend.store, new.id, self.clock())
        raise used_key()

    def _has_same_inputs(self, new: Run, recorded: Run) -> bool:
        inputs = self.visibility.inputs(recorded)
        try:
            if "$rows" in (new.inputs or {}):
                return client_rows.is_equal(self.backend.files, new.inputs, inputs)
            with blobs.Reader(self.backend.files) as reader:
                return blobs.is_equal(new.inputs, inputs, reader)
        except NotFoundError:  # a file of the older run is gone
            return False

    def check_rows(
        self,
        name: str,
        source: Source,
        mapping: Mapping[str, str | None] | None = None,
        *,
        readings: Mapping[str, str] | None = None,
        sheet: str = "",
    ) -> RowsCheck:
        """Look at every row of a table before anything is started; `mapping` is parameter → column.

        `readings` (column → reading) answers the `questions` of an earlier check. Raises InputError when it is no
        table, UsageError for a batch predictor.
        """
        limit = limits_of(self.release()).rows
        return client_rows.check(self._for_rows(name), source, mapping, limit=limit, readings=readings, sheet=sheet)

    def submit_rows(
        self, name: str, source: Source, checked: RowsCheck, *, file_name: str = "", idempotency_key: str = ""
    ) -> Run:
        """Queue one batch run that predicts every row; rows that do not fit get an error. The same key: the same run.

        Raises InputError, ConflictError when the file is not the checked one, RateError.
        """
        predictor = self._for_rows(name)
        run = replace(self._make_run(predictor, None, Status.QUEUED, parent=""), kind="batch")
        files, key, limit = self.backend.files, f"{self.visibility.uploads}{run.id}", limits_of(self.release()).rows
        with client_rows.store_table(files, key, source, checked, name=file_name, limit=limit) as upload:
            queued = replace(run, inputs=upload.reference, idempotency_key=idempotency_key)
            submitted = self._submit(predictor, [queued])[0]
        if submitted.id != run.id:
            client_rows.discard(files, key)
        return submitted

    def _for_rows(self, name: str) -> PredictorManifest:
        predictor = self._predictor_of_kind(name, "realtime")
        if predictor.plain:
            raise UsageError(
                f"{name} takes events as they are, no tables.",
                hint="Predict row by row, or write it as a predictor: @realtime above a typed function.",
            )
        return predictor

    def rows_result(self, run: Run, form: str = "csv", separator: str = ",") -> Iterator[bytes]:
        """Return the table with results and errors in a format of `tables.write`, in pieces; so far, if unfinished."""
        predictor = self.release().predictor(run.predictor)
        return client_rows.result(self.backend.files, self.see(run), predictor, form, separator)

    def poke(self, predictor: str) -> None:
        """Have the dispatcher look at this predictor's pool soon. If it cannot be reached, it looks later by itself."""
        try:
            self.backend.invoker.poke(DISPATCHER, json.dumps({"predictor": predictor}).encode())
        except Exception as error:  # whatever it is: the store has the run, and that is what the caller is told
            log.warning("The dispatcher was not reached and starts %s later by itself: %s", predictor, error)

    # --- helpers ------------------------------------------------------------------------------------------------

    def _check_inputs(self, predictor: PredictorManifest, inputs: Json) -> Json:
        checked = validate.check(predictor.parameters, inputs)
        self.visibility.check_inputs(checked)
        return checked

    def _predictor_of_kind(self, name: str, kind: str) -> PredictorManifest:
        predictor = self.predictor(name)
        if predictor.kind != kind:
            way = "Submit it" if predictor.kind == "batch" else "Predict with it"
            verb = "submit" if predictor.kind == "batch" else "predict"
            raise UsageError(f"{name} is a {predictor.kind} predictor.", hint=f"{way}: matinee {verb} {name} …")
        return predictor

    def _make_run(self, predictor: PredictorManifest, inputs: Json, status: Status, *, parent: str) -> Run:
        now = self.clock()
        component = self.release().component_of(predictor.name)
        version = component.label if component else ""
        return Run(new_run_id(now), predictor.name, predictor.kind, self.user, status, inputs, now, version, parent)

    def _store_if_large(self, key: str, value: Json) -> Json:
        return blobs.store_large(self.backend.files, key, value, INLINE_BYTES)


# --- limits of the queue ----------------------------------------------------------------------------------------------
# How much one person may have in the queue: held for the UI and the API alike, wherever a run is submitted.

_UNFINISHED = frozenset({Status.QUEUED, Status.RUNNING})


def limits_of(release: Release) -> Limits:
    """Return the limits of what is live; a release that says nothing has the defaults."""
    return Limits(**release.details.get("limits", {}))


def check_queue(store: Store, limits: Limits, runs: Sequence[Run]) -> None:
    """Raise RateError when these new runs of one user would be more than the queue takes from one person.

    What a run submits from inside (`parent`) is not counted against a person, nor is a submit repeated with its key.
    """
    mine = [run for run in runs if not run.parent]
    if not mine:
        return
    room = limits.queue_per_user - store.unfinished(mine[0].user)
    if len(mine) <= room or len(mine) - _count_repeated(store, mine, limits.queue_per_user) <= room:
        return
    most = limits.queue_per_user
    raise RateError(
        f"You may have {most} runs in the queue, and {'these' if len(mine) > 1 else 'this one'} would be more: "
        f"{max(0, room)} {'is' if room == 1 else 'are'} free.",
        hint="Wait until some have finished, or raise queue_per_user under [limits] in matinee.toml.",
        retry_after_s=5.0,
    )


def _count_repeated(store: Store, runs: Sequence[Run], limit: int) -> int:
    keys = {run.idempotency_key for run in runs} - {""}
    if not keys:
        return 0
    query = RunQuery(user=runs[0].user, predictor=runs[0].predictor, statuses=_UNFINISHED, limit=limit + 1)
    return sum(run.idempotency_key in keys for run in store.runs(query))


# --- the client protocol ----------------------------------------------------------------------------------------------
# What a connected app needs of a client, here (`core.Client`) or far away (`remote.RemoteClient`).

Watch = Callable[[Run, Entry | None], None]


class Verbs(Protocol):
    """Everything one user does with one app, by JSON values; `core.Client` says what each does and raises."""

    @property
    def user(self) -> str: ...

    def release(self) -> Release: ...
    def predictor(self, name: str) -> PredictorManifest: ...
    def predict(self, name: str, inputs: Json) -> Run: ...
    def submit(self, name: str, inputs: Json, *, idempotency_key: str = "") -> Run: ...
    def submit_many(self, name: str, rows: Sequence[Json], *, idempotency_key: str = "") -> list[Run]: ...
    def run(self, run_id: str) -> Run: ...
    def runs(self, query: RunQuery) -> list[Run]: ...
    def entry(self, run: Run) -> Entry | None: ...
    def queue_position(self, run: Run) -> int | None: ...
    def why_waiting(self, run: Run) -> str: ...
    def inputs(self, run: Run) -> Json: ...
    def result(self, run: Run) -> Json: ...
    def read_blob(self, blob: Json) -> bytes: ...
    def to_json(self, value: Any) -> Json: ...
    def wait(self, run_id: str, *, timeout_s: float | None = None, watch: Watch | None = None) -> Run: ...
    def cancel(self, run_id: str) -> Run: ...
    def share(self, run_id: str) -> None: ...
    def unshare(self, run_id: str) -> None: ...
    def logs(self, run_id: str) -> list[LogLine]: ...
    def feedback(
        self,
        run_id: str,
        rating: int | Unchanged | None = UNCHANGED,
        comment: str | Unchanged = UNCHANGED,
        corrected: Json = UNCHANGED,
        *,
        scale: Scale = "thumbs",
    ) -> Feedback: ...
    def feedback_of(self, run_id: str) -> list[Feedback]: ...
    def close(self) -> None: ...


# --- the ambient client -----------------------------------------------------------------------------------------------
# Where `connect()` is called inside a process that already serves the app: a custom page gets who looks at it.

_current_client: Callable[[], Verbs] | None = None


def provide(give: Callable[[], Verbs] | None) -> None:
    """Have `connect()` return an App on the client that `give` returns, each time it is called; None ends it."""
    global _current_client
    _current_client = give


def provided() -> Verbs | None:
    """Return the client for whoever is served now, None outside such a process."""
    return _current_client() if _current_client else None


# --- scheduled runs ---------------------------------------------------------------------------------------------------
# The run of a scheduled time: the same here, where a thread says it is time, and on AWS, where an event does.

SCHEDULE = "schedule"  # the user of runs that the clock submits


def submit_scheduled(client: Client, predictor: str, scheduled: str, inputs: Json = None) -> Run:
    """Submit the run of a time (`schedule.name_of`), once however often it is said; UsageError if it cannot be.

    `client` is the user SCHEDULE's. Without `inputs` it takes the predictor's defaults or its first example.
    """
    if inputs is None:
        live = client.predictor(predictor)
        inputs = inputs_of(predictor, live.parameters, live.examples)
    return client.submit(predictor, inputs, idempotency_key=f"{SCHEDULE}/{scheduled}")
