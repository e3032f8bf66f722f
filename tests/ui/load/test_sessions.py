"""The load client opens real sessions of a real app and submits its form: everybody gets their own answer."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
BENCH = Path(__file__).resolve().parents[3] / "bench"
PEOPLE = 5


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCH))
    import ui_load

    yield ui_load
    for name in [name for name in sys.modules if name in ("ui_load", "dev_start") or name.split(".")[0] == "floors"]:
        del sys.modules[name]


def test_five_people_submit_for_two_seconds_without_a_failure(bench):
    async def clicks(address: str) -> dict[str, Any]:
        async with bench.Visitors(lambda: bench.ui_sessions.Session(address), PEOPLE) as people:
            figures = await people.click(every_s=1, seconds=2)
            assert people.failures == []
            return figures

    with bench.matinee(is_limited=False) as (process, address):
        figures = asyncio.run(clicks(address))
        assert process.memory_mb() < 300
    assert figures["answered"] == figures["clicks"] == 2 * PEOPLE


def test_a_click_draws_the_button_and_the_result_and_no_field_again(bench, monkeypatch):
    drawn = []
    take = bench.ui_sessions.Session._take_element
    monkeypatch.setattr(
        bench.ui_sessions.Session,
        "_take_element",
        lambda self, delta, data: (drawn.append(delta.new_element.WhichOneof("type")), take(self, delta, data)),
    )

    async def one_click(address: str) -> None:
        page = bench.ui_sessions.Session(address)
        await page.open()
        drawn.clear()
        await page.click("some words")
        await asyncio.wait_for(page.drawn(), 30)
        await page.close()

    with bench.matinee(is_limited=False) as (_, address):
        asyncio.run(one_click(address))
    assert "text_input" not in drawn
    assert {"button", "heading", "html", "feedback", "page_link"} <= set(drawn)
    assert len(drawn) <= 10


SLOW = """
import time

from matinee import realtime


@realtime(memory_mb=256, timeout_s=10)
def echo(text: str = "") -> str:
    time.sleep(2.5)
    return text.upper()
"""


def test_what_takes_long_says_so_while_it_runs(bench, monkeypatch, tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    seen = []
    take = bench.ui_sessions.Session._take
    monkeypatch.setattr(
        bench.ui_sessions.Session, "_take", lambda self, data: (seen.append((time.monotonic(), data)), take(self, data))
    )

    async def one_click(address: str) -> float:
        async with bench.Visitors(lambda: bench.ui_sessions.Session(address), 1) as people:
            await people.click(every_s=1, seconds=1)
            assert people.failures == []
            return time.monotonic()

    with bench.matinee(is_limited=False, predictor=tmp_path / "slow.py") as (_, address):
        ended = asyncio.run(one_click(address))
    said = [at for at, data in seen if b"Warming up" in data or b"Working" in data]
    assert said
    assert said[0] < ended - 1
