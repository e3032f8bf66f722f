"""Deliver notices from this process: a thread beside the dispatcher's, since mail servers and webhooks may be slow.

On AWS the dispatcher's Lambda function calls the same `deliver`.
"""

from __future__ import annotations

import logging
import threading
import time

from matinee.errors import MatineeError
from matinee.notices.deliver import deliver, open_senders
from matinee.ports import Store

LOOK_S = 2.0  # nobody says here when a run ends: its worker records that by itself

log = logging.getLogger(__name__)


class Delivering:
    """A thread that tells people what has finished, every LOOK_S seconds."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="matinee-notices", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a message on its way is given a moment."""
        self._stopping.set()
        self._thread.join(1.0)

    def _loop(self) -> None:
        while not self._stopping.wait(LOOK_S):
            try:
                self._look()
            except MatineeError as error:
                log.warning("Notices could not be delivered: %s", error)

    def _look(self) -> None:
        release = self._store.release()
        if release is not None:
            deliver(self._store, time.time(), open_senders(release, self._store))
