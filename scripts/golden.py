"""Renews tests/golden: the manifest and the stacks of each example, so that a change of any shows as a diff.

.venv/bin/python scripts/golden.py        (`make golden`)
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from matinee.environments.inspect import inspect
from matinee.manifest import ComponentManifest, component_from_json, to_json
from matinee.names import NETWORK_STACK
from matinee.project.load import load
from matinee.stack.blueprint import Blueprint
from matinee.stack.templates import app_template, data_template, edge_template, network_template, to_text

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
GOLDEN = ROOT / "tests" / "golden"
MANIFEST = "manifest.json"


def manifests(example: Path) -> list[dict[str, Any]]:
    """Return what inspection finds in an example, without versions: they change with every line of the framework."""
    found = inspect(example)
    assert not found.troubled, found.troubled
    return [json.loads(json.dumps(to_json(replace(item.manifest, hash="", label="")))) for item in found.components]


def stacks(example: Path, known: list[dict[str, Any]]) -> dict[str, str]:
    """Return the templates of an example by file name, made from manifests as `manifests` returns them."""
    components: list[ComponentManifest] = [component_from_json(component) for component in known]
    b = Blueprint.of(load(example), "dev", components)
    made = {"data.json": data_template(b), "app.json": app_template(b), "edge.json": edge_template(b)}
    return {name: to_text(template) for name, template in made.items() if template}


def main() -> None:
    """Write all of it anew."""
    (GOLDEN / f"{NETWORK_STACK}.json").write_text(to_text(network_template()), "utf-8")
    for example in examples():
        folder = GOLDEN / example.name
        folder.mkdir(parents=True, exist_ok=True)
        known = manifests(example)
        written = {MANIFEST: json.dumps(known, indent=1, ensure_ascii=False) + "\n", **stacks(example, known)}
        for name, text in written.items():
            (folder / name).write_text(text, "utf-8")
        print(f"{folder.relative_to(ROOT)}: {', '.join(written)}")


def examples() -> list[Path]:
    """Return the folders of the examples."""
    return sorted(path.parent for path in EXAMPLES.glob("*/matinee.toml"))


if __name__ == "__main__":
    main()
