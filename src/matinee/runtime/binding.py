"""What a running predictor reaches through `state`, `progress` and `predictor(name)`: the app's own backend.

Store and client are opened when first used, and once per process: most predictors use neither, and must start fast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from matinee.predictor.inside import Context

if TYPE_CHECKING:
    from matinee.backends.factory import Backend
    from matinee.client.core import Client
    from matinee.runs import Run
    from matinee.settings import Settings

_MAX_PARALLEL = 16
Report = Callable[[float | None, str], None]


class RuntimeBinding:
    """Implements `predictor.inside.Binding`. `settings` None: the environment's; `report` None: nobody asks."""

    def __init__(self, settings: Settings | None, context: Context, report: Report | None = None) -> None:
        self._settings = settings
        self._context = context
        self._report = report

    @property
    def context(self) -> Context:
        """Return the present run's context."""
        return self._context

    def report(self, fraction: float | None, message: str) -> None:
        """Tell how far the run is."""
        if self._report is not None:
            self._report(fraction, message)

    # --- other predictors ---

    def call(self, name: str, inputs: Mapping[str, Any]) -> Any:
        """Call another predictor and wait; a batch predictor too. Raises PredictionError when it fails."""
        client = self._client()
        if client.predictor(name).kind == "realtime":
            run = client.predict(name, self._json(name, inputs), parent=self._context.run_id)
        else:
            run = client.wait(self.submit(name, inputs))
        return _result(client, run)

    def map(self, name: str, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Call for every row in parallel; the results are in the rows' order."""
        from concurrent.futures import ThreadPoolExecutor

        if not rows:
            return []
        self._client()  # opened before the threads need it
        with ThreadPoolExecutor(min(len(rows), _MAX_PARALLEL)) as pool:
            return list(pool.map(lambda row: self.call(name, row), rows))

    def submit(self, name: str, inputs: Mapping[str, Any]) -> str:
        """Submit a run of a batch predictor and return its id."""
        return self._client().submit(name, self._json(name, inputs), parent=self._context.run_id).id

    # --- state ---

    def state_get(self, key: str) -> Any:
        """Return the shared value, None if there is none."""
        return backend(self._settings).store.state_get(key)

    def state_set(self, key: str, value: Any) -> None:
        """Set the shared value; None removes it."""
        backend(self._settings).store.state_set(key, value)

    def state_increment(self, key: str, by: float) -> float:
        """Add atomically and return the sum."""
        return backend(self._settings).store.state_increment(key, by)

    def state_swap(self, key: str, old: Any, new: Any) -> bool:
        """Set `new` only if the value is still `old`."""
        return backend(self._settings).store.state_swap(key, old, new)

    # --- its own ---

    def _client(self) -> Client:
        return _client(self._settings, self._context.user)

    def _json(self, name: str, inputs: Mapping[str, Any]) -> Any:
        from matinee.runs import new_run_id
        from matinee.values import blobs, encode

        prefix = f"inputs/{self._context.run_id}/{name}-{new_run_id()}"
        return encode.to_json(dict(inputs), blobs.writer(backend(self._settings).files, prefix))


def backend(settings: Settings | None = None) -> Backend:
    """Return the backend of these settings (None = the environment's), opened once per process."""
    from matinee.settings import Settings

    return _open(settings or Settings.from_environment())


@cache
def _open(settings: Settings) -> Backend:
    from matinee.backends.factory import open_backend

    return open_backend(settings)


@cache
def _client(settings: Settings | None, user: str) -> Client:
    from matinee.client.core import Client
    from matinee.settings import Settings

    found = settings or Settings.from_environment()
    return Client(_open(found), found, user, owner=True)  # the app itself: what its user gave was checked


def _result(client: Client, run: Run) -> Any:
    from matinee.errors import PredictionError
    from matinee.runs import Status
    from matinee.values import records

    if run.status is Status.SUCCEEDED:
        schema = client.predictor(run.predictor).result
        return records.from_json(schema, client.result(run), client.read_blob)
    failure = run.failure
    if failure is None:
        raise PredictionError(f"The run {run.id} of {run.predictor} was cancelled.")
    raise PredictionError(failure.message, kind=failure.kind, hint=failure.hint, traceback=failure.traceback)
