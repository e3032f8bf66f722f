"""The dispatcher's handler: what each event has it do."""

from __future__ import annotations

import json
import os
import time

import pytest

from matinee.errors import BackendError
from matinee.queue import dispatch as queue_dispatch
from matinee.runs import Run, Status, evolve, new_run_id
from matinee.runtime import dispatcher as runtime_dispatcher

NOW = 1_800_000_000.0
TICK = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}


def submit(dispatcher, predictor="plan"):
    run = Run(new_run_id(), predictor, "batch", "ada", Status.QUEUED, {}, created_at=time.time())
    dispatcher.backend.store.submit([run])
    return run


def stopped(group):
    """What EventBridge says when an ECS task has ended, as in AWS's own example."""
    detail = {"lastStatus": "STOPPED", "desiredStatus": "STOPPED", "group": group, "startedBy": "token"}
    return {"source": "aws.ecs", "detail-type": "ECS Task State Change", "detail": detail}


def test_a_poke_launches_a_worker_for_the_pool_it_names_alone(dispatcher, launcher, release):
    dispatcher.backend.store.put_release(release)
    submit(dispatcher, "plan")
    submit(dispatcher, "train")
    done = dispatcher.act({"predictor": "plan"}, NOW)
    assert [(slot.predictor, slot.version) for slot in launcher.launched] == [("plan", "hash")]
    assert done["pools"] == [{"predictor": "plan", "launched": 1, "note": "", "next_due_at": None}]
    assert dispatcher.act({"predictor": "plan"}, NOW)["pools"][0]["launched"] == 0, "a repeated poke does no more"


def test_as_many_workers_as_the_release_allows(dispatcher, launcher, release):
    dispatcher.backend.store.put_release(release)
    for _ in range(5):
        submit(dispatcher)
    dispatcher.act({"predictor": "plan"}, NOW)
    assert len(launcher.launched) == 2


def test_correction_15_a_stopped_task_frees_its_slot_and_is_followed_by_another(dispatcher, launcher, release):
    dispatcher.backend.store.put_release(release)
    submit(dispatcher)
    dispatcher.act({"predictor": "plan"}, NOW)
    token = launcher.launched[0].token
    dispatcher.backend.store.update_slot(evolve(launcher.launched[0], renewed_at=NOW))
    launcher.ended[token] = "AWS took its Spot capacity back"
    done = dispatcher.act(stopped("matinee:plan"), NOW)
    assert [pool["predictor"] for pool in done["pools"]] == ["plan"]
    assert [slot.token == token for slot in launcher.launched] == [True, False]


JOB = {"source": "aws.batch", "detail-type": "Batch Job State Change", "detail": {"status": "FAILED"}}


@pytest.mark.parametrize("event", [stopped("family:something"), JOB, {}, None, []], ids=str)
def test_an_event_that_names_no_predictor_has_every_pool_looked_at(dispatcher, launcher, release, event, monkeypatch):
    dispatcher.backend.store.put_release(release)
    submit(dispatcher, "plan")
    submit(dispatcher, "train")
    monkeypatch.setattr(runtime_dispatcher, "_open", lambda: dispatcher)
    runtime_dispatcher.handler(event, None)
    assert {slot.predictor for slot in launcher.launched} == {"plan", "train"}


def test_the_backstop_looks_at_every_pool(dispatcher, launcher, release):
    dispatcher.backend.store.put_release(release)
    submit(dispatcher, "plan")
    submit(dispatcher, "train")
    done = dispatcher.act(TICK, NOW)
    assert {pool["predictor"]: pool["launched"] for pool in done["pools"]} == {"plan": 1, "train": 1}
    assert "tell_next_at" in done, "and then people are told what has ended"


def test_a_worker_that_cannot_start_leaves_the_run_queued_and_says_why(dispatcher, launcher, release):
    dispatcher.backend.store.put_release(release)
    run = submit(dispatcher)
    launcher.broken = "AWS has no Fargate capacity at the moment."
    done = dispatcher.act({"predictor": "plan"}, NOW)
    assert "no Fargate capacity" in done["pools"][0]["note"]
    assert "no Fargate capacity" in dispatcher.backend.store.pool("plan").note
    assert dispatcher.backend.store.run(run.id).status is Status.QUEUED
    launcher.broken = ""
    assert dispatcher.act(TICK, NOW + 60)["pools"][0] | {"next_due_at": None} == {
        "predictor": "plan",
        "launched": 1,
        "note": "",
        "next_due_at": None,
    }


def test_correction_15_a_scheduled_time_submits_one_run_however_often_it_is_said(dispatcher, launcher, release):
    dispatcher.backend.store.put_release(release)
    event = {"predictor": "plan", "scheduled": "2026-11-23T08:00:00Z"}
    first = dispatcher.act(event, NOW)["submitted"]
    assert dispatcher.act(event, NOW)["submitted"] == first
    second = dispatcher.act({**event, "scheduled": "2026-11-23T09:00:00Z", "inputs": {"days": 3}}, NOW)["submitted"]
    store = dispatcher.backend.store
    assert [entry.run_id for entry in store.entries("plan")] == [first, second]
    assert (store.run(first).inputs, store.run(second).inputs) == ({"days": 7}, {"days": 3})
    assert store.run(first).user == "schedule"
    assert len(launcher.launched) == 2


def test_a_schedule_whose_inputs_do_not_fit_says_so_and_is_not_repeated(dispatcher, launcher, release):
    dispatcher.backend.store.put_release(release)
    event = {"predictor": "plan", "scheduled": "2026-11-23T08:00:00Z", "inputs": {"days": "many"}}
    assert "days" in dispatcher.act(event, NOW)["submitted"]
    assert launcher.launched == []


def test_a_predictor_that_is_no_longer_part_of_the_app_says_so(dispatcher, launcher, release):
    dispatcher.backend.store.put_release(release)
    submit(dispatcher, "gone")
    assert "no longer part" in dispatcher.act(TICK, NOW)["pools"][0]["note"]
    assert "no longer part" in dispatcher.backend.store.pool("gone").note


def test_before_the_first_release_nothing_is_done(dispatcher):
    assert dispatcher.act(TICK, NOW) == {"note": "Nothing is live yet."}


def test_one_pool_that_cannot_be_looked_at_keeps_no_other_waiting(dispatcher, launcher, release, monkeypatch):
    dispatcher.backend.store.put_release(release)
    submit(dispatcher, "plan")
    submit(dispatcher, "train")
    real = queue_dispatch.dispatch

    def dispatch(store, launcher, predictor, **more):
        if predictor == "plan":
            raise BackendError("The table is asked too often.")
        return real(store, launcher, predictor, **more)

    monkeypatch.setattr(runtime_dispatcher, "dispatch", dispatch)
    with pytest.raises(BackendError, match=r"plan: The table is asked too often"):  # AWS calls again
        dispatcher.act(TICK, NOW)
    assert [slot.predictor for slot in launcher.launched] == ["train"]


def test_the_handler_opens_what_its_environment_names_once(on_aws, monkeypatch):
    runtime_dispatcher._open.cache_clear()
    opened = runtime_dispatcher._open()
    assert opened is runtime_dispatcher._open()
    assert opened.settings.function_prefix == "matinee-app-dev-"
    monkeypatch.setattr(type(opened.backend.store), "release", lambda _: None)
    assert runtime_dispatcher.handler(TICK, None) == {"note": "Nothing is live yet."}
    runtime_dispatcher._open.cache_clear()


def test_the_backstop_tells_how_long_the_oldest_queued_run_waits_in_the_line_that_a_metric_is_made_of(
    dispatcher, launcher, release, capsys
):
    dispatcher.backend.store.put_release(release)
    dispatcher.act(TICK, NOW)
    run = submit(dispatcher, "train")
    launcher.broken = "No capacity"
    dispatcher.act({"predictor": "train"}, run.created_at + 10)
    dispatcher.act(TICK, run.created_at + 90)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [{"event": "queues", "oldest_s": 0.0}, {"event": "queues", "oldest_s": 90.0}], "a poke says nothing"


def test_correction_11_the_mail_server_s_password_is_fetched_before_the_first_event(on_aws, monkeypatch):
    monkeypatch.setenv("MATINEE_SECRETS", "MATINEE_SMTP_PASSWORD=/matinee/app/dev/MATINEE_SMTP_PASSWORD")
    monkeypatch.setenv("MATINEE_SMTP_PASSWORD", "")
    monkeypatch.setattr(
        runtime_dispatcher, "fetch", lambda told: {"MATINEE_SMTP_PASSWORD": told["MATINEE_SECRETS"][-13:]}
    )
    runtime_dispatcher._open.cache_clear()
    runtime_dispatcher._open()
    assert os.environ["MATINEE_SMTP_PASSWORD"] == "SMTP_PASSWORD"
    runtime_dispatcher._open.cache_clear()
