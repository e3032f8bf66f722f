"""`plan` calls `recommend` through its handle; a test puts a plain function in the handle's place."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace

import pandas as pd
import plan as component
import pytest
from plan import plan


@pytest.fixture(autouse=True)
def swimming_every_day(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []

    def recommend(gender: str) -> SimpleNamespace:
        asked.append(gender)
        return SimpleNamespace(activity="swimming")

    monkeypatch.setattr(component, "recommend", recommend)
    return asked


def test_each_day_gets_an_activity_and_the_end_is_not_included(swimming_every_day: list[str]) -> None:
    table = plan("female", date(2026, 12, 1), date(2026, 12, 4))
    assert isinstance(table, pd.DataFrame)
    assert list(table.columns) == ["date", "activity"]
    assert list(table["date"]) == [date(2026, 12, 1), date(2026, 12, 2), date(2026, 12, 3)]
    assert set(table["activity"]) == {"swimming"}
    assert swimming_every_day == ["female"] * 3
