"""What the page about the API shows works against a running app."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from matinee.api.operations import operations
from matinee.testing.harness import running_app

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_page_about_the_api_runs(tmp_path: Path) -> None:
    blocks = BLOCK.findall((DOCS / "how-to" / "use-the-api.md").read_text())
    (tmp_path / "season.py").write_text(blocks[0][1])
    with running_app(tmp_path / "season.py", "--port", "18571") as dev:
        token = run(tmp_path, "matinee token create ada --app season.py").strip()
        for language, text in blocks[1:]:
            text = text.replace("http://127.0.0.1:8501", dev.url).replace("mat_…", token)
            if language == "python":
                run(tmp_path, f"{sys.executable} - <<'END'\n{text}END\n")
            elif language == "console" and "matinee dev" not in text:
                run(tmp_path, text.replace("$ ", ""))


def run(folder: Path, script: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-euc", script],
        cwd=folder,
        env={**os.environ, "PATH": path, "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_the_reference_has_every_address() -> None:
    page = (DOCS / "reference" / "api.md").read_text()
    for operation in operations(print, print):
        assert f"| `{operation.method} {operation.path}` |" in page, operation.id
