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
_OPENING = re.compile(r"(?m)^# /// script$")
_INCLUDE = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[\s=]+(\S+)", re.MULTILINE)
# Settings of uv that `uv pip` has as options. https://docs.astral.sh/uv/reference/settings/
_UV_OPTIONS = {
    "index-url": "--default-index",
    "extra-index-url": "--index",
    "find-links": "--find-links",
    "index-strategy": "--index-strategy",
    "exclude-newer": "--exclude-newer",
    "prerelease": "--prerelease",
    "resolution": "--resolution",
}


@dataclass(frozen=True)
class Dependencies:
    """Requirements as PEP 508 texts, or a requirements file with its whole text (`text` decides whether it changed)."""

    requirements: tuple[str, ...] = ()
    requires_python: str = ""
    file: Path | None = None  # a requirements.txt, given to the resolver as it is
    text: str = ""
    declared_in: str = ""  # file name, for messages
    options: tuple[str, ...] = ()  # of `uv pip`, from `[tool.uv]`: indexes and how to choose among versions

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
        text = entry.read_text("utf-8-sig")  # editors on Windows write a byte-order mark
    except (OSError, UnicodeDecodeError) as error:
        raise ComponentError(f"Component {name} cannot be read: {error}.", file=str(entry)) from error
    text = text.replace("\r\n", "\n")
    found = list(_BLOCK.finditer(text))
    blocks = [match for match in found if match["type"] == "script"]
    for opening in _OPENING.finditer(text):
        if not any(match.start() <= opening.start() < match.end() for match in found):
            raise ComponentError(
                f"The `# /// script` header of {entry.name} is never closed.",
                hint="Write the line `# ///` below it; every line between the two starts with #.",
                file=str(entry),
                line=text[: opening.start()].count("\n") + 1,
            )
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
    table = _toml(content, entry, line)
    return _table(name, table, _uv_table(name, table, entry, line), entry, line)


def _beside(name: str, folder: Path) -> Dependencies | None:
    requirements, pyproject = folder / "requirements.txt", folder / "pyproject.toml"
    if requirements.is_file():
        text = _with_includes(requirements)
        if any(_requirement_lines(text)):
            return Dependencies(file=requirements, text=text, declared_in=requirements.name)
    if pyproject.is_file():
        document = _toml(pyproject.read_text("utf-8-sig"), pyproject, 0)
        project = document.get("project")
        if isinstance(project, dict) and (project.get("dependencies") or project.get("requires-python")):
            # uv itself reads the other settings of a pyproject.toml in the folder it works in, but no sources.
            sources = _uv_table(name, document, pyproject, 0).get("sources")
            return _table(name, project, {"sources": sources} if sources else {}, pyproject, 0)
    return None


def _table(name: str, table: dict[str, Any], uv: dict[str, Any], file: Path, line: int) -> Dependencies:
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
    sources = uv.get("sources", {})
    requirements = [_with_source(text, sources, file, line) for text in requirements]
    return Dependencies(tuple(requirements), python, declared_in=file.name, options=_uv_options(uv, file, line))


# --- the [tool.uv] table ----------------------------------------------------------------------------------------------


def _uv_table(name: str, table: dict[str, Any], file: Path, line: int) -> dict[str, Any]:
    tool = table.get("tool", {})
    uv = tool.get("uv", {}) if isinstance(tool, dict) else None
    if not isinstance(uv, dict) or not isinstance(uv.get("sources", {}), dict):
        raise ComponentError(f"`[tool.uv]` of component {name} must be a table.", file=str(file), line=line)
    return uv


def _uv_options(uv: dict[str, Any], file: Path, line: int) -> tuple[str, ...]:
    """Return the options of `uv pip` that say the same; ComponentError for a setting that has none."""
    options: list[str] = []
    for key, value in uv.items():
        if key == "index":
            for index in value if isinstance(value, list) else [value]:
                options += _index_option(index, file, line)
        elif key in _UV_OPTIONS:
            for item in value if isinstance(value, list) else [value]:
                options += [_UV_OPTIONS[key], str(item)]
        elif key == "no-index" and isinstance(value, bool):
            options += ["--no-index"] * value
        elif key != "sources":
            raise _not_obeyed(f"[tool.uv] {key}", file, line)
    return tuple(options)


def _index_option(index: Any, file: Path, line: int) -> list[str]:
    if not isinstance(index, dict) or not isinstance(index.get("url"), str):
        raise ComponentError(
            f"An index in `[tool.uv]` of {file.name} has no url.",
            hint='Write it as [[tool.uv.index]] with url = "https://…".',
            file=str(file),
            line=line,
        )
    for key in index.keys() - {"url", "name", "default"}:
        raise _not_obeyed(f"[[tool.uv.index]] {key}", file, line)
    named = f"{index['name']}=" if index.get("name") else ""
    return ["--default-index" if index.get("default") else "--index", f"{named}{index['url']}"]


def _with_source(requirement: str, sources: dict[str, Any], file: Path, line: int) -> str:
    """Return the requirement with its place, as PEP 508 has it, if `[tool.uv.sources]` names one for it."""
    from packaging.requirements import InvalidRequirement, Requirement  # a component's environment has no packaging
    from packaging.utils import canonicalize_name

    try:
        parsed = Requirement(requirement)
    except InvalidRequirement:  # said in words by `environments.uv.check`
        return requirement
    name = canonicalize_name(parsed.name)
    source = next((value for key, value in sources.items() if canonicalize_name(key) == name), None)
    if source is None:
        return requirement
    extras = f"[{','.join(sorted(parsed.extras))}]" if parsed.extras else ""
    marker = f" ; {parsed.marker}" if parsed.marker else ""
    return f"{parsed.name}{extras} @ {_source_url(parsed.name, source, file, line)}{marker}"


def _source_url(name: str, source: Any, file: Path, line: int) -> str:
    keys = set(source) if isinstance(source, dict) else set()
    if keys == {"url"}:
        return str(source["url"])
    if keys == {"path"}:
        return (file.parent / str(source["path"])).resolve().as_uri()
    if "git" in keys and keys <= {"git", "rev", "tag", "branch", "subdirectory"}:
        revision = next((f"@{source[key]}" for key in ("rev", "tag", "branch") if key in keys), "")
        inside = f"#subdirectory={source['subdirectory']}" if "subdirectory" in keys else ""
        return f"git+{source['git']}{revision}{inside}"
    raise _not_obeyed(f"[tool.uv.sources] {name}", file, line)


def _not_obeyed(setting: str, file: Path, line: int) -> ComponentError:
    return ComponentError(
        f"{file.name} has the setting `{setting}`, which Matinee does not obey.",
        hint="Remove it. Matinee obeys index, index-url, extra-index-url, find-links, no-index, index-strategy, "
        "exclude-newer, prerelease, resolution, and sources with git, url or path.",
        file=str(file),
        line=line,
    )


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
