"""Schedules on this machine: what is due is submitted once, whoever looks and however often. The clock is a test's."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from matinee.backends.factory import open_backend
from matinee.client.background import LATE_S, RETRY_S, SCHEDULE_LOOK_S, Scheduling
from matinee.client.core import Client
from matinee.client.host import LocalHost
from matinee.errors import BackendError
from matinee.manifest import ComponentManifest, PredictorManifest, Release, Resources
from matinee.ports import RunQuery
from matinee.project.load import load
from matinee.settings import Settings
from matinee.testing.harness import wait_until

SCHEMA = {"type": "object", "properties": {"days": {"type": "integer", "default": 7}}, "additionalProperties": False}
START = datetime(2026, 11, 26, 8, 59, 50, tzinfo=UTC).timestamp()


class Clock:
    def __init__(self, at=START):
        self.at = at

    def __call__(self):
        return self.at


class Silent:
    def poke(self, function, payload=b"{}"):
        pass


def released(schedule, parameters=SCHEMA, examples=()):
    predictor = PredictorManifest(
        "plan", "batch", "plans", "", parameters, {}, Resources(schedule=schedule), examples=examples
    )
    return Release("app", "App", 1, 0.0, (ComponentManifest("plans", "hash", "v1", (predictor,)),))


@pytest.fixture
def backend(tmp_path):
    backend = replace(open_backend(Settings(data=tmp_path)), invoker=Silent())
    yield backend
    backend.store.close()


@pytest.fixture
def clock():
    return Clock()


def scheduling(backend, clock):
    return Scheduling(backend, Settings(), clock=clock)


def submitted(backend):
    return list(reversed(backend.store.runs(RunQuery(limit=100))))


def test_nothing_runs_before_its_time_and_then_once_as_an_ordinary_run_of_the_user_schedule(backend, clock):
    backend.store.put_release(released("cron(0 9 ? * MON-FRI *)"))
    one = scheduling(backend, clock)
    assert one.look() == 10
    assert submitted(backend) == []
    clock.at += 10
    one.look()
    (run,) = submitted(backend)
    assert (run.user, run.predictor, run.status, run.inputs) == ("schedule", "plan", "queued", {"days": 7})
    assert run.idempotency_key == "schedule/2026-11-26T09:00:00Z"
    assert one.look() == SCHEDULE_LOOK_S
    assert len(submitted(backend)) == 1


def test_two_hosts_and_a_restarted_one_submit_a_time_once(backend, clock):
    backend.store.put_release(released("rate(1 minute)"))
    one, other = scheduling(backend, clock), scheduling(backend, clock)
    for host in (one, other):
        host.look()
    clock.at += 10
    for host in (one, other, one):
        host.look()
    earlier = Clock(START + 9)
    restarted = scheduling(backend, earlier)
    earlier.at = clock.at
    restarted.look()
    assert [run.idempotency_key for run in submitted(backend)] == ["schedule/2026-11-26T09:00:00Z"]


def test_a_clock_that_is_set_back_says_a_time_again_and_it_is_the_same_run(backend, clock):
    backend.store.put_release(released("rate(1 minute)"))
    one = scheduling(backend, clock)
    for at in (START, START + 10, START, START + 10):
        clock.at = at
        one.look()
    assert len(submitted(backend)) == 1


def test_of_many_missed_times_only_the_last_is_submitted(backend, clock):
    backend.store.put_release(released("rate(1 minute)"))
    one = scheduling(backend, clock)
    clock.at += 8 * 3600
    one.look()
    assert [run.idempotency_key for run in submitted(backend)] == ["schedule/2026-11-26T16:59:00Z"]


@pytest.mark.parametrize(("late_s", "runs"), [(LATE_S, 1), (LATE_S + 1, 0)])
def test_what_was_missed_by_more_than_five_minutes_is_not_made_up_for(backend, clock, late_s, runs):
    backend.store.put_release(released("cron(0 9 * * ? *)"))
    one = scheduling(backend, clock)
    clock.at += 9 + late_s  # asleep from shortly before nine; a second is the last look's own
    one.look()
    assert len(submitted(backend)) == runs


def test_a_predictor_that_needs_inputs_takes_its_first_example(backend, clock):
    needs = {**SCHEMA, "properties": {"days": {"type": "integer"}}, "required": ["days"]}
    backend.store.put_release(released("rate(1 minute)", needs, ({"days": 3}, {"days": 4})))
    one = scheduling(backend, clock)
    clock.at += 10
    one.look()
    assert submitted(backend)[0].inputs == {"days": 3}


def test_a_store_that_fails_is_asked_again_and_the_time_is_not_lost(backend, clock, monkeypatch):
    backend.store.put_release(released("rate(1 minute)"))
    one = scheduling(backend, clock)
    clock.at += 10
    submit = backend.store.submit

    def fails(runs):
        raise BackendError("The disk is busy.")

    monkeypatch.setattr(backend.store, "submit", fails)
    assert one.look() == RETRY_S
    monkeypatch.setattr(backend.store, "submit", submit)
    clock.at += RETRY_S
    one.look()
    assert [run.idempotency_key for run in submitted(backend)] == ["schedule/2026-11-26T09:00:00Z"]


def test_a_full_queue_costs_this_time_and_says_so(backend, clock, caplog):
    release = released("rate(1 minute)")
    backend.store.put_release(replace(release, details={"limits": {"queue_per_user": 1}}))
    one = scheduling(backend, clock)
    for _ in range(2):
        clock.at += 60
        with caplog.at_level(logging.ERROR):
            one.look()
    assert len(submitted(backend)) == 1
    assert "The schedule of plan could not submit a run" in caplog.text


def test_before_the_first_release_nothing_is_done(backend, clock):
    assert scheduling(backend, clock).look() == SCHEDULE_LOOK_S


def test_the_thread_submits_and_ends(backend, clock):
    backend.store.put_release(released("rate(1 minute)"))
    one = scheduling(backend, clock)
    clock.at += 10
    one.start()
    try:
        wait_until(lambda: submitted(backend))
    finally:
        one.stop()
    assert "matinee-schedules" not in [thread.name for thread in threading.enumerate()]


def test_a_scheduled_run_is_worked_off_as_any_other(write_app, clock):
    source = """
        from matinee import batch

        @batch(schedule="cron(0 9 * * ? *)")
        def report(days: int = 7) -> str:
            print("reporting")
            return f"{days} days"
    """
    project = load(write_app(report=source))
    with LocalHost(project) as host:
        host.reload(project)
        schedules = Scheduling(host.backend, host.settings, clock=clock)
        clock.at += 10
        schedules.look()
        (run,) = submitted(host.backend)
        client = Client(host.backend, host.settings, "ada", owner=True)
        done = client.wait(run.id, timeout_s=30)
        assert (done.status, client.result(done), done.user) == ("succeeded", "7 days", "schedule")
        assert [line.message for line in client.logs(run.id)] == ["reporting"]
