"""HTTP to the local Lambda service: one caller's latency and 100 callers' throughput, beside the floor and LitServe."""

from __future__ import annotations

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
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
CALLS = 300
SECONDS = 1.5
LATENCY_ROUNDS = 15
THROUGHPUT_ROUNDS = 5
PATHS = {"floor": load.PATH, "service": load.PATH, "litserve": "/predict", "own": load.PATH, "uvicorn": load.PATH}

Rounds = dict[str, list[dict[str, float]]]


@contextmanager
def served(script: str, argument: str = str(WORKERS)) -> Iterator[str]:
    """Run a server script of `floors/` and give its address."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "floors" / script), argument],
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
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0)
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


def _in_turns(addresses: dict[str, str], one: Callable[[str, str], dict[str, float]], rounds: int) -> Rounds:
    """Measure each in short turns, so that whatever else the machine does hits all alike."""
    found: Rounds = {name: [] for name in addresses}
    for turn in range(rounds + 1):
        for name, address in addresses.items():
            told = one(address, PATHS[name])
            if turn:  # the first warms up
                found[name].append(told)
    return found


def _latency(address: str, path: str) -> dict[str, float]:
    return load.latency_ms(address, count=CALLS, path=path)


def _throughput(address: str, path: str) -> dict[str, float]:
    return load.throughput(address, clients=CLIENTS, seconds=SECONDS, path=path)


def _medians(rounds: Rounds) -> dict[str, dict[str, float]]:
    return {
        name: {figure: round(statistics.median(r[figure] for r in told), 3) for figure in told[0]}
        for name, told in rounds.items()
    }


def _ratio(rounds: Rounds, figure: str, of: str, to: str) -> float | None:
    """Return the median of the rounds' ratios."""
    if to not in rounds:
        return None
    pairs = zip(rounds[of], rounds[to], strict=True)
    return round(statistics.median(mine[figure] / its[figure] for mine, its in pairs), 2)


def measure() -> dict[str, Any]:
    """Return the figures of the service, the floor and LitServe, with ratios and targets."""
    with served("bare_runtime.py") as floor, served("local_service.py") as service:
        here = {"floor": floor, "service": service}
        latency = _in_turns(here, _latency, LATENCY_ROUNDS)
        with litserve() as address:
            all_of_them = {**here, "litserve": address} if address else here
            throughput = _in_turns(all_of_them, _throughput, THROUGHPUT_ROUNDS)
    with served("exchange.py", "own") as own, served("exchange.py", "uvicorn") as uvicorn:
        exchange = _in_turns({"own": own, "uvicorn": uvicorn}, _throughput, THROUGHPUT_ROUNDS)
    return {
        "figures": {
            "one_caller": _medians(latency),
            f"{CLIENTS}_callers": _medians(throughput),
            "one_exchange_alone": _medians(exchange),
        },
        "p50": {"ratio": _ratio(latency, "p50_ms", "service", "floor"), "target": "at most 1.5 x the floor"},
        "throughput": {
            "ratio": _ratio(throughput, "per_s", "service", "litserve"),
            "target": "at least 2 x LitServe with 2 workers and 100 clients",
        },
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
