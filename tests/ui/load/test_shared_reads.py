"""A hundred people look at History: the store is asked as often as for one, whatever stands in it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from matinee import caches
from matinee.backends.factory import Backend, StoreTraits
from matinee.backends.local.store import SqliteStore
from matinee.client.core import Client
from matinee.manifest import ComponentManifest, PredictorManifest, Release, Resources
from matinee.runs import Run, Status, new_run_id
from matinee.settings import Settings
from matinee.ui import session

PEOPLE = 100
SCHEMA = {"type": "object", "properties": {}}


class Counting:
    """A store that counts what is asked of it."""

    def __init__(self, store: SqliteStore) -> None:
        self._store, self.asked = store, Counter[str]()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.asked[name] += 1
            return method(*args, **kwargs)

        return counted


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(session, "poll", caches.SharedReads(clock))
    return clock


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Counting]:
    sqlite = SqliteStore(tmp_path / "state.db")
    predictor = PredictorManifest("plan", "batch", "plan", "", SCHEMA, {}, Resources())
    sqlite.put_release(Release("app", "App", 1, 0.0, (ComponentManifest("plan", "hash", "v1", (predictor,)),)))
    counting = Counting(sqlite)
    traits = StoreTraits(release_age_s=1e9)  # the client's own memory has its own tests
    backend = Backend(counting, None, None, None, traits=traits)  # type: ignore[arg-type]
    client = Client(backend, Settings(data=tmp_path), owner=True)  # type: ignore[arg-type]
    monkeypatch.setattr(session, "client_of", lambda who: client)
    client.release()
    yield counting
    sqlite.close()


def _script() -> None:
    from matinee.ui.app import main

    main()


@pytest.fixture
def visit() -> Callable[[], AppTest]:
    def opened() -> AppTest:
        page = AppTest.from_function(_script, default_timeout=30)
        page._page_hash = calc_hash("history")
        page.run()
        assert not page.exception, page.exception
        return page

    return opened


def ended(number: int) -> Run:
    now = time.time() - number
    return Run(new_run_id(now), "plan", "batch", "local", Status.SUCCEEDED, {}, now, finished_at=now, result=1)


@pytest.mark.slow
def test_a_hundred_open_history_pages_cost_one_query_each_poll_interval(store, clock, visit):
    for number in range(20):
        store.record(ended(number))
    store.asked.clear()
    pages = [visit()]
    for_one = Counter(store.asked)
    pages += [visit() for _ in range(PEOPLE - 1)]
    assert store.asked == for_one
    assert store.asked["runs"] == 1
    clock.now += session.RUNS_S + 0.01
    for page in pages:
        page.run()
    assert store.asked["runs"] == 2
    assert store.asked.total() <= 2 * for_one.total()


def test_unfinished_runs_are_looked_at_once_for_all_who_look(store, clock, visit):
    now = time.time()
    store.submit([Run(new_run_id(now), "plan", "batch", "local", Status.QUEUED, {}, now)])
    store.asked.clear()
    visit()
    for_one = Counter(store.asked)
    for _ in range(10):
        visit()
    assert store.asked == for_one
