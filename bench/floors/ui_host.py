"""Host one predictor file for the load test, until stdin ends: prints the variables of its UI, as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from matinee.client.host import LocalHost
from matinee.project import load

if __name__ == "__main__":
    app = load.load(Path(sys.argv[1]))
    with LocalHost(app) as host:
        host.reload(app)
        print(json.dumps(host.settings.environment()), flush=True)
        sys.stdin.read()
