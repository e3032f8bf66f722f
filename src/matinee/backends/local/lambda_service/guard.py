"""Ends the workers when their service has died, by whatever signal: run as a script, it waits for the end of its input.

Each line is `+GROUP` or `-GROUP`, a process group to end and one that has ended. A dead process cannot tidy up and a
worker that is busy does not look; the pipe's end is what the kernel is certain to report.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from typing import IO

_END_S = 5.0


class Guard:
    """Starts the guarding process; `watch` and `forget` are safe from any thread."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            start_new_session=True, bufsize=0,
        )  # fmt: skip

    def watch(self, group: int) -> None:
        """End this group with the service."""
        self._write(f"+{group}\n")

    def forget(self, group: int) -> None:
        """The group has ended."""
        self._write(f"-{group}\n")

    def close(self) -> None:
        """End what is still watched, and the guard."""
        pipe = self._pipe()
        with contextlib.suppress(BrokenPipeError):
            pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):  # stopped, perhaps: it ends when it goes on
            self._process.wait(_END_S)

    def _write(self, line: str) -> None:
        with contextlib.suppress(
            BrokenPipeError, ValueError
        ):  # somebody ended the guard: the service still ends its own
            self._pipe().write(line.encode())  # below PIPE_BUF, so whole

    def _pipe(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin


def main() -> None:
    """Read groups until the input ends, then kill those that are left."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
