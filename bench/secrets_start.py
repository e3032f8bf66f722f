"""What a secret costs the start of a predictor: fetched by us, by boto3, and none. SSM is a server on this machine."""

from __future__ import annotations

import json
import os
import ssl
import statistics
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from floors import local_service  # noqa: E402
from lambda_start import first_answer_ms  # noqa: E402

STARTS = 9
ANSWER = json.dumps({"Parameters": [{"Name": "/p/KEY", "Value": "v"}], "InvalidParameters": []}).encode()
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "eu-central-1"}


class _Ssm(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_: Any) -> None:
        pass


def measure() -> dict[str, Any]:
    """Return medians in ms: starts, what a secret adds to them, and what the TLS context would add on AWS."""
    server = HTTPServer(("127.0.0.1", 0), _Ssm)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    ours = [sys.executable, "-m", "awslambdaric", "matinee.runtime.realtime.handler"]
    boto3 = [sys.executable, "-m", "awslambdaric", "floors.secret_by_boto3.handler"]
    with tempfile.TemporaryDirectory() as folder:
        base = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE), **local_service.environment(Path(folder))}
        base |= {**CREDENTIALS, "AWS_DEFAULT_REGION": CREDENTIALS["AWS_REGION"]}
        ways = {
            "none": lambda: first_answer_ms(ours, base),
            "ours": lambda: first_answer_ms(
                ours, {**base, "MATINEE_SECRETS": "KEY=/p/KEY", "MATINEE_AWS_ENDPOINT": endpoint}
            ),
            "boto3": lambda: first_answer_ms(boto3, {**base, "SSM_ENDPOINT": endpoint}),
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(STARTS + 1):
            for name, way in ways.items():
                took = way()
                if turn:  # the first fills the caches
                    times[name].append(took)
    server.shutdown()
    median = {name: round(statistics.median(values), 1) for name, values in times.items()}
    added = {name: round(median[name] - median["none"], 1) for name in ("ours", "boto3")}
    return {
        "figures": {
            **{f"{name}_ms": value for name, value in median.items()},
            "added_ours_ms": added["ours"],
            "added_boto3_ms": added["boto3"],
            "tls_context_ms": _tls_context_ms(),
        },
        "floor": "boto3",
        "ratio": round(added["ours"] / added["boto3"], 2),
        "target": "at most a quarter of what boto3 adds",
    }


def _tls_context_ms() -> float:
    """Return how long reading this machine's certificates takes, which an https endpoint needs besides."""
    times = []
    for _ in range(STARTS):
        begun = time.perf_counter()
        ssl.create_default_context()
        times.append((time.perf_counter() - begun) * 1000)
    return round(statistics.median(times), 1)


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
