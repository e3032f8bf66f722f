"""The Activity Recommender as a whole: its own environments, the local Lambda service, the queue."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

import matinee
from matinee import InputError
from matinee.client.connect import App

SOURCE = Path(__file__).parents[2] / "examples" / "activity"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("examples") / "activity"
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns(".matinee", "__pycache__"))
    with matinee.connect(folder) as app:
        yield app


def test_a_past_activity_is_shared_by_all_who_ask_later(app: App) -> None:
    assert "fencing" in app.recommend(gender="female", past_activity="Fencing").candidates
    assert "fencing" in app.recommend(gender="female").candidates
    assert "fencing" in app.recommend(gender="undisclosed").candidates
    assert "fencing" not in app.recommend(gender="male").candidates


def test_a_plan_has_an_activity_for_every_day_and_is_a_csv(app: App) -> None:
    run = app.plan.submit(gender="male", start=date(2026, 12, 1), end=date(2026, 12, 4))
    table = run.result(timeout_s=120)
    assert [row["date"] for row in table] == [date(2026, 12, day) for day in (1, 2, 3)]
    assert table.to_csv().splitlines()[0] == "date,activity"
    assert run.progress.fraction == 1


def test_each_day_is_one_recommendation_that_stays_out_of_history(app: App) -> None:
    seen = {run.id for run in app.runs()}
    run = app.plan.submit(gender="male", start=date(2026, 12, 1), end=date(2026, 12, 3))
    run.result(timeout_s=120)
    assert {one.id for one in app.runs()} - seen == {run.id}


def test_an_end_before_the_start_is_refused_at_its_field(app: App) -> None:
    with pytest.raises(InputError) as refused:
        app.plan.submit(gender="male", start=date(2026, 12, 4), end=date(2026, 12, 1))
    assert [problem.path for problem in refused.value.problems] == ["end"]
    assert "after" in refused.value.problems[0].message
