"""Each example has its manifest and its stacks in the repository. `make golden` renews them; read the diff."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from matinee.stack.templates import network_template, to_text

HERE = Path(__file__).parent
_SPEC = importlib.util.spec_from_file_location("golden", Path(__file__).parents[2] / "scripts" / "golden.py")
assert _SPEC and _SPEC.loader
golden = importlib.util.module_from_spec(_SPEC)
sys.modules["golden"] = golden
_SPEC.loader.exec_module(golden)
EXAMPLES = golden.examples()
RENEW = "`make golden` renews it: is the difference what you want?"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_stacks_of_an_example_are_as_the_repository_has_them(example):
    folder = HERE / example.name
    made = golden.stacks(example, json.loads((folder / golden.MANIFEST).read_text("utf-8")))
    assert set(made) == {file.name for file in folder.iterdir()} - {golden.MANIFEST}, RENEW
    for name, text in made.items():
        assert text.splitlines() == (folder / name).read_text("utf-8").splitlines(), RENEW


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_manifest_of_an_example_is_as_the_repository_has_it(example):
    assert golden.manifests(example) == json.loads((HERE / example.name / golden.MANIFEST).read_text("utf-8")), RENEW


def test_the_network_is_as_the_repository_has_it():
    assert to_text(network_template()).splitlines() == (HERE / "matinee-network.json").read_text().splitlines(), RENEW


def test_every_example_has_its_files():
    folders = [path.name for path in HERE.iterdir() if path.is_dir() and not path.name.startswith("_")]
    assert [example.name for example in EXAMPLES] == sorted(folders)
