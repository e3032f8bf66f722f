"""The load client opens real sessions of a real app and submits its form: everybody gets their own answer."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
BENCH = Path(__file__).resolve().parents[2] / "bench"
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
