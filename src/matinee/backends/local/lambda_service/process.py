"""One worker process: started in its own group, its output read line by line, its end reported once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence

from matinee.backends.local.lambda_service.guard import Guard
from matinee.process_tree import kill_tree

RUNTIME_API = "AWS_LAMBDA_RUNTIME_API"  # each process has a port of its own, and all it starts inherits the name
_READ_BYTES = 65536
_READS = 2  # a pipe holds 64 KB, and some may come meanwhile
_LONGEST_LINE_BYTES = 256 * 1024  # CloudWatch's limit of one event


class Process:
    """A process of a function. Callbacks come on the loop: `on_line(text)`, then once `on_end(how)` in AWS's words.

    A thread of its own starts it and waits for it: starting blocks, and waiting works the same on every loop. It has a
    process group of its own, so that it is ended with its descendants and Ctrl-C is not for it; but no session: on a
    busy machine Linux shares the processor out by session, and a request that passes between two takes three times
    as long.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        guard: Guard,
        on_line: Callable[[str], None],
        on_end: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._guard = guard
        self._on_line = on_line
        self._on_end = on_end
        self._output = -1
        self._partial = b""
        self._must_die = False
        self.pid = 0  # 0 = not started yet, or ended

    def start(self, command: Sequence[str], environment: Mapping[str, str], cwd: str, *, lifeline: bool) -> None:
        """Start it; a command that cannot be started ends at once. `lifeline`: its input ends with us, not at once."""
        self._output, write_end = os.pipe()
        os.set_blocking(self._output, False)
        self._loop.add_reader(self._output, self.read_output)
        source = subprocess.PIPE if lifeline else subprocess.DEVNULL
        threading.Thread(target=self._live, args=(command, environment, cwd, source, write_end), daemon=True).start()

    def kill(self) -> None:
        """Kill it and its descendants."""
        self._must_die = True
        self._signal(signal.SIGKILL)

    def terminate(self, grace_s: float = 0.5) -> None:
        """Ask it to end, then kill it."""
        if self.pid:
            self._signal(signal.SIGTERM)
            self._loop.call_later(grace_s, self.kill)
        else:
            self.kill()

    def read_output(self) -> None:
        """Read what it has written so far, at most what its pipe holds: a flood must not hold up the loop.

        Called when there is some, and before a request is reported.
        """
        for _ in range(_READS):
            if self._output < 0:
                return
            try:
                data = os.read(self._output, _READ_BYTES)
            except BlockingIOError:
                return
            if not data:
                self._close_output()
                return
            *lines, self._partial = (self._partial + data).split(b"\n")
            for line in lines:
                self._emit(line)
            if len(self._partial) > _LONGEST_LINE_BYTES:
                self.flush()

    def flush(self) -> None:
        """Hand over a line that has no end yet."""
        if self._partial:
            line, self._partial = self._partial, b""
            self._emit(line)

    def _emit(self, line: bytes) -> None:
        # awslambdaric writes one event of several lines with \r between them and no-break spaces before them
        text = line.decode("utf-8", "replace").rstrip("\r").replace("\r", "\n").replace("\u00a0", " ")
        self._on_line(text)

    def _close_output(self) -> None:
        if self._output >= 0:
            self._loop.remove_reader(self._output)
            os.close(self._output)
            self._output = -1

    def _signal(self, number: int) -> None:
        if self.pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    # --- in the thread ---

    def _live(self, command: Sequence[str], environment: Mapping[str, str], cwd: str, source: int, output: int) -> None:
        try:
            process = subprocess.Popen(
                command, env=dict(environment), cwd=cwd or None, stdin=source, stdout=output,
                stderr=subprocess.STDOUT, process_group=0,
            )  # fmt: skip
        except OSError as error:
            self._tell(self._ended, f"{command[0]}: {error.strerror}")
            return
        finally:
            os.close(output)
        self._guard.watch(process.pid)
        self._tell(self._started, process.pid)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # not reaped yet: the group's id stays its own
        kill_tree(process.pid, f"{RUNTIME_API}={environment[RUNTIME_API]}")  # descendants it left
        code = process.wait()
        if process.stdin is not None:
            process.stdin.close()
        self._guard.forget(process.pid)
        self._tell(self._ended, _how(code))

    def _tell(self, callback: Callable[..., None], value: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(callback, value)

    # --- back on the loop ---

    def _started(self, pid: int) -> None:
        self.pid = pid
        if self._must_die:
            self.kill()

    def _ended(self, how: str) -> None:
        self.pid = 0
        self.read_output()  # all there is: nobody writes any more
        self.flush()
        self._close_output()
        self._on_end(how)


def _how(code: int) -> str:
    if code == 0:
        return "Runtime exited without providing a reason"
    if code > 0:
        return f"Runtime exited with error: exit status {code}"
    names = {signal.SIGKILL: "killed", signal.SIGTERM: "terminated", signal.SIGSEGV: "segmentation fault",
             signal.SIGABRT: "aborted", signal.SIGINT: "interrupt"}  # fmt: skip
    return f"Runtime exited with error: signal: {names.get(signal.Signals(-code), signal.Signals(-code).name)}"
