"""What comes from outside, as events of the supervisor's `select`.

SIGTERM asks it to end and so does the end of its lifeline (its host is gone); SIGCHLD says that the child ended.
"""

from __future__ import annotations

import os
import selectors
import signal
from contextlib import suppress


class Signals:
    """Takes over the process's signals. `fd` becomes readable when one has come."""

    def __init__(self, selector: selectors.BaseSelector, lifeline_fd: int = -1) -> None:
        self.stop_asked = False
        self.fd, wake = os.pipe()
        for fd in (self.fd, wake):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # the default would not wake the select
        selector.register(self.fd, selectors.EVENT_READ)
        self._lifeline_fd = lifeline_fd
        if lifeline_fd >= 0:
            selector.register(lifeline_fd, selectors.EVENT_READ)
        self._selector = selector

    def take(self, fd: int) -> bool:
        """Take what has come on `fd`; False if that is none of ours."""
        if fd == self.fd:
            self._clear()
        elif fd == self._lifeline_fd:
            self._selector.unregister(fd)
            self.stop_asked = True
        else:
            return False
        return True

    def _clear(self) -> None:
        with suppress(BlockingIOError):
            os.read(self.fd, 512)

    def _stop(self, *_: object) -> None:
        self.stop_asked = True
