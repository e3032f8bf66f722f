"""Heavy libraries have one place each; import-linter holds the layers, this holds what comes from outside."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "matinee"
PLACES = {
    "boto3": {"lambda_api", "backends/aws", "deploy", "operate", "rehearsal"},
    "botocore": {"lambda_api", "backends/aws", "deploy", "operate", "rehearsal", "testing"},
    "streamlit": {"ui"},
    "typer": {"cli"},
    "rich": {"cli"},
    "troposphere": {"stack"},
}


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("library", PLACES)
def test_each_heavy_library_is_imported_in_its_own_place_only(library: str) -> None:
    users = {file.relative_to(SOURCE).as_posix() for file in SOURCE.rglob("*.py") if library in imported(file)}
    strangers = {user for user in users if not user.startswith(tuple(f"{place}/" for place in PLACES[library]))}
    assert not strangers


def test_the_layers_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-cache"], cwd=SOURCE.parents[1], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "statement",
    [
        "import matinee",
        "from matinee import batch, predictor, realtime, state, track",
        "import matinee.runtime.execute, matinee.runtime.execute",
    ],
)
def test_what_a_predictor_starts_with_is_light(statement: str) -> None:
    code = f"{statement}\nimport sys\nprint(*(sys.modules.keys() & {{'pydantic', 'boto3', 'botocore', 'streamlit'}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.split() == []


def test_the_api_is_served_without_the_packages_of_an_extra():
    code = "import sys; sys.modules.update(mcp=None, mcp_types=None); import matinee.api.routes, matinee.api.mcp"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
