"""Start the child process that runs user code. Imports next to nothing, so that the child starts before all else."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
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


class _Theirs(NamedTuple):
    """The child's ends."""

    commands: int
    reports: int
    life: int
    output: int


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
        os.dup2(theirs.output, 1)
        os.dup2(theirs.output, 2)
        serve(*theirs[:3])
        sys.exit(0)
    os.setpgid(pid, pid)  # both do it, so that whoever comes first may count on it
    return _started(pid, ours, theirs)


def spawn() -> Spawned:
    """Start `python -m matinee.runtime.child`: a child in the place of one that ended, from whatever we are by now."""
    ours, theirs = _pipes()
    for fd in theirs[:3]:
        os.set_inheritable(fd, True)
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "matinee.runtime.child", *map(str, theirs[:3])],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, theirs.output, 1),
            (os.POSIX_SPAWN_DUP2, theirs.output, 2),
        ],
        setpgroup=0,
        setsigdef=_DEFAULT_SIGNALS,
        setsigmask=(),
    )
    return _started(pid, ours, theirs)


def _pipes() -> tuple[tuple[int, int, int, int], _Theirs]:
    commands, our_commands = os.pipe()
    our_reports, reports = os.pipe()
    our_output, output = os.pipe()
    life, our_life = os.pipe()
    return (our_commands, our_reports, our_output, our_life), _Theirs(commands, reports, life, output)


def _started(pid: int, ours: tuple[int, int, int, int], theirs: _Theirs) -> Spawned:
    for fd in theirs:
        os.close(fd)
    for fd in ours[:3]:
        os.set_blocking(fd, False)
    return Spawned(pid, *ours)
