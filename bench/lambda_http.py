"""HTTP to the local Lambda service: one caller's latency and 100 callers' throughput, beside the floor and LitServe."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

HERE = Path(__file__).parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from floors import load  # noqa: E402

WORKERS = 2
CLIENTS = 100
CALLS = 2000
SECONDS = 3.0
ROUNDS = 3  # taken in turns, so that the machine's moods hit all alike; the best of each is told


@contextmanager
def served(script: str) -> Iterator[str]:
    """Run a server script of `floors/` and give its address."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "floors" / script), str(WORKERS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(10)


@contextmanager
def litserve() -> Iterator[str | None]:
    """Give LitServe's address, None where it cannot be installed. MATINEE_BENCH_LITSERVE names a Python that has it."""
    python = os.environ.get("MATINEE_BENCH_LITSERVE") or _install(
        Path(tempfile.gettempdir()) / "matinee-bench-litserve"
    )
    if python is None:
        yield None
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [python, str(HERE / "floors" / "litserve_app.py"), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        yield f"http://127.0.0.1:{port}" if _answers(f"http://127.0.0.1:{port}/health") else None
    finally:
        os.killpg(process.pid, 15)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()


def _install(folder: Path) -> str | None:
    python = folder / "bin" / "python"
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if uv is None:
        return None
    steps = [
        [uv, "venv", "-q", "--allow-existing", str(folder)],
        [uv, "pip", "install", "-q", "-p", str(python), "litserve"],
    ]
    done = all(subprocess.run(step, capture_output=True, check=False).returncode == 0 for step in steps)
    return str(python) if done else None


def _answers(url: str, *, within_s: float = 30) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            with urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return True
        except (URLError, OSError):
            time.sleep(0.1)
    return False


def _once(address: str, path: str = load.PATH) -> dict[str, float]:
    for caller in range(WORKERS):  # both warm
        load.latency_ms(address, count=20 + caller, path=path)
    load.throughput(address, clients=WORKERS, seconds=0.2, path=path)
    return {
        **load.latency_ms(address, count=CALLS, path=path),
        **load.throughput(address, clients=CLIENTS, seconds=SECONDS, path=path),
    }


def _best(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: (max if name == "per_s" else min)(r[name] for r in rounds) for name in rounds[0]} if rounds else {}


def measure() -> dict[str, Any]:
    """Return the figures of the service, the floor and LitServe, with ratios and targets."""
    found: dict[str, list[dict[str, float]]] = {"service": [], "floor": [], "litserve": []}
    for _ in range(ROUNDS):
        with served("bare_runtime.py") as address:
            found["floor"].append(_once(address))
        with served("local_service.py") as address:
            found["service"].append(_once(address))
        with litserve() as address:
            if address:
                found["litserve"].append(_once(address, "/predict"))
    service, floor, lit = _best(found["service"]), _best(found["floor"]), _best(found["litserve"])
    return {
        "figures": {"service": service, "floor": floor, "litserve": lit},
        "p50": {"ratio": round(service["p50_ms"] / floor["p50_ms"], 2), "target": "at most 1.5 x the floor"},
        "throughput": {
            "ratio": round(service["per_s"] / lit["per_s"], 2) if lit else None,
            "target": "at least 2 x LitServe with 2 workers and 100 clients",
        },
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
