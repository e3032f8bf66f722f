"""Each example's manifest stands in `manifests/`, so that a change of the contract shows as a readable difference.

`UPDATE=1 make test TESTS=tests/examples/test_manifests.py` writes them anew.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from matinee.manifest import to_json
from matinee.ops.inspect import inspect

EXAMPLES = Path(__file__).parents[2] / "examples"
MANIFESTS = Path(__file__).parent / "manifests"


def shortened(value: Any) -> Any:
    """Return the value with long texts (pictures in base64) cut, so that it can be read."""
    if isinstance(value, dict):
        return {key: shortened(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [shortened(item) for item in value]
    return f"{value[:40]}…" if isinstance(value, str) and len(value) > 400 else value


@pytest.mark.parametrize("name", ["activity", "digits"])
def test_the_manifest_is_the_one_that_was_agreed(name: str) -> None:
    inspected = inspect(EXAMPLES / name)
    manifests = [to_json(item.manifest) for item in inspected.components]
    for manifest in manifests:
        assert manifest.pop("hash")
    text = json.dumps(shortened(manifests), indent=2, ensure_ascii=False) + "\n"
    golden = MANIFESTS / f"{name}.json"
    if os.environ.get("UPDATE"):
        golden.write_text(text)
    assert text == golden.read_text()
