"""What a Python file imports from its own folder, told from its text."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path


def imports_beside(file: Path, folder: Path) -> tuple[Path, ...]:
    """Return files and folders of `folder` that the file's module level imports, and those they import in turn.

    Imports inside functions and `try` may be meant for elsewhere: they are not followed. A file that cannot be read or
    parsed imports nothing: its trouble shows by itself.
    """
    found: dict[Path, None] = {}
    waiting = [file]
    while waiting:
        for path in _beside(waiting.pop(), folder):
            if path != file and path not in found:
                found[path] = None
                waiting += [path] if path.is_file() else sorted(path.rglob("*.py"))
    return tuple(found)


def _beside(file: Path, folder: Path) -> Iterator[Path]:
    for name in _imported(file):
        module = folder / f"{name}.py"
        package = folder / name
        if module.is_file():
            yield module
        elif package.is_dir() and any(package.glob("*.py")):
            yield package


def _imported(file: Path) -> Iterator[str]:
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
