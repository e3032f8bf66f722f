"""Predictions that may outlast a request: each in a thread of its own, known by its run's id from the beginning.

An answer within `wait_s` is the response. Else the caller gets the run's id, the prediction runs on, and a small
document in the store says so to every process, until the run is recorded.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from matinee.client.core import Client, used_key
from matinee.errors import BackendError, InputError, MatineeError, NotFoundError
from matinee.runs import Failure, Run, Status, new_run_id

Json = Any
KIND = "prediction"  # the kind of the documents
AT_ONCE = 64  # predictions that run for callers of this process
REMEMBERED = 2_000  # idempotency keys, each with its run: some kilobytes
REMEMBERED_S = 3600.0
_GRACE_S = 120.0  # after its time limit a prediction that nobody recorded is lost


class Prediction:
    """One prediction under way. `future` gives the recorded run, or raises what `Client.predict` raises."""

    def __init__(self, client: Client, name: str, inputs: Json) -> None:
        self.client = client
        self.predictor = client.predictor(name)
        self.inputs = inputs
        self.run_id = new_run_id()
        self.created_at = time.time()
        self.future: Future[Run] = Future()
        self._lock = threading.Lock()
        self._is_told = False

    def work(self) -> None:
        """Predict, and record what nobody waits for any more."""
        try:
            run = self.client.predict(self.predictor.name, self.inputs, run_id=self.run_id)
        except BaseException as error:
            self._refuse(error)
        else:
            self.future.set_result(run)
        with self._lock:
            self.inputs = None  # it may be large, and its key is remembered for long
            if self._is_told:
                self.client.backend.store.put_document(KIND, self.run_id, None)

    def _refuse(self, error: BaseException) -> None:
        with self._lock:  # either `tell` finds the future done, or this finds that it told
            try:
                if self._is_told:
                    self.client.backend.store.record(self._failed(error))
            finally:
                self.future.set_exception(error)

    def tell(self) -> Run:
        """Say in the store that it runs on, unless it has just ended; return the run as it is now."""
        with self._lock:
            if not self.future.done():
                self._is_told = True
                deadline = self.created_at + self.predictor.resources.timeout_s + _GRACE_S
                told = {"predictor": self.predictor.name, "user": self.client.user, "created_at": self.created_at}
                self.client.backend.store.put_document(KIND, self.run_id, {**told, "deadline": deadline})
        return self.future.result() if self.future.done() else self._run()

    def _run(self, **changes: Any) -> Run:
        return _running(self.run_id, self.predictor.name, self.client.user, self.created_at, self.inputs, **changes)

    def _failed(self, error: BaseException) -> Run:
        kind = "invalid_input" if isinstance(error, InputError) else "start"
        known = error if isinstance(error, MatineeError) else MatineeError("The prediction could not be made.")
        failure = Failure(kind, known.message, known.hint)
        return self._run(status=Status.FAILED, failure=failure, finished_at=time.time())


class Later:
    """The predictions of this process, and the answers by idempotency key."""

    def __init__(self) -> None:
        self._places = threading.BoundedSemaphore(AT_ONCE)
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str, str], tuple[float, str, Prediction]] = OrderedDict()

    def start(self, client: Client, name: str, inputs: Json, key: str, spend: Callable[[], None]) -> Prediction:
        """Start a prediction, or return the one of this key. `spend` is called for a new one and may refuse it.

        Raises InputError when the key was used with other inputs, BackendError when too many are under way.
        """
        if not key:
            return self._begin(client, name, inputs, spend)
        place = (client.user, name, key)
        digest = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
        with self._lock:
            self._forget()
            known = self._known.get(place)
            if known is not None:
                if known[1] != digest:
                    raise used_key()
                return known[2]
            prediction = self._begin(client, name, inputs, spend)
            self._known[place] = (time.monotonic(), digest, prediction)
        prediction.future.add_done_callback(lambda future: self._drop(place) if future.exception() else None)
        return prediction

    def _drop(self, place: tuple[str, str, str]) -> None:
        with self._lock:
            self._known.pop(place, None)

    def _begin(self, client: Client, name: str, inputs: Json, spend: Callable[[], None]) -> Prediction:
        prediction = Prediction(client, name, inputs)
        spend()
        if not self._places.acquire(blocking=False):
            raise BackendError(f"{AT_ONCE} predictions are under way.", hint="Ask again in a moment.")
        threading.Thread(target=self._work, args=(prediction,), name="matinee-prediction", daemon=True).start()
        return prediction

    def _work(self, prediction: Prediction) -> None:
        try:
            prediction.work()
        finally:
            self._places.release()

    def _forget(self) -> None:
        old = time.monotonic() - REMEMBERED_S
        while self._known and (len(self._known) > REMEMBERED or next(iter(self._known.values()))[0] < old):
            self._known.popitem(last=False)


def find(client: Client, run_id: str) -> Run:
    """Return a run, one that is still being predicted included; NotFoundError if it is not theirs to see."""
    try:
        return client.run(run_id)
    except NotFoundError:
        told = client.backend.store.document(KIND, run_id)
        if told is None or not (client.owner or told["user"] == client.user):
            raise
    if time.time() < told["deadline"]:
        return _running(run_id, told["predictor"], told["user"], told["created_at"], None)
    lost = Failure("lost", "The app was stopped while this prediction ran.", "Predict again.")
    times = {"finished_at": told["deadline"], "status": Status.FAILED, "failure": lost}
    return _running(run_id, told["predictor"], told["user"], told["created_at"], None, **times)


def _running(run_id: str, predictor: str, user: str, created_at: float, inputs: Json, **changes: Any) -> Run:
    status = changes.pop("status", Status.RUNNING)
    return Run(
        run_id, predictor, "realtime", user, status, inputs, created_at, attempt=1, started_at=created_at, **changes
    )
