"""Signals as events of the supervisor's `select`: SIGTERM asks it to end, SIGCHLD says that the child ended."""

from __future__ import annotations

import os
import selectors
import signal
from contextlib import suppress


class Signals:
    """Takes over the process's signals. `fd` becomes readable when one has come."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self.stop_asked = False
        self.fd, wake = os.pipe()
        for fd in (self.fd, wake):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # the default would not wake the select
        selector.register(self.fd, selectors.EVENT_READ)

    def clear(self) -> None:
        """Take what has come off the pipe."""
        with suppress(BlockingIOError):
            os.read(self.fd, 512)

    def _stop(self, *_: object) -> None:
        self.stop_asked = True
