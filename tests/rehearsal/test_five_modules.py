"""A component of five modules with data files is the same under dev, in its image and in a rehearsal."""

from __future__ import annotations

import pytest

import matinee
from matinee.environments.inspect import inspect
from matinee.rehearsal.rehearse import RehearseOptions, rehearse
from matinee.testing.harness import running_app
from support.emulators import skip_if_unavailable

pytestmark = pytest.mark.slow

FILES = {
    "matinee.toml": 'name = "prices"\ncomponents = ["shop.py"]\n',
    "shop.py": '''
from matinee import realtime
from pricing import total

@realtime(memory_mb=256, examples=[{"fruit": "apple", "count": 2}])
def price(fruit: str, count: int) -> str:
    """What does it cost?"""
    return total(fruit, count)
''',
    "pricing/__init__.py": "from .sums import total\n",
    "pricing/sums.py": """
from importlib import resources
from tables import price_of
from wording import say

def total(fruit, count):
    currency = resources.files("pricing").joinpath("currency.txt").read_text().strip()
    return say(price_of(fruit) * count, currency)
""",
    "pricing/currency.txt": "EUR\n",
    "tables.py": """
from pathlib import Path

def price_of(fruit):
    return float((Path(__file__).parent / "da".__add__("ta") / f"{fruit}.txt").read_text())
""",
    "wording.py": "def say(amount, currency):\n    return f'{amount:.2f} {currency}'\n",
    "data/apple.txt": "0.5",
    "unrelated.py": "raise RuntimeError('nobody imports this')\n",
    ".env": "KEY=secret\n",
}
ITS_OWN = (
    "data/apple.txt", "pricing/__init__.py", "pricing/currency.txt", "pricing/sums.py", "shop.py", "tables.py",
    "wording.py",
)  # fmt: skip


@pytest.fixture
def shop(tmp_path):
    for name, text in FILES.items():
        file = tmp_path / "shop" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "shop"


def test_its_modules_and_data_are_found(shop) -> None:
    (item,) = inspect(shop).components
    assert item.files == ITS_OWN


@pytest.mark.parametrize("options", [(), ("--containers",)])
def test_it_answers_under_dev_and_in_its_image(shop, request, options) -> None:
    if options:
        assert request.getfixturevalue("engine")
    with running_app(shop, "--no-ui", *options), matinee.connect(shop) as app:
        assert app.price(fruit="apple", count=3) == "1.50 EUR"


def test_it_answers_in_a_rehearsal(shop) -> None:
    answers = []

    def stay(stage) -> None:
        run = stage.connect().predict("price", {"fruit": "apple", "count": 5})
        answers.append(run.result)

    with skip_if_unavailable():
        rehearse(shop, RehearseOptions(), stay=stay)
    assert answers == ["2.50 EUR"]
