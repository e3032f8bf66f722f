"""A process in a small box: ¼ CPU and 512 MB by the kernel's own control groups, and what it uses, from /proc.

Within its quarter the box goes before what else runs on the machine (`cpu.shares`), so neighbours take none of it; they
still share the caches.

Control groups are made below the caller's own and only with the rights it has. Where that fails the process runs
without a limit and `limits` says so: a figure without its limit is no figure for a small machine.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

CPU_QUOTA_US, CPU_PERIOD_US = 25_000, 100_000
MEMORY_BYTES = 512 * 2**20
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Box:
    """The control groups of one process; `limits` names what is really held."""

    def __init__(self, name: str) -> None:
        self.limits: list[str] = []
        self._folders: list[Path] = []
        for controller, mount, is_v2 in _mounts():
            self._make(controller, mount / _own_group(controller, is_v2).lstrip("/") / name, is_v2)

    def put(self, pid: int) -> None:
        """Move a process (and what it starts later) into the box."""
        for folder in self._folders:
            (folder / "cgroup.procs").write_text(str(pid))

    def remove(self) -> None:
        """Take the groups away; their processes must have ended."""
        deadline = time.monotonic() + 5
        for folder in self._folders:
            while True:
                try:
                    folder.rmdir()
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        break
                    time.sleep(0.05)

    @property
    def throttled_s(self) -> float | None:
        """How long the processor was withheld, in seconds."""
        for folder in self._folders:
            stat = folder / "cpu.stat"
            for line in stat.read_text().splitlines() if stat.exists() else ():
                name, _, value = line.partition(" ")
                if name in ("throttled_usec", "throttled_time"):
                    return int(value) / (1e6 if name == "throttled_usec" else 1e9)
        return None

    def _make(self, controller: str, folder: Path, is_v2: bool) -> None:
        settings = _SETTINGS[controller, is_v2]
        try:
            folder.mkdir()
        except OSError:
            return
        try:
            for file, value in settings.items():
                (folder / file).write_text(value)
        except OSError:
            folder.rmdir()
            return
        self._folders.append(folder)
        self.limits.append(controller)


FIRST = {False: "262144", True: "10000"}  # the most that cpu.shares, cpu.weight take
_CPU_V1 = {
    "cpu.cfs_period_us": str(CPU_PERIOD_US),
    "cpu.cfs_quota_us": str(CPU_QUOTA_US),
    "cpu.shares": FIRST[False],
}
_SETTINGS = {
    ("cpu", False): _CPU_V1,
    ("memory", False): {"memory.limit_in_bytes": str(MEMORY_BYTES)},
    ("cpu+memory", True): {
        "cpu.max": f"{CPU_QUOTA_US} {CPU_PERIOD_US}",
        "cpu.weight": FIRST[True],
        "memory.max": str(MEMORY_BYTES),
    },
}


def _mounts() -> Iterator[tuple[str, Path, bool]]:
    """Find the hierarchies that hold processor and memory: one of version 2, or one each of version 1.

    A memory hierarchy of version 1 in which this process is not at the root belongs to whoever runs it, and stays
    untouched: the memory figure is then the kernel's high-water mark alone.
    """
    found: list[tuple[str, Path, bool]] = []
    for line in Path("/proc/mounts").read_text().splitlines() if Path("/proc/mounts").exists() else ():
        _, mount, kind, options, *_ = line.split()
        if kind == "cgroup2" and "cpu" in _read(Path(mount) / "cgroup.controllers").split():
            yield "cpu+memory", Path(mount), True
            return
        if kind == "cgroup":
            found += [(c, Path(mount), False) for c in ("cpu", "memory") if c in options.split(",")]
    for controller, mount, is_v2 in found:
        if controller == "cpu" or _own_group(controller, is_v2) == "/":
            yield controller, mount, is_v2


def _own_group(controller: str, is_v2: bool) -> str:
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        number, names, path = line.split(":", 2)
        if (is_v2 and number == "0") or (not is_v2 and controller in names.split(",")):
            return path
    return "/"


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


class Process:
    """A boxed server and what it has used so far."""

    def __init__(self, process: subprocess.Popen[bytes], box: Box | None) -> None:
        self.process, self.box, self.pid = process, box, process.pid

    def cpu_ms(self) -> float:
        """Processor time of all its threads, user and system, in milliseconds; finer than a tick where known."""
        total = 0
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            ran = _read(task / "schedstat").split()
            if not ran:
                return self._ticks_ms()
            total += int(ran[0])
        return max(total / 1e6, self._ticks_ms())  # ended threads count only in the ticks

    def _ticks_ms(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1000 / TICKS_PER_S

    def memory_mb(self) -> float:
        """Resident memory now, in MB (10⁶ bytes)."""
        return self._status("VmRSS")

    def peak_mb(self) -> float:
        """The most resident memory it ever had, in MB (10⁶ bytes)."""
        return self._status("VmHWM")

    def _status(self, name: str) -> float:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024 / 1e6
        raise RuntimeError(f"/proc does not say {name}")


@contextmanager
def boxed(command: Sequence[str], environment: dict[str, str], *, is_limited: bool = True) -> Iterator[Process]:
    """Run a server in a box of its own; at the end the process and the box are gone."""
    box = Box(f"matinee-bench-{os.getpid()}-{time.monotonic_ns()}") if is_limited else None
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        if box:
            box.put(process.pid)
        yield Process(process, box)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if box:
            box.remove()
