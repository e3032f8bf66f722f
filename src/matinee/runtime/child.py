"""The process that runs user code for a batch worker: `python -m matinee.runtime.child COMMANDS REPORTS LIFE`.

It imports the component once and keeps it over runs. The arguments are the numbers of three inherited pipes:
commands and reports are JSON lines; life closes when the supervisor is gone, and ends this process group.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import threading
from typing import Any


def main(commands: int, reports: int, life: int) -> None:
    """Serve runs until the supervisor closes the commands."""
    for fd in (commands, reports, life):
        os.set_inheritable(fd, False)
    end_with(life)
    from matinee.runtime.child_link import Link, capture

    link = Link(reports)
    streams = capture(link)
    from matinee.runtime.child_runs import Runner

    runner = Runner.start(link, streams)
    if runner is None:
        return
    with os.fdopen(commands, "rb") as lines:
        for line in lines:
            runner.serve(line)


def end_with(life: int) -> None:
    """Have this process group killed when the other end of the pipe `life` closes.

    On Linux by the kernel itself (the pipe's hang-up is a signal, here SIGKILL), so that it works whatever user code
    does; elsewhere by a thread.
    """
    if not hasattr(fcntl, "F_SETSIG"):
        threading.Thread(target=_end_at_hangup, args=(life,), daemon=True).start()
        return
    fcntl.fcntl(life, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(life, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC | os.O_NONBLOCK)
    try:
        if not os.read(life, 1):  # it ended before we came here
            _end_at_hangup(life)
    except BlockingIOError:
        pass  # it lives


def _end_at_hangup(life: int, *_: Any) -> None:
    os.read(life, 1)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
