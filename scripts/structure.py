"""Print the figures of the house: files, imports between them, circles, functions, words. `python scripts/structure.py`

`--strict` ends with 1 where a figure is above its bound (tests/architecture holds the same bounds). Reads `src/matinee`
by `ast` and runs nothing; imports inside functions and those for typing count.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "matinee"
SMALL_LINES = 150
LONG_FUNCTION_LINES = 50

# Words that were names here and say too little; right is the field's own: see CONTRIBUTING.md.
VAGUE_NAMES = frozenset({"told", "said", "given", "kept", "wanted", "gone", "aimed"})
VAGUE_PARTS = frozenset({"told", "said", "wanted", "bury", "blame", "insist", "rouse", "remains", "ground"})

# Started by name, so that an importer of their own package alone is no fault.
ENTRY_POINTS = frozenset({"start.py", "cli/main.py", "ui/serve.py", "worker/main.py", "worker/child.py"})

BOUNDS = {"files": 240, "lines": 47_000, "imports between files": 1_250, "circles": 0, "vague names": 0}


@dataclass(frozen=True)
class Figures:
    """What is counted; lists where a reader wants to see which."""

    files: int
    lines: int
    file_lines: list[int]  # of files that are no `__init__`
    imports: int
    circles: list[list[str]]
    satellites: list[tuple[str, int]]  # files with one importer, of their own package, with their lines
    function_lines: list[int]
    vague: list[str]


def measure(package: Path = PACKAGE) -> Figures:
    """Read every file once and count."""
    trees = {path.relative_to(package).as_posix(): ast.parse(path.read_text("utf-8")) for path in package.rglob("*.py")}
    lines = {name: len((package / name).read_text("utf-8").splitlines()) for name in trees}
    edges = imports_between(trees)
    return Figures(
        files=len(trees),
        lines=sum(lines.values()),
        file_lines=[n for name, n in lines.items() if not name.endswith("__init__.py")],
        imports=len(edges),
        circles=circles(edges),
        satellites=[(name, lines[name]) for name in satellites(edges, trees)],
        function_lines=[n for tree in trees.values() for n in function_lengths(tree)],
        vague=sorted(f"{name}:{found}" for name, tree in trees.items() for found in vague_names(tree)),
    )


# --- imports ----------------------------------------------------------------------------------------------------------


def imports_between(trees: dict[str, ast.Module]) -> set[tuple[str, str]]:
    """Return (importer, imported) for every import of one file of the package by another."""
    modules = {_module_of(name): name for name in trees}
    edges = set()
    for name, tree in trees.items():
        for module in _imported(tree, modules):
            if modules[module] != name:
                edges.add((name, modules[module]))
    return edges


def _module_of(name: str) -> str:
    return ".".join(["matinee", *Path(name).with_suffix("").parts]).removesuffix(".__init__")


def _imported(tree: ast.Module, modules: dict[str, str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                deeper = f"{node.module}.{alias.name}"
                if deeper in modules:
                    yield deeper
                elif node.module in modules:
                    yield node.module


def circles(edges: set[tuple[str, str]]) -> list[list[str]]:
    """Return the groups of files that import each other, directly or around a corner."""
    reach: dict[str, set[str]] = defaultdict(set)
    for a, b in edges:
        reach[a].add(b)

    def reachable(start: str) -> set[str]:
        found: set[str] = set()
        waiting = [start]
        while waiting:
            for b in reach[waiting.pop()] - found:
                found.add(b)
                waiting.append(b)
        return found

    everything = {name: reachable(name) for name in list(reach)}
    in_circles = [name for name, found in everything.items() if name in found]
    groups = {frozenset(b for b in in_circles if b in everything[a] and a in everything[b]) for a in in_circles}
    return sorted(sorted(group) for group in groups)


def satellites(edges: set[tuple[str, str]], trees: dict[str, ast.Module]) -> list[str]:
    """Return the files with one importer, of their own package."""
    importers: dict[str, set[str]] = defaultdict(set)
    for a, b in edges:
        importers[b].add(a)
    return sorted(
        name
        for name in trees
        if not name.endswith("__init__.py")
        and name not in ENTRY_POINTS
        and len(importers[name]) == 1
        and Path(next(iter(importers[name]))).parent == Path(name).parent
    )


# --- functions and words ----------------------------------------------------------------------------------------------


def function_lengths(tree: ast.Module) -> Iterator[int]:
    """Yield the lines of each function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield (node.end_lineno or node.lineno) - node.lineno + 1


def vague_names(tree: ast.Module) -> Iterator[str]:
    """Yield the names bound in a file that are, or contain, one of the words above, with their line."""
    for node in ast.walk(tree):
        name = _bound(node)
        if name and (name.strip("_") in VAGUE_NAMES or VAGUE_PARTS & set(name.lower().split("_"))):
            yield f"{getattr(node, 'lineno', 0)} {name}"


def _bound(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return node.id
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return node.name
    if isinstance(node, ast.arg):
        return node.arg
    return None


# --- the table --------------------------------------------------------------------------------------------------------


def rows(figures: Figures) -> list[tuple[str, str]]:
    """Return the table, a name and its figure."""
    sizes, functions = figures.file_lines, figures.function_lines
    small = sum(n < SMALL_LINES for _, n in figures.satellites)
    long = sum(n > LONG_FUNCTION_LINES for n in functions) / len(functions)
    return [
        ("files / lines", f"{figures.files} / {figures.lines}"),
        ("lines a file: median / p90 / most", f"{median(sizes):.0f} / {quantiles(sizes, n=10)[-1]:.0f} / {max(sizes)}"),
        (f"one importer, of their own package (under {SMALL_LINES} lines)", f"{len(figures.satellites)} ({small})"),
        ("imports between files", f"{figures.imports}"),
        ("circles", f"{len(figures.circles)}"),
        (
            f"lines a function: median / p90 / over {LONG_FUNCTION_LINES}",
            f"{median(functions):.0f} / {quantiles(functions, n=10)[-1]:.0f} / {long:.1%}",
        ),
        ("vague names", f"{len(figures.vague)}"),
    ]


def main() -> int:
    figures = measure()
    for name, figure in rows(figures):
        print(f"{name:60} {figure:>24}")
    for circle in figures.circles:
        print("circle:", " · ".join(circle))
    if "--words" in sys.argv:
        print("\n".join(figures.vague))
        print(Counter(line.rpartition(" ")[2] for line in figures.vague).most_common(60))
    counted = {
        "files": figures.files,
        "lines": figures.lines,
        "imports between files": figures.imports,
        "circles": len(figures.circles),
        "vague names": len(figures.vague),
    }
    over = [f"{name}: {n} (at most {BOUNDS[name]})" for name, n in counted.items() if n > BOUNDS[name]]
    if "--strict" in sys.argv and over:
        print("\n".join(over))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
