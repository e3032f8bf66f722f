"""The local Lambda service with the typed predictor and WORKERS processes, until its input ends."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from matinee.backends.local.lambda_service.function import LocalFunction, worker_command
from matinee.backends.local.lambda_service.service import LambdaService

SOURCE = Path(__file__).with_name("typed.py")


def environment(folder: Path) -> dict[str, str]:
    """Inspect the typed predictor and return what its process is told."""
    variables = {"MATINEE_COMPONENT": "typed", "MATINEE_SOURCE": str(SOURCE), "MATINEE_PREDICTOR": "classify"}
    command = [sys.executable, "-m", "matinee.runtime.inspect"]
    told = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=True)
    manifest = folder / "manifest.json"
    manifest.write_text(told.stdout.splitlines()[-1])
    return {**variables, "MATINEE_MANIFEST": str(manifest), "MATINEE_DATA": str(folder)}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        service = LambdaService(secret="bench")
        service.start()
        function = LocalFunction(
            "classify",
            worker_command(sys.executable),
            environment(Path(folder)),
            concurrency=int(sys.argv[1]),
            cwd=folder,
        )
        service.put_function(function)
        print(service.endpoint, flush=True)
        sys.stdin.read()
        service.stop()


if __name__ == "__main__":
    main()
