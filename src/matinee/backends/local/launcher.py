"""Batch workers as processes of this machine: at most one per token, held by a lock file.

The launcher takes a flock on `workers/TOKEN.lock` and hands the open file to the worker as its standard input. The
kernel lets go of the lock when the worker ends, however it ends, so any launcher on this machine, this one or a later
one, knows by trying the lock whether the worker lives. Beside it `TOKEN.json` says pid, exit code and reason.

A worker needs its host (the Lambda service it calls): it holds the read end of a pipe of the launcher's and gives its
run back when that ends, as on SIGTERM, however the host ended.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matinee.errors import BackendError, DiskError
from matinee.ports import LaunchStatus
from matinee.private_files import open_private
from matinee.runs import Slot
from matinee.settings import LIFELINE_FD

KEEP_S = 24 * 3600.0  # how long the files of ended workers are kept
STOP_S = 5.0  # a worker ends within 2 s of SIGTERM; then it is killed


@dataclass(frozen=True)
class LaunchCommand:
    """How to start a worker: its command line, its whole environment and its working directory ("" = this one)."""

    command: list[str]
    environment: Mapping[str, str] = field(repr=False)  # it may hold secrets
    cwd: str = ""


def worker_command(python: str) -> list[str]:
    """Return the command line of a worker in the environment of `python`; by `-c`, as `-m` takes 4 ms of 60 longer."""
    return [python, "-c", "import sys; from matinee.worker.main import main; sys.exit(main())"]


class ProcessLauncher:
    """Implements `ports.Launcher`. `folder` is the app's data folder: it gets `workers/` and `logs/workers/`.

    `on_exit(slot)` is called from a thread when a worker that this launcher started has ended.
    """

    def __init__(
        self,
        command_for: Callable[[Slot], LaunchCommand],
        folder: Path,
        *,
        on_exit: Callable[[Slot], None] | None = None,
    ) -> None:
        self._command_for = command_for
        self._workers = folder / "workers"
        self._logs = folder / "logs" / "workers"
        self._on_exit = on_exit
        self._lifeline, self._alive = os.pipe()  # our end, `_alive`, is closed by the kernel when this process ends
        self._guard = threading.Lock()
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self._watchers: dict[str, threading.Thread] = {}
        try:
            self._workers.mkdir(parents=True, exist_ok=True)
            self._logs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DiskError(
                f"The folder {self._workers} cannot be made: {error.strerror}.", hint="Make the app's folder writable."
            ) from None
        self._forget_old()

    def launch(self, slot: Slot) -> str:
        """Start the slot's worker unless its token was launched before; BackendError with why it cannot start."""
        with self._alone():
            lock_path = self._lock_path(slot.token)
            if lock_path.exists():
                return slot.token
            launch = self._command_for(slot)
            try:
                process = self._start(slot, launch, lock_path)
            except OSError as error:
                self._forget(slot.token)
                raise BackendError(
                    f"The worker of {slot.predictor} cannot start: {error.strerror or error}.",
                    hint="Look at the component's environment and at free disk and memory.",
                ) from None
        watcher = threading.Thread(target=self._watch, args=(slot, process), name=f"worker-{process.pid}", daemon=True)
        with self._guard:
            self._started[slot.token] = process
            self._watchers[slot.token] = watcher
        watcher.start()
        return slot.token

    def status(self, slots: Sequence[Slot]) -> dict[str, LaunchStatus]:
        """Return by token whether each worker has ended (or never started), and why."""
        with self._alone():
            return {slot.token: self._status(slot.token) for slot in slots}

    def stop(self, slot: Slot) -> None:
        """Send SIGTERM to the slot's worker if it lives; its run goes back to the queue."""
        with self._alone():
            if self._is_held(slot.token):
                with suppress(ProcessLookupError, KeyError):
                    os.kill(self._record(slot.token)["pid"], signal.SIGTERM)

    def stop_all(self) -> None:
        """End every worker this launcher started and wait for them; what does not end in time is killed."""
        with self._guard:
            started, watchers = dict(self._started), list(self._watchers.values())
        for process in started.values():
            process.terminate()
        deadline = time.monotonic() + STOP_S
        for process in started.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
        for watcher in watchers:
            watcher.join(STOP_S)

    def close(self) -> None:
        """End all workers and let go of the lifeline."""
        self.stop_all()
        os.close(self._alive)
        os.close(self._lifeline)

    # --- one worker ---------------------------------------------------------------------------------------------

    def _start(self, slot: Slot, launch: LaunchCommand, lock_path: Path) -> subprocess.Popen[bytes]:
        with open_private(lock_path, "wb") as lock, open_private(self._log_path(slot.token), "ab") as log:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            process = subprocess.Popen(
                launch.command,
                env={"PYTHONUNBUFFERED": "1", **launch.environment, LIFELINE_FD: str(self._lifeline)},
                pass_fds=[self._lifeline],
                cwd=launch.cwd or None,
                stdin=lock,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._write_record(slot.token, {"pid": process.pid, "predictor": slot.predictor, "started_at": time.time()})
        return process

    def _watch(self, slot: Slot, process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        record = {"pid": process.pid, "predictor": slot.predictor, "exit_code": code}
        reason = _reason(code, self._last_words(slot.token))
        with suppress(OSError):  # the lock says that it ended; a full disk only costs the reason
            self._write_record(slot.token, {**record, "reason": reason, "ended_at": time.time()})
        with self._guard:
            del self._started[slot.token]
            del self._watchers[slot.token]
        if self._on_exit is not None:
            self._on_exit(slot)

    def _status(self, token: str) -> LaunchStatus:
        if not self._lock_path(token).exists():
            return LaunchStatus(ended=True, reason="It was never started on this machine.", passes=True)
        if self._is_held(token):
            return LaunchStatus(ended=False)
        record = self._record(token)
        passes = (record.get("exit_code") or 0) <= 0  # a signal comes from outside
        return LaunchStatus(True, record.get("reason", "It ended without saying why."), passes)

    def _is_held(self, token: str) -> bool:
        try:
            with self._lock_path(token).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def _last_words(self, token: str) -> str:
        path = self._log_path(token)
        with suppress(OSError):
            if path.stat().st_size == 0:
                path.unlink()
                return ""
            with path.open("rb") as log:
                log.seek(max(0, path.stat().st_size - 2000))
                lines = log.read().decode(errors="replace").strip().splitlines()
            return lines[-1] if lines else ""
        return ""

    # --- files --------------------------------------------------------------------------------------------------

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Exclude other launchers on this folder: trying a lock must not be taken for holding it."""
        with open_private(self._workers / "launchers", "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _lock_path(self, token: str) -> Path:
        return self._workers / f"{token}.lock"

    def _log_path(self, token: str) -> Path:
        return self._logs / f"{token}.log"

    def _record(self, token: str) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            record: dict[str, Any] = json.loads((self._workers / f"{token}.json").read_text())
            return record
        return {}

    def _write_record(self, token: str, record: dict[str, Any]) -> None:
        partial = self._workers / f"{token}.{os.getpid()}.{threading.get_ident()}.tmp"
        with open_private(partial, "wb") as file:
            file.write(json.dumps(record).encode())
        partial.replace(self._workers / f"{token}.json")

    def _forget(self, token: str) -> None:
        for path in (self._lock_path(token), self._workers / f"{token}.json", self._log_path(token)):
            path.unlink(missing_ok=True)

    def _forget_old(self) -> None:
        oldest = time.time() - KEEP_S
        with self._alone():
            for path in self._workers.glob("*.lock"):
                token = path.name.removesuffix(".lock")
                if path.stat().st_mtime < oldest and not self._is_held(token):
                    self._forget(token)


def _reason(code: int, last_words: str) -> str:
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        return f"The worker was ended by signal {name}."
    if code == 0:
        return "The worker ended by itself."
    return f"The worker ended with exit code {code}" + (f": {last_words}" if last_words else ".")
