"""Run the dispatcher in this process: when poked, when a worker ends, when something becomes due, and as a backstop.

On AWS the same `dispatch` runs in a Lambda function, by submit pokes, task-stopped events and a schedule.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from matinee.errors import MatineeError
from matinee.manifest import PredictorManifest
from matinee.ports import Launcher, Store
from matinee.queue.dispatch import dispatch

BACKSTOP_S = 5.0  # workers of a killed host are not this one's children: nobody tells when they end

log = logging.getLogger(__name__)


class Dispatching:
    """A thread that dispatches the pools that are due. `live` gives a batch predictor and its component's hash."""

    def __init__(
        self, store: Store, launcher: Launcher, live: Callable[[str], tuple[PredictorManifest, str] | None]
    ) -> None:
        self._store = store
        self._launcher = launcher
        self._live = live
        self._changed = threading.Condition()
        self._one = threading.Lock()  # one dispatch at a time here, and none after stop
        self._due_at: dict[str, float] = {}  # predictor -> when to look next, epoch seconds
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name="matinee-dispatcher", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; nothing is launched afterwards."""
        with self._one, self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def poke(self, predictor: str) -> None:
        """Look at this pool soon."""
        self._look_at(predictor, 0.0)

    def poke_all(self) -> None:
        """Look at every pool that has entries or slots soon."""
        for predictor in self._store.pools():
            self.poke(predictor)

    def dispatch_now(self, predictor: str) -> None:
        """Dispatch in the caller's thread."""
        with self._one:
            if not self._stopping:
                self._dispatch(predictor)

    def _dispatch(self, predictor: str) -> None:
        live = self._live(predictor)
        if live is None:
            self._store.note(predictor, "Its component does not load, or it is no longer part of the app.")
            return
        manifest, content_hash = live
        workers = manifest.resources.max_workers
        outcome = dispatch(
            self._store, self._launcher, predictor, max_workers=workers, version=content_hash, now=time.time()
        )
        if outcome.next_due_at is not None:
            self._look_at(predictor, outcome.next_due_at)

    def _look_at(self, predictor: str, at: float) -> None:
        with self._changed:
            self._due_at[predictor] = min(at, self._due_at.get(predictor, at))
            self._changed.notify()

    def _loop(self) -> None:
        backstop_at = time.time()
        while True:
            with self._changed:
                pause_s = min([backstop_at, *self._due_at.values()]) - time.time()
                if pause_s > 0 and not self._stopping:
                    self._changed.wait(pause_s)
                if self._stopping:
                    return
                due = [name for name, at in self._due_at.items() if at <= time.time()]
                for name in due:
                    del self._due_at[name]
            self._dispatch_safely(due)
            if time.time() >= backstop_at:
                backstop_at = time.time() + BACKSTOP_S
                self._backstop()

    def _backstop(self) -> None:
        try:
            names = self._store.pools()
        except MatineeError as error:
            log.warning("The dispatcher could not read the store: %s", error)
            return
        self._dispatch_safely(names)

    def _dispatch_safely(self, predictors: list[str]) -> None:
        for predictor in predictors:
            try:
                self.dispatch_now(predictor)
            except MatineeError as error:  # the next poke or the backstop tries again
                log.warning("The dispatcher could not look at %s: %s", predictor, error)
