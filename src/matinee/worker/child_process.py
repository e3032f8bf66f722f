"""The supervisor's view of its child process: messages to it, reports from it, its output and its end."""

from __future__ import annotations

import json
import os
import selectors
import sys
from contextlib import suppress

from matinee.process_tree import kill_tree, kills_for_memory
from matinee.runs import Json
from matinee.worker.spawn import Spawned, spawn

_CHUNK = 1 << 16


class Child:
    """One child process and its pipes, all non-blocking: a slow child never stops the supervisor.

    `mark` is the variable by which all it starts is found. `ready` once the component is imported, `used` once a run
    was sent, `has_finished_a_run` once one has ended.
    """

    def __init__(self, spawned: Spawned | None, selector: selectors.BaseSelector, mark: str) -> None:
        self._pipes = spawned or spawn()
        self.pid = self._pipes.pid
        self.ready = False
        self.used = False
        self.has_finished_a_run = False
        self._mark = mark
        self._kills_before = kills_for_memory()
        self._exit_code: int | None = None
        self._selector = selector
        self._to_send = b""
        self._half_report = b""
        self._half_line = b""
        for fd in (self._pipes.reports, self._pipes.output):
            selector.register(fd, selectors.EVENT_READ)

    def send(self, message: Json) -> None:
        """Send a message as soon as the child takes it."""
        self.used = True
        self._to_send += json.dumps(message, separators=(",", ":")).encode() + b"\n"
        self.flush()

    def flush(self) -> None:
        """Go on sending; called when the pipe takes more."""
        waiting = self._pipes.commands in self._selector.get_map()
        with suppress(BlockingIOError, BrokenPipeError):  # a child that is gone is seen by its exit status
            while self._to_send:
                self._to_send = self._to_send[os.write(self._pipes.commands, self._to_send[:_CHUNK]) :]
        if self._to_send and not waiting:
            self._selector.register(self._pipes.commands, selectors.EVENT_WRITE)
        elif waiting and not self._to_send:
            self._selector.unregister(self._pipes.commands)

    def has_unread_command(self) -> bool:
        """Whether a run was sent that the process has not taken; to be asked before `close`."""
        import fcntl  # rare: only after a process has died
        import termios

        unread = fcntl.ioctl(self._pipes.commands, termios.FIONREAD, bytes(4))
        return bool(self._to_send) or int.from_bytes(unread, sys.byteorder) > 0

    def reports(self) -> list[Json]:
        """Return the reports that have arrived."""
        *lines, self._half_report = (self._half_report + self._read(self._pipes.reports)).split(b"\n")
        reports = []
        for line in lines:
            with suppress(ValueError):  # a process forked by user code may have mixed its line into another
                reports.append(json.loads(line))
        self.has_finished_a_run = self.has_finished_a_run or any(kind in ("result", "error") for kind, _ in reports)
        return reports

    def output_lines(self, *, rest: bool = False) -> list[str]:
        """Return lines written to the child's stdout or stderr below Python; with `rest` also a half one."""
        *lines, self._half_line = (self._half_line + self._read(self._pipes.output)).split(b"\n")
        if self._half_line and (rest or len(self._half_line) > _CHUNK):
            lines.append(self._half_line)
            self._half_line = b""
        return [line.decode(errors="replace") for line in lines]

    def has_ended(self) -> bool:
        """Whether the process is gone (its exit status still to be taken by `end`)."""
        return (
            self._exit_code is not None
            or os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        )

    def end(self) -> int:
        """Kill the child and all it started, and return its exit code (negative: the signal); again is no error.

        The zombie keeps the ids of process and group from being given to others until here.
        """
        if self._exit_code is not None:
            return self._exit_code
        kill_tree(self.pid, self._mark)
        self._exit_code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._exit_code

    def had_no_memory(self) -> bool:
        """Whether the kernel has killed for want of memory in this container since the child started."""
        return kills_for_memory() > self._kills_before

    def close(self) -> None:
        """Let go of the pipes; to be called after `end` and after the last reports were read."""
        for fd in self._pipes.pipes:
            if fd in self._selector.get_map():
                self._selector.unregister(fd)
            os.close(fd)

    def _read(self, fd: int) -> bytes:
        """Return what the pipe holds now, at most 16 chunks so that a flood does not hold up the loop."""
        data = b""
        for _ in range(16):
            try:
                chunk = os.read(fd, _CHUNK)
            except BlockingIOError:
                break
            data += chunk
            if len(chunk) < _CHUNK:
                if not chunk and fd in self._selector.get_map():
                    self._selector.unregister(fd)  # closed by user code; the exit status says the rest
                break
        return data
