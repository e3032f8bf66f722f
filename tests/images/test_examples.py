"""An example's realtime predictor under AWS's Runtime Interface Emulator; both play whole in `tests/browser`."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def copied(tmp_path):
    """Return a function that copies an example under another name: its images are then of this test alone."""

    def copy(name: str) -> Path:
        folder = shutil.copytree(EXAMPLES / name, tmp_path / name, ignore=shutil.ignore_patterns(".matinee", "__*"))
        file = folder / "matinee.toml"
        file.write_text(file.read_text().replace(f'name = "{name}"', f'name = "rie-{name}"', 1))
        return folder

    return copy


def test_concurrent_requests_have_a_container_each(copied, build_app, start_lambda) -> None:
    (image,) = build_app(copied("activity"), "recommend").images
    functions = [
        start_lambda(image, "--read-only", "--memory", "512m", "--env", "MATINEE_PREDICTOR=recommend") for _ in range(2)
    ]
    with ThreadPoolExecutor() as callers:
        answers = list(callers.map(lambda function: function.invoke({"gender": "female"}), functions))
    assert all(set(answer) == {"activity", "candidates"} and answer["activity"] for answer in answers)
