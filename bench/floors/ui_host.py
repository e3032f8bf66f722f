"""Host one predictor file for the load test, until stdin ends: prints the data folder and the Lambda address."""

from __future__ import annotations

import sys
from pathlib import Path

from matinee.client.host import LocalHost
from matinee.project import load

if __name__ == "__main__":
    app = load.load(Path(sys.argv[1]))
    with LocalHost(app) as host:
        host.reload(app)
        print(host.settings.data, host.settings.lambda_endpoint, flush=True)
        sys.stdin.read()
