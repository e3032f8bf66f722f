"""The UI's process: serves, answers its health check, and ends with its parent or when told."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from matinee.settings import Settings

pytestmark = pytest.mark.slow
START_S = 60


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[bytes], str]]]:
    """Start the UI on a free port and wait until it is healthy; what still runs afterwards is ended."""
    started: list[subprocess.Popen[bytes]] = []

    def run(*options: str, pass_fds: tuple[int, ...] = ()) -> tuple[subprocess.Popen[bytes], str]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "matinee.ui.serve", "--port", str(port), *options],
            env={**os.environ, **Settings(data=tmp_path).environment()},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=pass_fds,
            start_new_session=True,
        )
        started.append(process)
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + START_S
        while not healthy(address):
            assert process.poll() is None, process.stdout.read() if process.stdout else ""
            assert time.monotonic() < deadline, "the UI did not start"
        return process, address

    yield run
    for process in started:
        process.kill()
        process.wait(10)
        if process.stdout:
            process.stdout.close()


def healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/_stcore/health", timeout=1) as answer:
            return answer.read() == b"ok"
    except OSError:
        time.sleep(0.05)
        return False


def test_it_serves_a_page_prints_nothing_and_ends_on_sigterm(start):
    process, address = start()
    with urllib.request.urlopen(address, timeout=10) as answer:
        assert answer.status == 200
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=10)
    assert output == b""


def test_it_ends_when_its_parent_is_gone(start):
    read, write = os.pipe()
    process, _ = start("--lifeline-fd", str(read), pass_fds=(read,))
    os.close(read)
    assert process.poll() is None
    os.close(write)
    process.wait(10)


def test_a_port_in_use_is_said_and_ends_it(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [sys.executable, "-m", "matinee.ui.serve", "--port", str(taken.getsockname()[1])]
        ended = subprocess.run(command, capture_output=True, timeout=START_S, check=False)
    assert ended.returncode != 0
    assert b"address already in use" in ended.stderr


def test_nothing_of_a_component_and_no_data_library_is_imported_to_serve_the_first_page(tmp_path):
    code = (
        "import sys; from matinee.ui import serve; serve.application(); import matinee.ui.app; "
        "print([m for m in ('sklearn', 'pandas', 'pyarrow', 'numpy', 'PIL') if m in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=START_S, check=True, text=True)
    assert ended.stdout.strip() == "[]"


def test_streamlit_knows_every_setting():
    from streamlit import config

    from matinee.ui.serve import OPTIONS

    assert set(OPTIONS) <= set(config._config_options_template)
