"""The UI of a running dev: a process of its own that is watched, started again when it ends, and ended with the dev."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping

from matinee.client.background import Loop
from matinee.errors import BackendError
from matinee.retry import Backoff

UI_START_S = 30.0
UI_LOOK_S = 0.5  # how often it is looked whether the process has ended
UI_RESTARTS = Backoff(base_s=1.0, cap_s=30.0, total_s=float("inf"))  # one that ends at every start is started seldom
PORTS_TRIED = 50
BACKLOG = 1024

Report = Callable[[str, str], None]  # "ui" or "" (the app), line


class UiProcess:
    """The UI in a process of its own: it imports no algorithm and ends with this process (its lifeline is a pipe).

    The socket is opened here and inherited: the port is this app's from the start, whatever else starts at the same
    time, and it stays when the UI is started again. Whoever comes meanwhile waits for the new one.
    """

    def __init__(
        self,
        host: str,
        first_port: int,
        variables: Mapping[str, str],
        report: Report,
        *,
        own_host: str = "127.0.0.1",
        without_sign_in: bool = False,
    ) -> None:
        self._report = report
        self._socket = open_socket(host, first_port)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://{own_host}:{self.port}"
        lifeline, self._lifeline = os.pipe()
        self._inherited = (lifeline, self._socket.fileno())
        self._command = [sys.executable, "-m", "matinee.ui.serve", "--host", host, "--port", str(self.port)]
        self._command += ["--lifeline-fd", str(lifeline), "--socket-fd", str(self._socket.fileno())]
        self._command += ["--without-sign-in"] if without_sign_in else []
        self._environment = {**os.environ, **variables}
        self._last_line = ""
        self._restarts = UI_RESTARTS.pauses_s()
        self._process = self._start()
        self._watch = Loop("ui", self._restart_if_ended)

    def wait_until_it_answers(self, stop: threading.Event) -> None:
        """Wait for the health check; BackendError with the last line it wrote when it ends or takes too long."""
        deadline = time.monotonic() + UI_START_S
        while not stop.is_set():
            if self._process.poll() is not None:
                raise BackendError(f"The UI ended while starting: {self._last_line or 'it wrote nothing'}.")
            if answers(self.url):
                return
            if time.monotonic() > deadline:
                raise BackendError(f"The UI did not answer within {UI_START_S:g} s.", hint="Its log lines say why.")
            stop.wait(0.03)

    def keep_alive(self) -> None:
        """Start it again whenever it ends, until `stop`."""
        self._watch.start()

    def stop(self) -> None:
        """End the process: SIGTERM, and SIGKILL when it does not listen."""
        self._watch.stop()
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        for fd in (self._lifeline, self._inherited[0]):
            os.close(fd)
        self._socket.close()

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            self._command,
            env=self._environment,
            pass_fds=self._inherited,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is this process's to handle
            text=True,
            errors="replace",
        )
        threading.Thread(target=self._show_output, args=(process.stdout,), name="matinee-ui-log", daemon=True).start()
        return process

    def _show_output(self, output: Iterable[str]) -> None:
        for line in output:
            self._last_line = line.strip() or self._last_line
            self._report("ui", line.rstrip("\n"))

    def _restart_if_ended(self) -> float:
        code = self._process.poll()
        if code is None:
            return UI_LOOK_S
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        reason = f": {self._last_line}" if self._last_line else ""
        self._report("", f"The UI has ended {how}{reason}. It is started again; runs go on meanwhile.")
        self._process = self._start()
        return max(UI_LOOK_S, next(self._restarts))


def answers(url: str, timeout_s: float = 0.5) -> bool:
    """Whether the UI at this address answers its health check."""
    try:
        with urllib.request.urlopen(f"{url}/_stcore/health", timeout=timeout_s):  # noqa: S310 - our own address
            return True
    except (OSError, http.client.HTTPException):
        return False


def open_socket(host: str, first: int) -> socket.socket:
    """Return a socket that listens on port `first` or on the next one that is free.

    BackendError when none of PORTS_TRIED is free, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in range(first, min(first + PORTS_TRIED, 65536)):
        opened = socket.socket(family)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            opened.bind((host, port))
            opened.listen(BACKLOG)  # only who listens has the port: two may bind it
        except OSError:
            opened.close()
            continue
        return opened
    raise BackendError(f"No port from {first} on is free on {host}.", hint="Choose another one with --port.")
