"""Start the child process that runs user code. Imports next to nothing, so that the child starts before all else."""

from __future__ import annotations

import os
import signal
import sys
from typing import NamedTuple

_DEFAULT_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE)


class Spawned(NamedTuple):
    """A started child: its process id (also its process group) and our ends of its pipes.

    `life` carries nothing: when this end closes, also by `kill -9`, the kernel ends the child's process group.
    """

    pid: int
    commands: int
    reports: int
    output: int
    life: int


def spawn() -> Spawned:
    """Start `python -m matinee.runtime.child` in a process group of its own."""
    commands, our_commands = os.pipe()
    our_reports, reports = os.pipe()
    our_output, output = os.pipe()
    life, our_life = os.pipe()
    inherited = (commands, reports, life)
    for fd in inherited:
        os.set_inheritable(fd, True)
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "matinee.runtime.child", *map(str, inherited)],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),  # our own stdin is the worker's lock: not the child's
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
        ],
        setpgroup=0,
        setsigdef=_DEFAULT_SIGNALS,
        setsigmask=(),
    )
    for fd in (*inherited, output):
        os.close(fd)
    for fd in (our_commands, our_reports, our_output):
        os.set_blocking(fd, False)
    return Spawned(pid, our_commands, our_reports, our_output, our_life)
