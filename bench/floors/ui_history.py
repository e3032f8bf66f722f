"""A hundred open History pages in this process, and how often they ask the store."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

INTERVALS = 3


class _Counting:
    """A store that counts what is asked of it."""

    def __init__(self, store: Any) -> None:
        self._store, self.asked = store, Counter[str]()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.asked[name] += 1
            return method(*args, **kwargs)

        return counted


def _script() -> None:
    from matinee.ui.app import main

    main()


def queries_per_interval(people: int, folder: Path) -> float:
    """Return how many times an interval runs are asked for while so many look at History, all at least once in it."""
    from streamlit.logger import set_log_level
    from streamlit.testing.v1 import AppTest
    from streamlit.util import calc_hash

    from matinee import caches
    from matinee.backends.factory import Backend
    from matinee.backends.local.store import SqliteStore
    from matinee.client.core import Client
    from matinee.manifest import ComponentManifest, PredictorManifest, Release, Resources
    from matinee.runs import Run, Status, new_run_id
    from matinee.settings import Settings
    from matinee.ui import session

    set_log_level("error")  # it warns of every page that no browser has asked for
    now = time.time()
    store = _Counting(SqliteStore(folder / "state.db"))
    predictor = PredictorManifest("plan", "batch", "plan", "", {"type": "object", "properties": {}}, {}, Resources())
    store.put_release(Release("app", "App", 1, 0.0, (ComponentManifest("plan", "hash", "v1", (predictor,)),)))
    store.record(Run(new_run_id(now), "plan", "batch", "local", Status.SUCCEEDED, {}, now, finished_at=now, result=1))
    backend: Any = Backend(store, None, None, None)  # type: ignore[arg-type]
    clock = SimpleNamespace(now=0.0)  # an interval lasts until all have looked
    session.poll = caches.SharedReads(lambda: clock.now)
    client = Client(backend, Settings(data=folder), owner=True)
    session.client_of = lambda who: client  # noqa: ARG005
    pages = [AppTest.from_function(_script, default_timeout=60) for _ in range(people)]
    for _ in range(INTERVALS):
        clock.now += session.RUNS_S + 0.01
        for page in pages:
            page._page_hash = calc_hash("history")
            page.run()
            if page.exception:
                raise RuntimeError(str(page.exception))
    store.close()
    return store.asked["runs"] / INTERVALS
