"""Which files of a folder hold predictors, told from their text: nothing is imported."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ENTRY = "predictor.py"
_DECORATORS = ("realtime", "batch")
_LOOKS_LIKE = re.compile(r"(?m)^@(?:\w+\.)?(?:realtime|batch)\b")
_NEVER = {"tests", "test", "ui.py", "conftest.py", "setup.py", "noxfile.py"}


def find_sources(folder: Path) -> list[Path]:
    """Return the component sources of a folder: `NAME.py` files and folders with `predictor.py`, by name."""
    candidates = (path for path in sorted(folder.iterdir()) if path.name not in _NEVER and path.name[0] not in "._")
    return [path for path in candidates if _is_source(path)]


def _is_source(path: Path) -> bool:
    if path.is_dir():
        entry = path / ENTRY
        return entry.is_file() and holds_predictor(entry)
    return path.suffix == ".py" and not path.name.startswith("test_") and holds_predictor(path)


def holds_predictor(file: Path) -> bool:
    """Whether a function of the file is decorated with matinee's @realtime or @batch.

    A file that cannot be parsed counts if it looks so: its syntax error is then shown as the component's own.
    """
    text = file.read_text("utf-8-sig", errors="replace")
    if "matinee" not in text:
        return False
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return _LOOKS_LIKE.search(text) is not None
    names, modules = _imported(tree)
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return any(_is_ours(item, names, modules) for function in functions for item in function.decorator_list)


def _imported(tree: ast.Module) -> tuple[set[str], set[str]]:
    names: set[str] = set()
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "matinee":
            names.update(alias.asname or alias.name for alias in node.names if alias.name in _DECORATORS)
        elif isinstance(node, ast.Import):
            modules.update(alias.asname or alias.name for alias in node.names if alias.name == "matinee")
    return names, modules


def _is_ours(decorator: ast.expr, names: set[str], modules: set[str]) -> bool:
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    if isinstance(target, ast.Name):
        return target.id in names
    return (
        isinstance(target, ast.Attribute)
        and target.attr in _DECORATORS
        and isinstance(target.value, ast.Name)
        and target.value.id in modules
    )
