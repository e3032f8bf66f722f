"""How much memory a process and all it started use, and whether it was too much, from Linux's `/proc` and `/sys`.

Elsewhere nothing is known and nothing is enforced locally.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

_PAGE = os.sysconf("SC_PAGE_SIZE")
# Where the kernel counts whom it killed in this container for want of memory: cgroup v2, then v1
# (https://docs.kernel.org/admin-guide/cgroup-v2.html, https://docs.kernel.org/admin-guide/cgroup-v1/memory.html).
_KILL_COUNTS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")


def memory_bytes(pid: int, *, above: int) -> int:
    """Return the bytes the process tree of `pid` uses; exact when more than `above`.

    Cheap first: the sum of resident sizes, which counts pages that forked processes share several times. Only when
    that is over the limit, the proportional sizes, which count each page once.
    """
    tree = [pid, *descendants(pid)]
    resident = sum(map(_resident_bytes, tree))
    return resident if resident <= above or len(tree) == 1 else sum(map(_proportional_bytes, tree))


def kills_for_memory() -> int:
    """Return how many processes of this container the kernel has killed for want of memory; 0 where nobody counts."""
    for path in _KILL_COUNTS:
        for line in _read(path).splitlines():
            if line.startswith(b"oom_kill "):
                return int(line.split()[1])
    return 0


def descendants(pid: int) -> list[int]:
    """Return the processes that `pid` started, directly or not."""
    found: list[int] = []
    for child in _children(pid):
        found += [child, *descendants(child)]
    return found


def _children(pid: int) -> Iterable[int]:
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 (many times a second)
    except OSError:
        return []
    return [int(child) for thread in threads for child in _read(f"/proc/{pid}/task/{thread}/children").split()]


def _resident_bytes(pid: int) -> int:
    fields = _read(f"/proc/{pid}/statm").split()
    return int(fields[1]) * _PAGE if fields else 0


def _proportional_bytes(pid: int) -> int:
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return _resident_bytes(pid)


def _read(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:  # ended meanwhile, or not Linux
        return b""
    try:
        return os.read(fd, 1 << 16)
    except OSError:
        return b""
    finally:
        os.close(fd)
