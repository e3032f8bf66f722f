"""The part of the store's contract about values: what is read back is what was put, or it was refused."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from matinee.errors import UsageError
from matinee.ports import Store
from matinee.runs import Failure, Feedback, Progress, fail, new_run_id, succeed
from matinee.testing.store_samples import NOW, a_run, claimed

EXACT: list[Any] = [
    "",
    "ünïcode 日本 🎭 \x00\t\n",
    "half a pair: \ud83d",
    0.1 + 0.2,
    1e308,
    5e-324,
    -1.7976931348623157e308,
    3.0,
    2**53 + 1,
    -(2**63),
    10**40,
    True,
    False,
    [],
    {},
    [None, [], {}, "", 0, 0.0, False],
    {"": {"": ""}, "ключ": [1.5, -2, None], "a.b#c:d": {"N": "1"}},
]


def _with_types(value: Any) -> Any:
    """Return a value that differs where `==` does not see it: 1, 1.0 and True."""
    if isinstance(value, dict):
        return {key: _with_types(inner) for key, inner in value.items()}
    return [_with_types(inner) for inner in value] if isinstance(value, list) else (type(value), value)


class ExactContract:
    """Numbers, texts and sizes."""

    @pytest.mark.parametrize("value", EXACT, ids=ascii)
    def test_a_value_is_read_back_exactly(self, store: Store, value: Any) -> None:
        run = a_run(inputs={"value": value})
        store.submit([run])
        running, _ = claimed(store, run)
        assert store.apply(succeed(running, result=value, now=NOW))
        store.state_set("key", value)
        store.put_document("kind", "key", value)
        finished = store.run(run.id)
        assert finished is not None
        read = [finished.inputs["value"], finished.result, store.state_get("key"), store.document("kind", "key")]
        assert _with_types(read) == [_with_types(value)] * 4

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_what_json_cannot_carry_is_refused_in_a_sentence(self, store: Store, value: float) -> None:
        run = a_run()
        store.submit([run])
        running, _ = claimed(store, run)
        with pytest.raises(UsageError, match="JSON"):
            store.submit([a_run(inputs={"x": [value]})])
        with pytest.raises(UsageError, match="JSON"):
            store.apply(succeed(running, result=value, now=NOW))
        with pytest.raises(UsageError, match="JSON"):
            store.state_set("key", {"x": value})
        with pytest.raises(UsageError, match="JSON"):
            store.put_document("kind", "key", value)
        assert (store.run(run.id), store.state_get("key"), store.documents("kind")) == (running, None, {})
        assert len(store.entries("plan")) == 1

    def test_a_large_value_is_kept(self, store: Store) -> None:
        text = "ü" * 190_000
        store.state_set("key", text)
        store.put_document("kind", "key", text)
        run = a_run(inputs=text)
        store.submit([run])
        kept = store.run(run.id)
        assert kept is not None
        assert (kept.inputs, store.state_get("key"), store.document("kind", "key")) == (text, text, text)

    def test_keys_and_names_are_any_text(self, store: Store) -> None:
        names = ["", "a#b", "a", "#", "ü🎭", "with space\n", "half \ud83d", "l" * 500]
        for name in names:
            store.state_set(name, name)
            store.put_document("kind", name, name)
            store.put_feedback(Feedback("run", name.replace("\ud83d", "?"), 1, comment=name))
        assert [store.state_get(name) for name in names] == names
        assert [store.document("kind", name) for name in names] == names
        assert sorted(feedback.comment for feedback in store.feedback("run")) == sorted(names)

    def test_users_of_any_name_have_their_own_runs(self, store: Store) -> None:
        users = ["", "a#b", "a", "U#a", "ü🎭", "l" * 500]
        runs = [a_run(user, idempotency_key=user + "key", id=new_run_id()) for user in users]
        assert store.submit(runs) == runs
        assert store.submit([replace(run, id=new_run_id()) for run in runs]) == runs
        assert [store.unfinished(user) for user in users] == [1] * len(users)

    def test_times_and_progress_are_exact(self, store: Store) -> None:
        run = a_run(created_at=NOW + 0.1234567, id=new_run_id(NOW))
        store.submit([run])
        running, leased = claimed(store, run, now=NOW + 1 / 3)
        assert (store.run(run.id), store.entry("plan", run.id)) == (running, leased)
        renewed = store.heartbeat(leased, visible_at=NOW + 200 / 3, progress=Progress(1 / 3, "a\tthird 🎭"))
        assert renewed is not None
        assert (renewed.visible_at, renewed.progress) == (NOW + 200 / 3, Progress(1 / 3, "a\tthird 🎭"))
        assert store.entry("plan", run.id) == renewed
        failure = Failure("exception", "Nö.", hint="", traceback="line\n" * 2000)
        change = fail(running, renewed, failure=failure, now=NOW, retries=0, delay_s=0)
        assert store.apply(change)
        assert store.run(run.id) == change.recorded

    def test_counting_is_exact(self, store: Store) -> None:
        store.state_set("key", 10**37 - 1)
        assert store.state_increment("key", 10**37 - 1) == 2 * 10**37 - 2
        store.state_set("key", 10**40)
        assert store.state_increment("key", -1) == 10**40 - 1
        store.state_set("key", 0.1)
        assert store.state_increment("key", 0.2) == 0.1 + 0.2
        store.state_set("key", 1)
        assert store.state_increment("key", 0.5) == 1.5
        total = store.state_increment("key", 0.5)
        assert (total, type(total)) == (2.0, float)
        assert type(store.state_increment("key", 1)) is float
        store.state_set("key", None)
        assert store.state_increment("key", 5) == 5
