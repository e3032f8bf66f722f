"""How much memory a process and its descendants hold."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def tree_rss_bytes(pid: int) -> int:
    """Return the resident bytes of `pid` and all its descendants; 0 when it is gone."""
    return _linux(pid) if sys.platform == "linux" else _by_ps(pid)


def _linux(pid: int) -> int:
    total = 0
    with contextlib.suppress(OSError):  # it may end while we read
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123 - twenty times a second
            total = int(file.read().split()[1]) * _PAGE
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
            with open(f"/proc/{pid}/task/{task}/children", "rb") as file:  # noqa: PTH123
                total += sum(_linux(int(child)) for child in file.read().split())
    return total


def _by_ps(pid: int) -> int:
    listing = subprocess.run(["ps", "-axo", "pid=,ppid=,rss="], capture_output=True, text=True, check=False).stdout
    rows = [tuple(map(int, line.split())) for line in listing.splitlines()]
    total, family = 0, {pid}
    for process, parent, rss_kib in sorted(rows):  # a child's id is mostly above its parent's
        if process in family or parent in family:
            family.add(process)
            total += rss_kib * 1024
    return total
