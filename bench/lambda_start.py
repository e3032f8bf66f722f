"""Start of a plain-typed predictor to its first answer, beside bare `awslambdaric.bootstrap` and a plain handler."""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from floors import local_service  # noqa: E402

STARTS = 15
ON_AWS = {"MATINEE_BACKEND": "aws", "MATINEE_TABLE": "app", "MATINEE_BUCKET": "app", "MATINEE_LABEL": "v1"}
EVENT = b'{"text": "What shall I do?"}'
NEXT = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Deadline-Ms: 99999999999999\r\n"
    b"Lambda-Runtime-Invoked-Function-Arn: arn\r\nLambda-Runtime-Aws-Request-Id: 1\r\n"
    b"Content-Length: %d\r\n\r\n" % len(EVENT)
) + EVENT


def first_answer_ms(command: list[str], environment: dict[str, str]) -> float:
    """Start the process, give it one request and return the time until its answer is here."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        begun = time.perf_counter()
        process = subprocess.Popen(command, env={**environment, "AWS_LAMBDA_RUNTIME_API": address})
        try:
            server.settimeout(30)
            connection, _ = server.accept()
            with connection:
                _read(connection)
                connection.sendall(NEXT)
                answer = _read(connection)
                took = (time.perf_counter() - begun) * 1000
                process.kill()  # before it misses the connection
        finally:
            process.kill()
            process.wait()
    if b"/response" not in answer.split(b"\r\n", 1)[0]:
        raise RuntimeError(answer.decode())
    return took


def _read(connection: socket.socket) -> bytes:
    data = b""
    while True:
        head, found, body = data.partition(b"\r\n\r\n")
        at = head.lower().find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if found and len(body) >= length:
            return data
        part = connection.recv(65536)
        if not part:
            raise RuntimeError("the process ended")
        data += part


def _wall_ms(command: list[str], environment: dict[str, str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, env=environment, check=True)
    return (time.perf_counter() - begun) * 1000


def measure() -> dict[str, Any]:
    """Return medians in ms and the ratios."""
    python = sys.executable
    base = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE)}
    with tempfile.TemporaryDirectory() as folder:
        typed = {**base, **local_service.environment(Path(folder))}
        ways = {
            "python": lambda: _wall_ms([python, "-c", "pass"], base),
            "bootstrap": lambda: _wall_ms([python, "-c", "import awslambdaric.bootstrap"], base),
            "plain_handler": lambda: first_answer_ms([python, "-m", "awslambdaric", "floors.plain.handler"], base),
            "predictor": lambda: first_answer_ms(
                [python, "-m", "awslambdaric", "matinee.runtime.realtime.handler"], typed
            ),
            "predictor_on_aws": lambda: first_answer_ms(
                [python, "-m", "awslambdaric", "matinee.runtime.realtime.handler"], {**typed, **ON_AWS}
            ),
            "predictor_own_loop": lambda: first_answer_ms(
                [python, "-m", "matinee.runtime.loop", "matinee.runtime.realtime.handler"], typed
            ),
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(STARTS + 1):
            for name, way in ways.items():
                took = way()
                if turn:  # the first fills the caches
                    times[name].append(took)
    median = {name: round(statistics.median(values), 1) for name, values in times.items()}
    return {
        "figures": {f"{name}_ms": value for name, value in median.items()},
        "floor": "bootstrap",
        "ratio": round(median["predictor"] / median["bootstrap"], 2),
        "ratio_on_aws": round(median["predictor_on_aws"] / median["bootstrap"], 2),
        "ratio_to_plain_handler": round(median["predictor"] / median["plain_handler"], 2),
        "target": "at most 1.6 x bare awslambdaric.bootstrap",
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
