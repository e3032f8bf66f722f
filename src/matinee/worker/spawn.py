"""Start the child process that runs user code. Imports next to nothing, so that the child starts before all else."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

_DEFAULT_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE)


class Spawned:
    """A started child: its process id (also its process group) and our ends of its pipes.

    `life` carries nothing: when this end closes, also by `kill -9`, the kernel ends the child's process group.
    """

    def __init__(self, pid: int, ours: list[int]) -> None:
        self.pid = pid
        self.commands, self.reports, self.output, self.life = self.pipes = ours
        for fd in self.pipes:
            os.set_blocking(fd, False)


def fork(serve: Callable[[int, int, int], None]) -> Spawned:
    """Fork a child that calls `serve(commands, reports, life)` and ends.

    For the first child: this process has one thread and has opened nothing yet, and what it has imported is shared.
    """
    ours, theirs = _pipes()
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        for fd in ours:
            os.close(fd)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # our own stdin is the worker's lock: not the child's
        commands, reports, output, life = theirs
        os.dup2(output, 1)
        os.dup2(output, 2)
        serve(commands, reports, life)
        sys.exit(0)
    os.setpgid(pid, pid)  # both do it, so that whoever comes first may count on it
    return _started(pid, ours, theirs)


def spawn() -> Spawned:
    """Start `python -m matinee.worker.child`: a child in the place of one that ended, from whatever we are by now."""
    ours, theirs = _pipes()
    commands, reports, output, life = theirs
    for fd in (commands, reports, life):
        os.set_inheritable(fd, True)
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "matinee.worker.child", *map(str, (commands, reports, life))],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
        ],
        setpgroup=0,
        setsigdef=_DEFAULT_SIGNALS,
        setsigmask=(),
    )
    return _started(pid, ours, theirs)


def _pipes() -> tuple[list[int], list[int]]:
    """Return our ends and the child's, in the order commands, reports, output, life."""
    commands, our_commands = os.pipe()
    our_reports, reports = os.pipe()
    our_output, output = os.pipe()
    life, our_life = os.pipe()
    return [our_commands, our_reports, our_output, our_life], [commands, reports, output, life]


def _started(pid: int, ours: list[int], theirs: list[int]) -> Spawned:
    for fd in theirs:
        os.close(fd)
    return Spawned(pid, ours)
