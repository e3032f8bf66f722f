from __future__ import annotations

import pytest

from matinee.errors import ConflictError
from matinee.runs import (
    MAX_LOSSES,
    Entry,
    Failure,
    Feedback,
    Run,
    Status,
    cancelled,
    claim,
    evolve,
    fail,
    first_run_id,
    lose,
    new_run_id,
    next_fair_share_rank,
    release,
    request_cancel,
    succeed,
)

NOW = 1000.0
NO = Failure("exception", "No.")
TRANSITIONS = {
    "claim": lambda run, entry: claim(run, entry, owner="me", version="v1", now=NOW),
    "succeed": lambda run, entry: succeed(run, result=1, now=NOW),
    "fail": lambda run, entry: fail(run, entry, failure=NO, now=NOW, retries=0, delay_s=5),
    "retry": lambda run, entry: fail(run, entry, failure=NO, now=NOW, retries=1, delay_s=5),
    "release": lambda run, entry: release(run, entry, now=NOW),
    "lose": lambda run, entry: lose(run, entry, now=NOW),
    "request_cancel": lambda run, entry: request_cancel(run, entry, now=NOW),
    "cancelled": lambda run, entry: cancelled(run, now=NOW),
}
LEGAL = {
    ("claim", "queued"): "running",
    ("succeed", "running"): "succeeded",
    ("fail", "running"): "failed",
    ("retry", "running"): "queued",
    ("release", "running"): "queued",
    ("lose", "running"): "queued",
    ("request_cancel", "queued"): "cancelled",
    ("request_cancel", "running"): "running",
    ("cancelled", "queued"): "cancelled",
    ("cancelled", "running"): "cancelled",
}


def a_run(status, **changes):
    run = Run("id", "plan", "batch", "ana", Status(status), None, NOW, attempt=1, owner="me", rev=4)
    return evolve(run, **changes)


def an_entry(**changes):
    return evolve(Entry("plan", "id", "ana", 7, NOW, owner="me", attempt=1, rev=9), **changes)


@pytest.mark.parametrize("status", [status.value for status in Status])
@pytest.mark.parametrize("name", TRANSITIONS)
def test_a_transition_is_legal_from_these_states_only(name, status):
    if (name, status) not in LEGAL:
        with pytest.raises(ConflictError, match=f"Run id is {status}"):
            TRANSITIONS[name](a_run(status), an_entry())
        return
    run = a_run(status)
    change = TRANSITIONS[name](run, an_entry())
    assert change.before is run
    assert change.after.status == LEGAL[name, status]
    assert change.recorded.rev == run.rev + 1
    assert (change.entry is None) == change.after.status.is_final, "a finished run, and no other, leaves the queue"
    assert change.wake == (change.after.status is Status.QUEUED), "whatever becomes due wakes the pool"
    assert change.is_claim == (name == "claim")


@pytest.mark.parametrize("name", ["retry", "release", "lose"])
def test_a_run_whose_cancel_was_requested_is_cancelled_instead_of_queued(name):
    change = TRANSITIONS[name](a_run("running", cancel_requested=True), an_entry(cancel_requested=True))
    assert (change.after.status, change.entry) == (Status.CANCELLED, None)


def test_a_claim_grows_the_attempt_and_moves_the_pools_turn():
    change = TRANSITIONS["claim"](a_run("queued", failure=NO), an_entry(owner=""))
    assert (change.after.attempt, change.entry.attempt, change.fair_share_rank) == (2, 2, 7)
    assert (change.after.owner, change.entry.owner, change.after.failure) == ("me", "me", None)


def test_what_a_run_spends():
    spent = {
        name: (change.after.failures, change.after.losses)
        for name in ("retry", "release", "lose", "fail")
        for change in [TRANSITIONS[name](a_run("running"), an_entry())]
    }
    assert spent == {"retry": (1, 0), "release": (0, 0), "lose": (0, 1), "fail": (1, 0)}


def test_retries_and_losses_are_counted_apart():
    run = a_run("running", losses=MAX_LOSSES - 1, failures=1)
    assert fail(run, an_entry(), failure=NO, now=NOW, retries=2, delay_s=1).after.status is Status.QUEUED
    assert lose(run, an_entry(), now=NOW).after.status is Status.FAILED


def test_inputs_that_do_not_fit_are_not_tried_again():
    wrong = Failure("invalid_input", "No.")
    assert (
        fail(a_run("running"), an_entry(), failure=wrong, now=NOW, retries=9, delay_s=1).after.status is Status.FAILED
    )


def test_a_finished_run_knows_its_duration():
    run = succeed(a_run("running", started_at=NOW - 3), result=1, now=NOW).after
    assert run.duration_s == 3
    assert a_run("running").duration_s is None


def test_a_newcomers_turn_is_the_one_being_served():
    assert next_fair_share_rank(pool_rank=41, users_last_rank=0) == 42
    assert next_fair_share_rank(pool_rank=41, users_last_rank=1041) == 1042


def test_run_ids_sort_by_time_and_within_a_millisecond():
    ids = [new_run_id() for _ in range(5000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 5000
    assert {len(one) for one in ids} == {26}
    assert new_run_id(1.0) < new_run_id(2.0) < ids[0]


def test_evolve_copies_and_leaves_the_original():
    run = a_run("queued")
    assert evolve(run, rev=5) == a_run("queued", rev=5)
    assert run.rev == 4


def test_the_first_id_of_a_time_parts_runs_made_before_from_runs_made_since():
    assert new_run_id(NOW - 0.001) < first_run_id(NOW) <= new_run_id(NOW) < first_run_id(NOW + 0.001)
    assert first_run_id(-1) == "0" * 26


@pytest.mark.parametrize(
    ("rating", "scale", "score"),
    [(1, "thumbs", 1), (-1, "thumbs", 0), (1, "stars", 0), (4, "stars", 0.75), (None, "stars", None)],
)
def test_a_rating_has_a_score_whatever_its_scale(rating, scale, score):
    assert Feedback("run", "ana", rating, scale=scale).score == score
