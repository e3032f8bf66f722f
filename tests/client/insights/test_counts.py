"""What the owner's counts say is what a naive count over all runs says, however they were read."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from matinee.backends.local.store import SqliteStore
from matinee.client.insights import DAY_S, Insights, Report, report_of
from matinee.client.insights_counts import GROWTH, Opinions, bucket, quantile_s
from matinee.manifest import ComponentManifest, PredictorManifest, Release, Resources
from matinee.prices import Size, batch_usd, realtime_usd
from matinee.runs import Failure, Feedback, Run, Status, claim, fail, new_run_id, succeed

NOON = 1_780_000_000.0
DAYS = 5
RELEASE = Release(
    "tiny", "", 1, 0.0,
    tuple(
        ComponentManifest(name, "h", "v1", (PredictorManifest(name, kind, name, "", {}, {}, Resources()),))
        for name, kind in (("guess", "realtime"), ("plan", "batch"))
    ),
)  # fmt: skip


class World:
    """A store that lives: predictions are recorded late, batch runs wait, start and end, people rate and change."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.store = SqliteStore(folder / "state.db")
        self.random = random.Random(seed)
        self.now = NOON
        self.late: list[tuple[float, Run]] = []
        self.runs: dict[str, Run] = {}

    def step(self) -> None:
        self.now += self.random.choice([0.001, 1.0, 30.0, 3600.0, 0.3 * DAY_S])
        for due in [late for late in self.late if late[0] <= self.now]:
            self.late.remove(due)
            self.record(due[1])
        self.random.choice([self.predict, self.predict, self.submit, self.work, self.rate])()

    def new(self, name: str, kind: str) -> Run:
        user, parent = self.random.choice(["ana", "bo", "eve"]), self.random.choice(["", "", "other"])
        version = f"v{self.random.choice([1, 2, 10])}"
        run_id = new_run_id(self.now)
        return Run(run_id, name, kind, user, Status.QUEUED, {}, self.now, version, parent)  # type: ignore[arg-type]

    def predict(self) -> None:
        run = self.new("guess", "realtime")
        took = self.random.choice([0.0, 0.002, 0.5, 800.0])
        done = replace(run, status=Status.SUCCEEDED, started_at=self.now, finished_at=self.now + took)
        if self.random.random() < 0.3:
            done = replace(done, status=Status.FAILED, failure=Failure(self.random.choice(["timeout", "crash"]), "no"))
        self.late.append((self.now + took, done)) if took > 1 else self.record(done)

    def record(self, run: Run) -> None:
        self.store.record(run)
        self.runs[run.id] = run

    def submit(self) -> None:
        (run,) = self.store.submit([self.new("plan", "batch")])
        self.runs[run.id] = run

    def work(self) -> None:
        open_runs = [run for run in self.runs.values() if not run.status.is_final]
        if not open_runs:
            return
        run = self.random.choice(open_runs)
        entry = self.store.entry(run.predictor, run.id)
        assert entry
        if run.status is Status.QUEUED:
            change = claim(run, entry, owner="w", version=f"v{self.random.choice([1, 2])}", now=self.now)
        elif self.random.random() < 0.5:
            change = succeed(run, result=1, now=self.now)
        else:
            failure = Failure("out_of_memory", "no")
            change = fail(run, entry, failure=failure, now=self.now, retries=1, delay_s=0)
        assert self.store.apply(change)
        self.runs[run.id] = change.recorded

    def rate(self) -> None:
        if self.runs:
            run_id, user = self.random.choice(list(self.runs)), self.random.choice(["ana", "bo"])
            rating = self.random.choice([1, -1, None])
            self.store.put_feedback(Feedback(run_id, user, rating, self.random.choice(["", "so"]), None, self.now))


def naive(world: World, days: range) -> dict[str, object]:
    of_day = {run.id: date.fromtimestamp(run.created_at).toordinal() for run in world.runs.values()}
    runs = [run for run in world.runs.values() if run.status.is_final and of_day[run.id] in days]
    mine = [run for run in runs if not run.parent]
    said = [f for r in world.runs.values() if of_day[r.id] in days for f in world.store.feedback(r.id)]
    return {
        "runs": len(mine),
        "failed": sum(run.status is Status.FAILED for run in mine),
        "people": len({run.user for run in mine}),
        "per day": [sum(of_day[run.id] == day for run in mine) for day in days],
        "people per day": [len({run.user for run in mine if of_day[run.id] == day}) for day in days],
        "causes": Counter((r.predictor, r.failure.kind) for r in mine if r.status is Status.FAILED and r.failure),
        "executions": Counter(run.predictor for run in runs),
        "cost": pytest.approx(
            sum((realtime_usd if r.kind == "realtime" else batch_usd)(1, r.duration_s or 0, Size(512)) for r in runs)
        ),
        "ratings": Counter((world.runs[f.run_id].predictor, world.runs[f.run_id].version, f.rating) for f in said),
    }


def counted(report: Report) -> dict[str, object]:
    return {
        "runs": report.runs,
        "failed": report.failed,
        "people": report.people,
        "per day": [day.runs for day in report.days],
        "people per day": [day.people for day in report.days],
        "causes": Counter({(c.predictor, c.kind): c.count for c in report.causes}),
        "executions": Counter({cost.predictor: cost.runs for cost in report.costs}),
        "cost": report.total_usd,
        "ratings": None,
    }


@settings(max_examples=25, deadline=None, phases=[Phase.explicit, Phase.generate])  # a seed does not shrink
@given(seed=st.integers(0, 10**9), page=st.integers(1, 7), look_every=st.integers(1, 9), back=st.integers(1, DAYS))
def test_counts_are_those_of_a_naive_count_whenever_one_looks(seed, page, look_every, back):
    with TemporaryDirectory() as folder:
        world = World(Path(folder), seed)
        insights = Insights(world.store, clock=lambda: world.now, page=page)
        for number in range(60):
            world.step()
            if number % look_every == 0:
                insights.refresh(world.now - back * DAY_S, budget_s=0)
        world.now += 10
        since = date.fromtimestamp(world.now).toordinal() - back + 1
        days = range(since, since + back)
        while not insights.refresh(world.now - (back + 1) * DAY_S, budget_s=0):
            pass
        cells = {place: cell for place, cell in insights._cells.items() if place.day in days}
        report = report_of(cells, insights.opinions.of(days), days, RELEASE)
        expected = naive(world, days)
        ratings = expected.pop("ratings")
        assert expected == {name: value for name, value in counted(report).items() if name != "ratings"}
        said = insights.opinions.of(days)
        assert len(said) == sum(ratings.values())  # type: ignore[attr-defined]


@given(st.lists(st.floats(1e-4, 1e6), min_size=1, max_size=200), st.sampled_from([0.5, 0.95]))
def test_a_quantile_is_within_two_percent(durations, q):
    exact = sorted(durations)[max(1, -(-int(q * 1000) * len(durations) // 1000)) - 1]
    counted = quantile_s(Counter(map(bucket, durations)), q)
    assert counted == pytest.approx(exact, rel=GROWTH**0.5 - 1 + 1e-9)


def test_a_changed_rating_counts_once_and_by_the_version_that_ran(tmp_path):
    store = SqliteStore(tmp_path / "state.db")
    for number, version in enumerate(["v2", "v10"]):
        run_id = new_run_id(NOON + number)
        run = Run(run_id, "guess", "realtime", "ana", Status.SUCCEEDED, {}, NOON, version)
        store.record(replace(run, started_at=NOON, finished_at=NOON + 1))
        store.put_feedback(Feedback(run_id, "ana", 1, updated_at=NOON))
    opinions = Opinions(store)
    opinions.refresh(0.0, 0.0, NOON)
    store.put_feedback(Feedback(run_id, "ana", -1, "worse", 7, updated_at=NOON + 5))
    opinions.refresh(0.0, 0.0, NOON)
    day = date.fromtimestamp(NOON).toordinal()
    report = report_of({}, opinions.of([day]), [day], RELEASE)
    assert [(r.version, r.good, r.bad, r.corrections) for r in report.ratings] == [("v2", 1, 0, 0), ("v10", 0, 1, 1)]
    assert [(w.run_id, w.comments) for w in report.worst] == [(run_id, ("worse",))]
