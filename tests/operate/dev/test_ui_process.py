"""The UI's process: its port is its own from the start, and it is started again when it ends."""

from __future__ import annotations

import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import urlopen

import pytest

from matinee.errors import BackendError
from matinee.operate.status import status_of
from matinee.operate.ui_process import answers, open_socket
from matinee.testing.harness import running_app, wait_until


def test_sockets_opened_at_the_same_time_have_a_port_each():
    with ThreadPoolExecutor(8) as pool:
        sockets = list(pool.map(lambda _: open_socket("127.0.0.1", 8830), range(8)))
    try:
        assert len({one.getsockname()[1] for one in sockets}) == 8
    finally:
        for one in sockets:
            one.close()


def test_a_port_is_taken_before_anybody_answers_there():
    first = open_socket("127.0.0.1", 8840)
    with first, open_socket("127.0.0.1", 8840) as second:
        assert second.getsockname()[1] > first.getsockname()[1]
        with socket.create_connection(first.getsockname()):
            pass  # whoever comes early waits
        assert not answers("http://{}:{}".format(*first.getsockname()), 0.05)


def test_an_address_of_another_machine_is_said():
    with pytest.raises(BackendError, match="No port from 8840 on is free"):
        open_socket("192.0.2.1", 8840)


def process_of_ui(dev) -> int:
    """The child of a dev that serves its UI."""
    pid = dev.process.pid
    children = Path(f"/proc/{pid}/task").glob("*/children")
    for child in " ".join(path.read_text() for path in children).split():
        if b"matinee.ui.serve" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    return 0


def status_of_ui(folder: Path) -> str:
    return next(part.state for part in status_of(folder).parts if part.name == "ui")


@pytest.mark.slow
def test_a_ui_that_ends_is_started_again_at_the_same_address_and_status_knows(greeting_app, monkeypatch):
    monkeypatch.setattr("matinee.operate.status.UI_TIMEOUT_S", 0.5)
    with running_app(greeting_app, "--port", "8850") as dev:
        first = process_of_ui(dev)
        assert status_of_ui(greeting_app) == "ok"
        os.kill(first, signal.SIGSTOP)  # it lives and answers nothing
        assert status_of_ui(greeting_app) == "down"
        os.kill(first, signal.SIGKILL)
        with urlopen(f"{dev.url}/_stcore/health", timeout=60) as answer:  # waits for the new one
            assert answer.status == 200
        wait_until(lambda: process_of_ui(dev) not in (0, first), what="the new process")
        assert "The UI has ended by signal 9" in dev.text
        assert status_of_ui(greeting_app) == "ok"
