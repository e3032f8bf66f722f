"""Images: how large, how fast built anew, how fast started; beside bare `awslambdaric` in the same base.

Needs a container engine. Images are removed afterwards; layers stay in the cache.
"""

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
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

import lambda_start  # noqa: E402

from matinee.images.build import BuiltImage  # noqa: E402
from matinee.images.engine import Engine  # noqa: E402
from matinee.images.ui_image import NAME  # noqa: E402
from matinee.operate.build import build  # noqa: E402

STARTS = 9
REBUILDS = 5
UI_STARTS = 5
PREDICTOR = """
from matinee import realtime

@realtime
def double(text: str) -> dict[str, str]:
    return {"text": text}
"""
PLAIN = "def handler(event, context):\n    return {'text': event['text']}\n"


def measure() -> dict[str, Any]:
    """Return sizes in MB, medians in s, and the ratio of the starts."""
    engine = Engine.detect()
    with tempfile.TemporaryDirectory() as place:
        app = Path(place) / "app"
        app.mkdir()
        (app / "matinee.toml").write_text('name = "bench-images"\n')
        (app / "double.py").write_text(PREDICTOR)
        made = build(app)
        images = {image.name: image for image in made.images}
        environment = made.plans[0].environment
        bare = _plain(engine, environment, Path(place) / "bare")
        same = _plain(engine, environment, Path(place) / "same", above=environment.reference)
        names = [bare, same, *(p.reference for p in made.plans), *(p.environment.reference for p in made.plans)]
        try:
            return {
                "figures": {**_sizes(engine, images), **_rebuilds(app), **_ui(engine, images[NAME])},
                **_starts(engine, images["double"].reference, bare, same),
            }
        finally:
            found = engine.run("images", "--format", "{{.Repository}}:{{.Tag}}", "matinee-bench-images").stdout.split()
            engine.run("image", "rm", "--force", *{*names, *found}, check=False)


def _plain(engine: Engine, environment: Any, folder: Path, above: str = "") -> str:
    """Build a plain handler above an image; without one, the floor: the same base and packages, and nothing else."""
    folder.mkdir()
    first = next(line for line in environment.dockerfile.splitlines() if line.startswith("FROM "))
    shutil.copyfile(environment.layers[0].make(), folder / "common.tar")
    (folder / "plain.py").write_text(PLAIN)
    (folder / "Dockerfile").write_text(
        (f"FROM {above}\n" if above else f"{first}\nADD common.tar /\n")
        + "COPY plain.py /app/\nENV PYTHONPATH=/app\n"
        + 'ENTRYPOINT ["python", "-m", "awslambdaric", "plain.handler"]\nCMD []\n'
    )
    name = f"matinee-bench-bare:{uuid.uuid4().hex[:8]}"
    engine.build(folder, name)
    return name


def _sizes(engine: Engine, images: dict[str, BuiltImage]) -> dict[str, float]:
    predictor = images["double"].reference
    base = engine.inspect("python:{}.{}-slim".format(*sys.version_info))
    layers = engine.run("history", "--no-trunc", "--human=false", "--format", "{{.Size}} {{.CreatedBy}}", predictor)
    compiled = [int(line.split()[0]) / 1e6 for line in layers.stdout.splitlines() if "import argparse" in line]
    added = [int(line.split()[0]) / 1e6 for line in layers.stdout.splitlines() if " ADD " in line or " COPY " in line]
    code, framework, packages = added[:3]
    base_mb = base["Size"] / 1e6 if base else 0.0
    return {
        "base_mb": base_mb,
        "predictor_mb": images["double"].size_bytes / 1e6,
        "predictor_over_base_mb": images["double"].size_bytes / 1e6 - base_mb,
        "of_it_packages_mb": packages,
        "of_it_compiled_standard_library_mb": sum(compiled),
        "of_it_framework_mb": framework,
        "of_it_code_mb": code,
        "ui_mb": images[NAME].size_bytes / 1e6,
    }


def _rebuilds(app: Path) -> dict[str, float]:
    """Change the code and build: inspection, plan, layer and all."""
    took = []
    for turn in range(REBUILDS):
        (app / "double.py").write_text(f"{PREDICTOR}\n# {turn}\n")
        begun = time.perf_counter()
        build(app, ["double"])
        took.append(time.perf_counter() - begun)
    begun = time.perf_counter()
    build(app, ["double"])
    return {"rebuild_s": statistics.median(took), "unchanged_s": time.perf_counter() - begun}


def _starts(engine: Engine, ours: str, bare: str, same: str) -> dict[str, Any]:
    ways: dict[str, Callable[[], float]] = {
        "nothing": lambda: _run_s(engine, bare),
        "bare": lambda: _first_answer_s(engine, bare),
        "plain_in_our_image": lambda: _first_answer_s(engine, same),
        "predictor": lambda: _first_answer_s(engine, ours, "realtime"),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(STARTS + 1):
        for name, way in ways.items():
            took = way()
            if turn:
                times[name].append(took)
    median = {name: statistics.median(values) for name, values in times.items()}
    return {
        "start": {f"{name}_s": round(value, 3) for name, value in median.items()},
        "floor": "awslambdaric with a plain handler in the same base",
        "ratio": round(median["predictor"] / median["bare"], 2),
        "target_ratio": 1.3,
        "ratio_to_plain_in_our_image": round(median["predictor"] / median["plain_in_our_image"], 2),
    }


def _run_s(engine: Engine, image: str) -> float:
    begun = time.perf_counter()
    engine.run("run", "--rm", "--network", "host", "--entrypoint", "python", image, "-c", "pass")
    return time.perf_counter() - begun


def _first_answer_s(engine: Engine, image: str, *command: str) -> float:
    """Run the image against a server that hands out one request; return the time until its answer is here."""
    name = f"matinee-bench-{uuid.uuid4().hex[:8]}"
    with socket.create_server(("127.0.0.1", 0)) as server:
        variables = (f"AWS_LAMBDA_RUNTIME_API=127.0.0.1:{server.getsockname()[1]}", "MATINEE_PREDICTOR=double")
        options = [word for variable in variables for word in ("--env", variable)]
        run = [engine.command, "run", "--rm", "--name", name, "--network", "host", *options, image, *command]
        begun = time.perf_counter()
        process = subprocess.Popen(run, env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            server.settimeout(60)
            connection, _ = server.accept()
            with connection:
                lambda_start._read(connection)
                connection.sendall(lambda_start.NEXT)
                answer = lambda_start._read(connection)
                took = time.perf_counter() - begun
        finally:
            engine.run("rm", "--force", "--volumes", name, check=False)
            process.wait()
    if b"/response" not in answer.split(b"\r\n", 1)[0]:
        raise RuntimeError(answer.decode())
    return took


def _ui(engine: Engine, image: BuiltImage) -> dict[str, float]:
    """Start the UI on the smallest task of Fargate: how long until its health is good and its page is answered."""
    took = []
    for _ in range(UI_STARTS):
        with _container(engine, image.reference, "--cpus", "0.25", "--memory", "512m") as (begun, address):
            while True:
                try:
                    for path in ("/_stcore/health", "/"):
                        with urllib.request.urlopen(address + path, timeout=5) as answer:
                            answer.read()
                    break
                except OSError:
                    time.sleep(0.01)
            took.append(time.perf_counter() - begun)
    return {"ui_usable_quarter_cpu_s": statistics.median(took)}


@contextmanager
def _container(engine: Engine, image: str, *options: str) -> Iterator[tuple[float, str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    name = f"matinee-bench-{uuid.uuid4().hex[:8]}"
    begun = time.perf_counter()
    published = ("--publish", f"127.0.0.1:{port}:8501")
    engine.run("run", "--detach", "--name", name, *published, *options, image, "ui", "--without-sign-in")
    try:
        yield begun, f"http://127.0.0.1:{port}"
    finally:
        engine.run("rm", "--force", "--volumes", name)


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
