"""Every snippet of the README and the docs runs, page by page, in an empty folder.

A block that starts with `# NAME` is that file. Other Python blocks run one after the other; console lines run too,
except those that go on until somebody ends them.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
import typer

import matinee
from matinee import errors
from matinee.cli.main import app as cli
from matinee.manifest import Resources
from matinee.project.load import load
from matinee.project.model import Limits
from matinee.runs import FAILURE_KINDS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md")) + sorted((ROOT / "examples").glob("*/README.md"))
RUNS = {"README.md", "tutorial.md", "types.md"} | {page.name for page in (ROOT / "docs" / "how-to").glob("*.md")}
# Until ended, or tested elsewhere.
GO_ON = ("matinee dev", "matinee rehearse", "matinee test --containers", "make", "pytest examples")
AWS = "use-the-aws-cli.md"  # needs the address of a running app
ON_AWS = {"deploy.md", "roll-back-and-destroy.md", "deploy-from-ci.md"}  # tests/deploy runs them on an emulator
ENGINE = "build-images.md"  # tests/images runs it
API = "use-the-api.md"  # likewise: tests/api runs it
BIN = Path(sys.executable).parent
COMMAND_S = 120


@dataclass(frozen=True)
class Block:
    """A fenced block: `line` (1-based) is where its text starts."""

    language: str
    text: str
    line: int

    @property
    def file(self) -> str:
        """The name in its first line, "" if it has none."""
        first = re.match(r"# ([\w-]+\.(?:py|toml)|\.env)\n", self.text)
        return first[1] if first else ""


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield Block(match[1], match[2], text.count("\n", 0, match.start(2)) + 1)


def commands(block: Block) -> list[str]:
    joined = block.text.replace("\\\n", " ")
    return [line[2:].strip() for line in joined.splitlines() if line.startswith("$ ")]


def run_command(command: str, folder: Path) -> None:
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(folder)}
    program, *arguments = shlex.split(command)
    if program == "pytest":
        arguments += ["--import-mode=importlib", "-p", "no:cacheprovider", "--rootdir", str(folder)]
    done = subprocess.run(
        [program, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )
    assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [p for p in PAGES if p.name in RUNS - {AWS, API, ENGINE} - ON_AWS and "examples" not in p.parts],
    ids=lambda p: p.stem,
)
def test_every_snippet_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    session: dict[str, object] = {}
    for block in blocks(page):
        if block.file:
            (tmp_path / block.file).write_text(block.text)
        elif block.language == "python":
            exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), session)
        elif block.language == "console":
            for command in commands(block):
                if not command.startswith(GO_ON):
                    run_command(command, tmp_path)


@pytest.mark.slow
def test_the_aws_cli_and_boto3_call_a_predictor_as_their_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "examples" / "activity", tmp_path / "app", ignore=shutil.ignore_patterns(".matinee"))
    monkeypatch.chdir(tmp_path)
    shell, python = (b.text for b in blocks(ROOT / "docs" / "how-to" / AWS))
    with matinee.connect(tmp_path / "app") as app:
        port = app.client.settings.lambda_endpoint.rpartition(":")[2]
        script = "set -eu\n" + shell.replace("$ ", "").replace("PORT", port)
        script = script.replace("=SECRET ", f"={app.client.settings.lambda_secret} ")
        script += f"{shlex.quote(sys.executable)} - <<'END'\n{python}END\n"
        environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(
            ["sh", "-c", script], env=environment, capture_output=True, text=True, timeout=COMMAND_S, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((tmp_path / "answer.json").read_text())["activity"]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_that_are_shown_exist(page: Path) -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for block in blocks(page):
        for command in commands(block) if block.language == "console" else []:
            words = shlex.split(command)
            assert words[0] in {"make", "matinee", "pytest", "aws", "curl", "echo", "export"}, command
            if words[0] == "make":
                assert words[1] in targets, command


def test_the_page_of_commands_has_every_command_and_option() -> None:
    page = (ROOT / "docs" / "reference" / "commands.md").read_text()
    for path, command in leaves(typer.main.get_command(cli)):
        assert f"`matinee {path}" in page, path
        for option in (name for parameter in command.params for name in parameter.opts if name.startswith("--")):
            assert re.search(rf"{option}\b", page), f"matinee {path} {option}"


def leaves(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
        return
    for name, child in inner.items():
        yield from leaves(child, f"{path} {name}".strip())


def test_the_page_of_errors_has_every_error_and_kind_of_failure() -> None:
    page = (ROOT / "docs" / "reference" / "errors.md").read_text()
    classes = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, errors.MatineeError)]
    for cls in classes:
        row = re.search(rf"^\| `{cls.__name__}` .*$", page, re.MULTILINE)
        assert cls is errors.MatineeError or (row and f"| {cls.exit_code} | {cls.http_status} |" in row[0]), cls
    for kind in FAILURE_KINDS:
        assert f"| `{kind}` |" in page


def test_the_shown_matinee_toml_is_read_and_names_every_size(tmp_path: Path) -> None:
    page = ROOT / "docs" / "reference" / "matinee-toml.md"
    shown = next(block for block in blocks(page) if block.language == "toml")
    (tmp_path / "matinee.toml").write_text(shown.text)
    (tmp_path / "common").mkdir()
    for name in ("recommend.py", "plan.py"):
        (tmp_path / name).write_text("from matinee import realtime\n")
    project = load(tmp_path)
    assert project.limits == Limits()
    for field in fields(Resources):
        assert f"| `{field.name}` |" in page.read_text()


def test_the_architecture_names_only_files_that_exist() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text()
    for path in re.findall(r"`([\w/]+(?:\.py|/))`", page):
        assert any((ROOT / folder / path).exists() for folder in ("src/matinee", ".")), path


def test_the_drawing_of_the_architecture_is_what_import_linter_holds() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text()
    box = page[page.index("\n```\nstart") :].split("```")[1]
    drawing = re.findall(r"^([a-z][\w/]*(?: · [\w/]+)*)(?:  .*)?$", box, re.MULTILINE)
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = [re.sub(r"[()]", "", line) for line in contracts[0]["layers"]]
    assert [set(line.replace("/", ".").split(" · ")) for line in drawing] == [set(line.split(" | ")) for line in layers]


def test_every_package_stands_in_a_layer() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = {name.split(".")[0] for line in contracts[0]["layers"] for name in re.findall(r"[\w.]+", line)}
    source = ROOT / "src" / "matinee"
    modules = {p.stem for p in source.glob("*.py")} | {p.parent.name for p in source.glob("*/__init__.py")}
    assert modules - {"__init__"} == layers


def test_the_readme_opens_with_the_two_commands() -> None:
    first = next(blocks(ROOT / "README.md"))
    assert commands(first) == ["make demo", "make test"]
    assert first.line < 8
