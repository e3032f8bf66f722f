"""checkov, which looks at templates for what is not secure: installed once, pinned, in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matinee.rehearsal.world import install_python, installed

Json = Any
CHECKOV = "3.3.30"
_RUN_S = 240.0


def failed_checks(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield (id of a check, "FILE: RESOURCE") for everything in a folder of templates that fails one.

    Raises UnavailableError when checkov cannot be installed here. Nothing is asked of anybody: `--skip-download`.
    """
    own = installed(f"checkov-{CHECKOV}", lambda where: install_python(where, f"checkov=={CHECKOV}"))
    options = ["--framework", "cloudformation", "--compact", "--quiet", "--skip-download", "--output", "json"]
    done = subprocess.run(
        [str(own / "bin" / "checkov"), "--directory", str(folder), *options],
        capture_output=True,
        text=True,
        timeout=_RUN_S,
        check=False,
        env={**os.environ, "LOG_LEVEL": "ERROR"},
    )
    found: Json = json.loads(done.stdout)
    for report in found if isinstance(found, list) else [found]:
        assert not report["summary"]["parsing_errors"], report["summary"]
        for failed in report["results"]["failed_checks"]:
            yield failed["check_id"], f"{Path(failed['file_path']).name}: {failed['resource']}"
