"""What a component declares to need: a PEP 723 header, or a folder's requirements.txt or pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matinee.errors import ComponentError

# The expression of the specification: https://packaging.python.org/en/latest/specifications/inline-script-metadata/
_BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
_INCLUDE = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[\s=]+(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Dependencies:
    """Requirements as PEP 508 texts, or a requirements file with its whole text (`text` decides whether it changed)."""

    requirements: tuple[str, ...] = ()
    requires_python: str = ""
    file: Path | None = None  # a requirements.txt, given to the resolver as it is
    text: str = ""
    declared_in: str = ""  # file name, for messages

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be installed."""
        return not self.requirements and self.file is None

    def describe(self) -> str:
        """Return the requirements in one short line."""
        lines = self.requirements or tuple(_requirement_lines(self.text))
        more = f" and {len(lines) - 4} more" if len(lines) > 4 else ""
        return ", ".join(lines[:4]) + more


def read_dependencies(name: str, source: Path, entry: Path) -> Dependencies:
    """Read what the component declares. Raises ComponentError for a header or file that cannot be read."""
    header = _header(name, entry)
    beside = _beside(name, source) if source.is_dir() else None
    if header and beside:
        raise ComponentError(
            f"Component {name} declares dependencies in {entry.name} and in {beside.declared_in}.",
            hint="Keep one of the two.",
            file=str(entry),
        )
    return header or beside or Dependencies()


def _header(name: str, entry: Path) -> Dependencies | None:
    try:
        text = entry.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ComponentError(f"Component {name} cannot be read: {error}.", file=str(entry)) from error
    text = text.replace("\r\n", "\n")
    blocks = [match for match in _BLOCK.finditer(text) if match["type"] == "script"]
    if not blocks:
        return None
    line = text[: blocks[-1].start()].count("\n") + 1
    if len(blocks) > 1:
        raise ComponentError(
            f"{entry.name} has two `# /// script` headers.", hint="Keep one.", file=str(entry), line=line
        )
    content = "".join(
        row[2:] if row.startswith("# ") else row[1:] for row in blocks[0]["content"].splitlines(keepends=True)
    )
    return _table(name, _toml(content, entry, line), entry, line)


def _beside(name: str, folder: Path) -> Dependencies | None:
    requirements, pyproject = folder / "requirements.txt", folder / "pyproject.toml"
    if requirements.is_file():
        text = _with_includes(requirements)
        if any(_requirement_lines(text)):
            return Dependencies(file=requirements, text=text, declared_in=requirements.name)
    if pyproject.is_file():
        project = _toml(pyproject.read_text("utf-8"), pyproject, 0).get("project")
        if isinstance(project, dict) and (project.get("dependencies") or project.get("requires-python")):
            return _table(name, project, pyproject, 0)
    return None


def _table(name: str, table: dict[str, Any], file: Path, line: int) -> Dependencies:
    requirements, python = table.get("dependencies", []), table.get("requires-python", "")
    if not isinstance(requirements, list) or not all(isinstance(item, str) for item in requirements):
        raise ComponentError(
            f"`dependencies` of component {name} must be a list of texts.",
            hint='Write it as dependencies = ["numpy", "pandas>=2"].',
            file=str(file),
            line=line,
        )
    if not isinstance(python, str):
        raise ComponentError(
            f'`requires-python` of component {name} must be a text such as ">=3.11".', file=str(file), line=line
        )
    return Dependencies(tuple(requirements), python, declared_in=file.name)


def _toml(text: str, file: Path, line: int) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what = "The `# /// script` header" if line else "The file"
        raise ComponentError(f"{what} of {file.name} is not valid TOML: {error}.", file=str(file), line=line) from error


def _requirement_lines(text: str) -> list[str]:
    lines = (line.split(" #")[0].strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _with_includes(file: Path, seen: frozenset[Path] = frozenset()) -> str:
    if file in seen or not file.is_file():
        return ""
    text = file.read_text("utf-8", errors="replace")
    return text + "".join(_with_includes(file.parent / name, seen | {file}) for name in _INCLUDE.findall(text))
