"""Change one operator at a time and see whether a test notices: `python scripts/mutants.py [--seed N] [--count N]`.

The places are drawn by a seed over what must not be wrong: transitions, queue, validation, stores. Each mutant runs the
tests of its own part in a copy of the source. A mutant that survives is equivalent, or a test is missing: a person says
which. Part of `make soak`.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_S = 240

# What is changed, and the tests that must notice.
PARTS = {
    "runs.py": ["tests/runs", "tests/queue", "tests/backends/local/store"],
    "queue/claims.py": ["tests/queue"],
    "queue/dispatch.py": ["tests/queue"],
    "values/validate.py": ["tests/values"],
    "backends/local/store.py": ["tests/backends/local/store", "tests/queue"],
}

_OPPOSITE: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.And: ast.Or,
    ast.Or: ast.And,
}


@dataclass(frozen=True)
class Mutant:
    """One change: the node with that number in the walk of a file."""

    file: str
    number: int
    line: int
    text: str


def candidates(file: str, tree: ast.Module) -> Iterator[Mutant]:
    """Yield every change that can be made to a file."""
    for number, node in enumerate(ast.walk(tree)):
        kind = _kind(node)
        if kind:
            yield Mutant(file, number, node.lineno, f"{kind}: {ast.unparse(node)[:70]}")  # type: ignore[attr-defined]


def _kind(node: ast.AST) -> str | None:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _OPPOSITE:
        return "comparison"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        return "sum"
    if isinstance(node, ast.BoolOp):
        return "and/or"
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return "not"
    if isinstance(node, ast.If):
        return "condition"
    if isinstance(node, ast.Constant) and (isinstance(node.value, bool) or type(node.value) is int):
        return "constant"
    return None


def mutate(tree: ast.Module, number: int) -> ast.Module:
    """Return the tree with that one change."""
    node = list(ast.walk(tree))[number]
    if isinstance(node, ast.Compare):
        node.ops[0] = _OPPOSITE[type(node.ops[0])]()  # type: ignore[call-overload]
    elif isinstance(node, ast.BinOp | ast.BoolOp):
        node.op = _OPPOSITE[type(node.op)]()  # type: ignore[assignment]
    elif isinstance(node, ast.UnaryOp):
        node.op = ast.UAdd()
        node.operand = ast.Call(ast.Name("bool", ast.Load()), [node.operand], [])
    elif isinstance(node, ast.If):
        node.test = ast.UnaryOp(ast.Not(), node.test)
    elif isinstance(node, ast.Constant):
        node.value = not node.value if isinstance(node.value, bool) else int(str(node.value)) + 1
    return ast.fix_missing_locations(tree)


def survives(mutant: Mutant, source: Path) -> bool:
    """Run the tests of its part against the changed copy; True when they all pass."""
    file = source / "matinee" / mutant.file
    original = file.read_text("utf-8")
    file.write_text(ast.unparse(mutate(ast.parse(original), mutant.number)), "utf-8")
    try:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", *PARTS[mutant.file]]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(source)},
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False  # it hangs: noticed
    finally:
        file.write_text(original, "utf-8")
    return done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--count", type=int, default=28)
    options = parser.parse_args()
    every = [
        mutant
        for file in PARTS
        for mutant in candidates(file, ast.parse((ROOT / "src" / "matinee" / file).read_text("utf-8")))
    ]
    chosen = random.Random(options.seed).sample(every, min(options.count, len(every)))  # noqa: S311 (a draw)
    print(f"{len(chosen)} of {len(every)} mutants, seed {options.seed}")
    alive = []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "src"
        shutil.copytree(ROOT / "src", source)
        for mutant in sorted(chosen, key=lambda m: (m.file, m.line)):
            lives = survives(mutant, source)
            alive += [mutant] if lives else []
            print(f"{'SURVIVES' if lives else 'noticed ':8} {mutant.file}:{mutant.line} {mutant.text}", flush=True)
    print(f"{len(chosen) - len(alive)} noticed, {len(alive)} survive")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
