"""The stores: operations per second on SQLite and each emulator, and whether 100,000 runs make any of them slower.

The emulators are slower than AWS and faster than its network: their figures compare one version of ours with the next.
What AWS bills is in capacity units, which DynamoDB Local counts as AWS does for single writes and, for transactions
with indexes, up to twice as many.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from matinee.backends.aws.store import DynamoStore
from matinee.backends.aws.store_items import run_item
from matinee.backends.local.database import run_row
from matinee.backends.local.store import SqliteStore
from matinee.ports import RunQuery, Store
from matinee.prices import DYNAMODB_WRITE
from matinee.rehearsal.world import UnavailableError, ministack
from matinee.runs import Progress, Run, Status, new_run_id, succeed
from matinee.testing.store_contract_runs import NOW, a_run, claimed
from support.emulators import dynamodb_local, make_table, session_on
from support.wire import Meter

HISTORY = 100_000
USERS, PREDICTORS = 100, 3
BATCH = 200  # operations timed together
ROUNDS = 5
_SEEDERS = 8
_DISPATCHED = 30  # requests of the dispatcher and of a worker that comes and goes, a unit each


def measure() -> dict[str, Any]:
    """Return operations per second by store, and the ratio of a drained queue's speed at 100,000 runs and at none."""
    figures: dict[str, Any] = {"history_runs": HISTORY}
    slowdowns = []
    for name, opened in STORES.items():
        with ExitStack() as stack:
            try:
                store, fill, meter = stack.enter_context(opened())
            except UnavailableError as error:
                figures[name] = {"skipped": str(error)}
                continue
            empty = rates(store)
            figures[name] = {"per_s": empty}
            if fill is None:
                continue
            figures[name]["units"] = units(store, meter)
            figures[name]["month_usd_at_most_100_people"] = month_usd(figures[name]["units"])
            fill()
            full = rates(store)
            figures[name] |= {"per_s_at_100000": full, "units_at_100000": units(store, meter)}
            slower = {op: round(empty[op] / full[op], 2) for op in ("claim", "finish", "list_mine")}
            figures[name]["times_slower_at_100000"] = slower
            slowdowns += slower.values()
    return {**figures, "ratio": max(slowdowns, default=0.0), "target_ratio": 1.5}


def rates(store: Store) -> dict[str, float]:
    """Return operations per second, the median of a few rounds."""
    rounds = [one_round(store) for _ in range(ROUNDS)]
    return {op: round(statistics.median(each[op] for each in rounds), 1) for op in rounds[0]}


def one_round(store: Store) -> dict[str, float]:
    """Submit, claim, keep and finish some runs, and what else a store is asked for."""
    runs = [a_run(id=new_run_id()) for _ in range(BATCH // 4)]
    taken: list[Any] = []

    def claim_one() -> None:
        (entry,) = store.due("plan", NOW)
        run = store.run(entry.run_id)
        assert run is not None
        taken.append(claimed(store, run))

    each = len(runs)
    spent = {
        "submit": timed(lambda: [store.submit([run]) for run in runs], each),
        "claim": timed(lambda: [claim_one() for _ in runs], each),
        "heartbeat": timed(lambda: [beat(store, entry) for _, entry in taken], each),
        "finish": timed(lambda: [store.apply(succeed(run, result=1, now=NOW)) for run, _ in taken], each),
        "record": timed(lambda: [store.record(finished(time.time())) for _ in runs], each),
        "list_mine": timed(lambda: [store.runs(RunQuery(user="ana", limit=25)) for _ in range(20)], 20),
        "state_increment": timed(lambda: [store.state_increment("count", 1) for _ in runs], each),
        "submit_many": timed(lambda: store.submit([a_run(id=new_run_id()) for _ in range(BATCH)]), BATCH),
    }
    for entry in store.entries("plan", BATCH):
        run = store.run(entry.run_id)
        assert run is not None
        store.apply(succeed(claimed(store, run)[0], result=1, now=NOW))
    return spent


def timed(work: Callable[[], Any], times: int) -> float:
    """Return how many a second."""
    began = time.perf_counter()
    work()
    return times / (time.perf_counter() - began)


def beat(store: Store, entry: Any) -> None:
    """Renew a lease."""
    assert store.heartbeat(entry, visible_at=NOW + 60, progress=Progress(0.5, "half"))


def finished(at: float, number: int = 0) -> Run:
    """Return a run of a realtime predictor as its caller records it."""
    run = a_run(f"user-{number % USERS}", f"p{number % PREDICTORS}", id=new_run_id(at), kind="realtime", created_at=at)
    return replace(run, status=Status.SUCCEEDED, result={"n": number}, started_at=at, finished_at=at + 0.01, attempt=1)


def units(store: Store, meter: Meter | None) -> dict[str, Any]:
    """Return requests and capacity units of one of each operation."""
    if meter is None:
        return {}
    spent: dict[str, float] = {}

    def note(op: str, work: Callable[[], Any]) -> Any:
        meter.units.clear()
        value = work()
        spent[op] = sum(meter.units)
        return value

    run = a_run(id=new_run_id())
    note("submit", lambda: store.submit([run]))
    note("due", lambda: store.due("plan", NOW))
    running, leased = note("claim", lambda: claimed(store, run))
    note("heartbeat", lambda: beat(store, leased))
    note("finish", lambda: store.apply(succeed(running, result=1, now=NOW)))
    note("record", lambda: store.record(finished(time.time())))
    note("list_mine", lambda: store.runs(RunQuery(user="ana", limit=25)))
    note("list_mine_again", lambda: store.runs(RunQuery(user="ana", limit=25)))
    return spent


def month_usd(spent: dict[str, float]) -> float | None:
    """Return what the table costs when 100 people make 20 predictions and 2 batch runs a day, as if all were writes."""
    if not spent:
        return None
    batch = sum(spent[op] for op in ("submit", "due", "claim", "heartbeat", "finish")) + _DISPATCHED
    return round(100 * 30 * (20 * spent["record"] + 2 * batch) * DYNAMODB_WRITE.usd, 2)


Opened = tuple[Store, Callable[[], None] | None, Meter | None]


@contextmanager
def sqlite() -> Iterator[Opened]:
    """A store of this machine."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.db"
        store = SqliteStore(path)

        def fill() -> None:
            connection = sqlite3.connect(path)
            rows = (run_row(finished(NOW - HISTORY + n, n)) for n in range(HISTORY))
            connection.executemany(f"INSERT INTO runs VALUES ({', '.join('?' * 10)})", rows)
            connection.commit()
            connection.close()

        yield store, fill, None
        store.close()


@contextmanager
def on_dynamodb_local() -> Iterator[Opened]:
    """AWS's own engine; its 100,000 runs take a minute to put."""
    with dynamodb_local() as endpoint:
        session = session_on(endpoint)
        make_table(session)
        yield DynamoStore(session), lambda: fill(session), Meter(session.client("dynamodb"))


def fill(session: Any) -> None:
    """Put the history by BatchWriteItem."""
    client, table = session.client("dynamodb"), session.settings.table

    def put(first: int) -> None:
        items = [run_item(finished(NOW - HISTORY + n, n)) for n in range(first, first + 25)]
        left = {table: [{"PutRequest": {"Item": item}} for item in items]}
        while left:
            left = client.batch_write_item(RequestItems=left).get("UnprocessedItems", {})

    with ThreadPoolExecutor(_SEEDERS) as pool:
        list(pool.map(put, range(0, HISTORY, 25)))


@contextmanager
def on_ministack() -> Iterator[Opened]:
    """An emulator in Python: only the speed of an empty table is measured."""
    with ministack() as endpoint:
        session = session_on(endpoint)
        make_table(session)
        yield DynamoStore(session), None, None


STORES = {"sqlite": sqlite, "dynamodb_local": on_dynamodb_local, "ministack": on_ministack}

if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
