"""`matinee dev` with environments made → a usable page (it answers), against `streamlit hello`: at most 2 times.

Both are fresh processes on a free port. Usable: the health address says 200, the first page has been answered, and for
ours the release is live too, so that the page has predictors to show.
"""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
APP = ROOT / "examples" / "activity"
ROUNDS = 5
TIMEOUT_S = 90
PYTHON = [sys.executable, "-m"]


def measure() -> dict[str, object]:
    """Return the median seconds of both and their ratio."""
    subprocess.run([*PYTHON, "matinee.cli.main", "inspect", "--app", str(APP)], check=True, capture_output=True)
    ours, floor = [], []
    for _ in range(ROUNDS):
        floor.append(seconds_to_a_page(lambda port: ["streamlit", "hello", *streamlit_options(port)], b"URL:"))
        ours.append(
            seconds_to_a_page(
                lambda port: ["matinee.cli.main", "dev", "--app", str(APP), "--port", str(port)], b"Ready"
            )
        )
    return {
        "matinee_dev_s": statistics.median(ours),
        "streamlit_hello_s": statistics.median(floor),
        "ratio": statistics.median(ours) / statistics.median(floor),
        "target_ratio": 2.0,
        "rounds": ROUNDS,
        "all_matinee_dev_s": [round(value, 2) for value in ours],
        "all_streamlit_hello_s": [round(value, 2) for value in floor],
    }


def streamlit_options(port: int) -> list[str]:
    """Return what makes Streamlit a server without a browser."""
    return ["--server.port", str(port), "--server.headless", "true", "--browser.gatherUsageStats", "false"]


def seconds_to_a_page(command_for: Callable[[int], list[str]], announcement: bytes) -> float:
    """Start the server, wait until its page answers, end it, and return how long the page took."""
    port = free_port()
    command = [*PYTHON, *command_for(port)]
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+b") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            wait_for(lambda: answers(f"http://127.0.0.1:{port}/_stcore/health"), process)
            wait_for(lambda: answers(f"http://127.0.0.1:{port}/"), process)
            wait_for(lambda: said(output, announcement), process)
            return time.perf_counter() - started
        finally:
            end(process)


def answers(url: str) -> bool:
    """Return whether the address answers 200 with a whole page."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.read())
    except OSError:
        return False


def said(output: IO[bytes], announcement: bytes) -> bool:
    """Return whether the process has printed this."""
    return announcement in os.pread(output.fileno(), 1 << 20, 0)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait until it holds; RuntimeError when the process ends first or it takes too long."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline or process.poll() is not None:
            raise RuntimeError(f"{process.args!r} did not come up (exit code {process.poll()})")
        time.sleep(0.01)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask the process to end, and its group if it does not."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
