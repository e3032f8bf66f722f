"""The public interface is these names, and importing them loads next to nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import matinee

NAMES = [
    "Audio",
    "Field",
    "File",
    "Image",
    "InputError",
    "Markdown",
    "MatineeError",
    "Video",
    "__version__",
    "after",
    "batch",
    "connect",
    "context",
    "predictor",
    "progress",
    "realtime",
    "state",
    "track",
]


def test_the_public_names_are_pinned() -> None:
    assert sorted(matinee.__all__) == NAMES == dir(matinee)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_there(name: str) -> None:
    assert getattr(matinee, name) is not None


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'matinee' has no attribute 'nope'"):
        _ = matinee.nope


def loaded_by(code: str) -> set[str]:
    shown = f"{code}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


HEAVY = {"pydantic", "pydantic_core", "boto3", "botocore", "streamlit", "typer", "asyncio", "uuid", "pathlib"}
HEAVY |= {"dataclasses", "inspect", "tomllib"}


def test_declaring_loads_nothing_heavy() -> None:
    loaded = loaded_by("import matinee; matinee.realtime; matinee.state; matinee.predictor('x')")
    assert not loaded & (HEAVY | {"matinee.values", "concurrent.futures"})


def test_a_prediction_of_plain_types_loads_nothing_heavy() -> None:
    code = (
        "from matinee.runtime.execute import execute\n"
        "from matinee.runtime.execute import load_component\n"
        "def f(n: int, s: str = 'a') -> dict[str, float]:\n    return {s: n / 2}\n"
        "number, text = {'type': 'integer'}, {'type': 'string', 'default': 'a'}\n"
        "schema = {'type': 'object', 'properties': {'n': number, 's': text}}\n"
        "result = {'type': 'object', 'additionalProperties': {'type': 'number'}}\n"
        "assert execute(f, {'parameters': schema, 'result': result}, {'n': 1}, None) == {'a': 0.5}\n"
    )
    assert not loaded_by(code) & (HEAVY | {"datetime", "traceback", "decimal", "difflib"})


def test_predictor_is_found_whichever_way_it_was_imported() -> None:
    loaded_by("import matinee.predictors.context\nfrom matinee import predictor\nassert predictor('a').name == 'a'")
    loaded_by(
        "from matinee import predictor\nimport matinee.predictors.context\nassert matinee.predictor('a').name == 'a'"
    )
