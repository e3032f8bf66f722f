"""What one user sees of runs that are recorded, and does with them: read, wait, cancel, share, rate."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from matinee.backends.factory import Backend
from matinee.client.visibility import SHARE, Visibility
from matinee.errors import AccessError, ConflictError, NotFoundError, UsageError
from matinee.ports import LogLine, RunQuery
from matinee.queue.dispatch import cancel
from matinee.runs import RATINGS, Entry, Feedback, Json, Run, Scale, Status, new_run_id
from matinee.settings import Settings
from matinee.values import blobs, encode

CLOCKS_S = 1.0  # a run's time is its submitter's
_ENDED = {Status.SUCCEEDED: "succeeded", Status.FAILED: "failed", Status.CANCELLED: "been cancelled"}


@dataclass(frozen=True)
class _Queue:
    """A predictor's queue as read at `read_at`: the places of the runs that wait, and why none starts."""

    read_at: float
    places: dict[str, int]
    note: str


class RecordedRuns:
    """The part of `Client` that needs no predictor. Every method shows and changes only what the user may."""

    backend: Backend
    settings: Settings
    user: str
    owner: bool
    visibility: Visibility
    clock: Callable[[], float]

    def run(self, run_id: str) -> Run:
        """Return the run; NotFoundError if there is none, or it is not theirs to see."""
        run = self.backend.store.run(run_id)
        if run is None:
            raise _no_run(run_id)
        return self.see(run)

    def see(self, run: Run) -> Run:
        """Return a run as this user sees it (a traceback is the owner's); NotFoundError if it is not theirs to see."""
        if not self.visibility.sees(run):
            raise _no_run(run.id)
        return self._shown(run)

    def runs(self, query: RunQuery) -> list[Run]:
        """Return a page of runs, newest first: their own; an owner's query may be of everybody."""
        if not self.owner:
            if query.user not in (None, self.user):
                return []
            query = replace(query, user=self.user)
        return [self._shown(run) for run in self.backend.store.runs(query)]

    def entry(self, run: Run) -> Entry | None:
        """Return the queue entry (live progress) of an unfinished run."""
        self.see(run)
        return None if run.status.is_final else self.backend.store.entry(run.predictor, run.id)

    def queue_position(self, run: Run) -> int | None:
        """Return how many runs will start before this one; None when it does not wait (or stands beyond 1,000)."""
        queue = self._queue(run.predictor, self._queue_ttl_s)
        if run.id not in queue.places and queue.read_at < run.created_at + CLOCKS_S:
            queue = self._queue(run.predictor, 0.0)  # it was submitted since
        return queue.places.get(run.id)

    def why_waiting(self, run: Run) -> str:
        """Return why no worker starts, "" when nothing is wrong."""
        return self._queue(run.predictor, self._queue_ttl_s).note

    @property
    def _queue_ttl_s(self) -> float:
        return self.backend.traits.queue_age_s

    def _queue(self, predictor: str, max_age_s: float) -> _Queue:
        return self.backend.poll.read(("queue", predictor), max_age_s, lambda: self._read_queue(predictor))

    def _read_queue(self, predictor: str) -> _Queue:
        read_at, store = self.clock(), self.backend.store
        waiting = (entry.run_id for entry in store.entries(predictor) if not entry.is_leased)
        return _Queue(read_at, {run_id: place for place, run_id in enumerate(waiting)}, store.pool(predictor).note)

    def inputs(self, run: Run) -> Json:
        """Return the run's inputs as they were checked."""
        self.see(run)
        return self.visibility.inputs(run)

    def result(self, run: Run) -> Json:
        """Return the result as JSON; None unless the run succeeded."""
        self.see(run)
        return self.visibility.result(run)

    def read_blob(self, blob: Json) -> bytes:
        """Return the bytes of a blob value, inline or in Files; NotFoundError if the file is not theirs to read."""
        if "base64" not in blob:
            self.visibility.check_key(str(blob.get("key")), str(blob.get("run", "")))
        return blobs.Reader(self.backend.files)(blob)

    def upload(self, data: bytes, media_type: str, name: str) -> Json:
        """Return the bytes as a blob value; large ones are put into Files, as this user's."""
        return self._upload()(data, media_type, name)

    def to_json(self, value: Any) -> Json:
        """Return any supported Python value as JSON; large files of it are put into Files."""
        return encode.to_json(value, self._upload())

    def _upload(self) -> blobs.PutBlob:
        return blobs.writer(self.backend.files, f"{self.visibility.uploads}{new_run_id()}")

    def wait(
        self, run_id: str, *, timeout_s: float | None = None, watch: Callable[[Run, Entry | None], None] | None = None
    ) -> Run:
        """Wait until the run is finished, or `timeout_s` has passed; return it as it is then."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        pause_s = 0.02
        while True:
            run = self.run(run_id)
            if watch:
                watch(run, self.entry(run))
            if run.status.is_final or (deadline is not None and time.monotonic() >= deadline):
                return run
            time.sleep(pause_s if deadline is None else max(0.0, min(pause_s, deadline - time.monotonic())))
            pause_s = min(0.5, pause_s * 1.3)

    def cancel(self, run_id: str) -> Run:
        """Cancel a queued run at once, ask a running one to stop; ConflictError if it is finished.

        Raises AccessError for a run that was only shared with this user.
        """
        run = self._own(run_id, "cancel")
        if run.status.is_final:
            raise ConflictError(f"Run {run.id} has already {_ENDED[run.status]}.", hint="There is nothing to cancel.")
        return self._shown(cancel(self.backend.store, run.id, self.clock()))

    def share(self, run_id: str) -> None:
        """Let everybody who may use the app see and rate the run; AccessError unless it is this user's."""
        run = self._own(run_id, "share")
        self.backend.store.put_document(SHARE, run.id, {"by": self.user, "at": self.clock()})

    def unshare(self, run_id: str) -> None:
        """Keep the run to oneself (and the owner) again; AccessError unless it is this user's."""
        self.backend.store.put_document(SHARE, self._own(run_id, "share").id, None)

    def is_shared(self, run_id: str) -> bool:
        """Whether everybody may see the run."""
        return self.visibility.is_shared(self.run(run_id).id)

    def logs(self, run_id: str) -> list[LogLine]:
        """Return what the run wrote, in order."""
        return self.backend.logs.read(self.run(run_id).id)

    def feedback(
        self,
        run_id: str,
        rating: int | None = None,
        comment: str = "",
        corrected: Json = None,
        *,
        scale: Scale = "thumbs",
    ) -> Feedback:
        """Store what this user says of the run, replacing what they said before.

        `rating` is 1 or -1, on the scale of stars 1 to 5, or None. Raises UsageError for any other, or another scale.
        """
        if scale not in RATINGS:
            raise UsageError(f"There is no scale {scale!r}.", hint=f"There is: {', '.join(RATINGS)}.")
        if rating not in (None, *RATINGS[scale]):
            allowed = "1 or -1" if scale == "thumbs" else "1 to 5 stars"
            raise UsageError(f"A rating is {allowed}, not {rating!r}.", hint="Leave it out to store only a comment.")
        self.visibility.check_inputs({"corrected": corrected})
        feedback = Feedback(self.run(run_id).id, self.user, rating, comment, corrected, self.clock(), scale)
        self.backend.store.put_feedback(feedback)
        return feedback

    def feedback_of(self, run_id: str) -> list[Feedback]:
        """Return what this user said of the run; an owner sees what everybody said."""
        said = self.backend.store.feedback(self.run(run_id).id)
        return [feedback for feedback in said if self.owner or feedback.user == self.user]

    def close(self) -> None:
        """Let go of connections."""
        self.backend.store.close()

    def _own(self, run_id: str, verb: str) -> Run:
        run = self.run(run_id)
        if not self.visibility.owns(run):
            raise AccessError(
                f"You cannot {verb} run {run.id}: it is only shared with you.", hint="Ask whoever started it."
            )
        return run

    def _shown(self, run: Run) -> Run:
        if self.owner or run.failure is None or not run.failure.traceback:
            return run
        return replace(run, failure=replace(run.failure, traceback=""))


def _no_run(run_id: str) -> NotFoundError:
    return NotFoundError(f"There is no run {run_id!r}.", hint="`matinee runs list` shows the newest.")
