"""A process and all it started: how much memory they use, and how they are ended. For batch workers and realtime alike.

On Linux the memory is exact when it matters: pages that forked processes share count once. Elsewhere `ps` knows
resident sizes alone, which count shared pages once for each process, so only the largest process counts there: a limit
may be missed on such a laptop, but nobody is stopped for memory that was never used.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
# Where the kernel counts whom it killed in this container for want of memory: cgroup v2, then v1
# (https://docs.kernel.org/admin-guide/cgroup-v2.html, https://docs.kernel.org/admin-guide/cgroup-v1/memory.html).
_KILL_COUNTS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")


def tree_bytes(pid: int, *, above: int = 0) -> int:
    """Return the bytes that `pid` and all it started use, 0 when they are gone; exact when more than `above`.

    Cheap first: the sum of resident sizes is never too small, so at or below `above` (the limit) it will do. Over it
    the proportional sizes are read, which count a shared page once: https://docs.kernel.org/filesystems/proc.html.
    """
    if sys.platform != "linux":
        return largest_of_tree(pid, _process_list())
    tree = [pid, *descendants(pid)]
    resident = sum(map(_resident_bytes, tree))
    return resident if resident <= above or len(tree) == 1 else sum(map(_proportional_bytes, tree))


def largest_of_tree(pid: int, listing: str) -> int:
    """Return the bytes of the largest process of `pid`'s tree, by lines of "pid parent resident-KiB" as `ps` prints."""
    sizes: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    for line in listing.splitlines():
        process, parent, resident_kib = map(int, line.split())
        sizes[process] = resident_kib * 1024
        children.setdefault(parent, []).append(process)
    return max(sizes.get(process, 0) for process in [pid, *_below(pid, lambda one: children.get(one, ()))])


def kills_for_memory() -> int:
    """Return how many processes of this container the kernel has killed for want of memory; 0 where nobody counts."""
    for path in _KILL_COUNTS:
        for line in _read(path).splitlines():
            if line.startswith(b"oom_kill "):
                return int(line.split()[1])
    return 0


def descendants(pid: int) -> list[int]:
    """Return the processes that `pid` started, directly or not; none where there is no `/proc`."""
    return _below(pid, _children)


def kill_tree(pid: int, mark: str) -> None:
    """Kill a process, its group, all it started, and what is left of that: whoever has `mark` in its environment.

    `mark` ("NAME=value") is this tree's alone. By it those are found that have a session of their own and whose parent
    has ended. This process and those that started it are spared. Where there is no `/proc`, the group alone is killed.
    """
    started = descendants(pid)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    for left in [*started, *_marked(mark.encode())]:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(left, signal.SIGKILL)


def _marked(mark: bytes) -> Iterator[int]:
    """Yield the processes that were started with this variable, but for this one and its ancestors."""
    spared = set(_ancestors(os.getpid()))
    with suppress(OSError):
        for name in os.listdir("/proc"):  # noqa: PTH208 - a worker starts without pathlib
            is_other = name.isdecimal() and int(name) not in spared
            if is_other and mark in _read(f"/proc/{name}/environ").split(b"\0"):
                yield int(name)


def _ancestors(pid: int) -> Iterator[int]:
    """Yield the process, its parent, and so on."""
    while pid > 0:
        yield pid
        fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()  # state, parent, …
        pid = int(fields[1]) if fields else 0


def _below(pid: int, children: Callable[[int], Iterable[int]]) -> list[int]:
    found: list[int] = []
    for child in children(pid):
        found += [child, *_below(child, children)]
    return found


def _children(pid: int) -> Iterable[int]:
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 (many times a second)
    except OSError:
        return []
    return [int(child) for thread in threads for child in _read(f"/proc/{pid}/task/{thread}/children").split()]


def _resident_bytes(pid: int) -> int:
    fields = _read(f"/proc/{pid}/statm").split()
    return int(fields[1]) * _PAGE_BYTES if fields else 0


def _proportional_bytes(pid: int) -> int:
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return _resident_bytes(pid)


def _process_list() -> str:
    import subprocess  # late: a worker on Linux starts without it

    return subprocess.run(["ps", "-axo", "pid=,ppid=,rss="], capture_output=True, text=True, check=False).stdout


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
