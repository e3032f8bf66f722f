"""What a running predictor reaches: other predictors, shared state, progress; with a real store and service."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from matinee.errors import InputError, NotFoundError, PredictionError
from matinee.manifest import Release, component_from_json
from matinee.predictors.context import Context
from matinee.runtime.execute import RuntimeBinding, backend


@pytest.fixture
def bound(call, manifest):
    """Return a binding on an app in which `greet`, `fail` and `who` are live."""
    for name, inputs in {"greet": {"name": "Ada"}, "fail": {"how": "x"}, "who": {}}.items():
        call(name, inputs)
    component = component_from_json(json.loads(manifest.read_text()))
    store = backend(call.settings).store
    store.put_release(Release("tiny", "Tiny", 1, time.time(), (component,)))
    return RuntimeBinding(call.settings, Context(run_id="R0", user="ada"))


def test_a_call_returns_a_read_only_record(bound):
    greeting = bound.call("greet", {"name": "Ada"})
    assert greeting.text == "Hello Ada"
    with pytest.raises(Exception, match=r"read-only|immutable|cannot"):
        greeting.text = "Bye"


def test_a_nested_run_carries_its_parent_and_user(bound):
    run_id, user, *_ = bound.call("who", {})
    recorded = backend(bound._settings).store.run(run_id)
    assert (recorded.parent, recorded.user, user) == ("R0", "ada", "ada")


def test_map_answers_in_the_rows_order(bound):
    texts = [g.text for g in bound.map("greet", [{"name": str(n)} for n in range(8)])]
    assert texts == [f"Hello {n}" for n in range(8)]
    assert bound.map("greet", []) == []


def test_a_failure_of_the_other_predictor_is_a_prediction_error(bound):
    with pytest.raises(PredictionError, match="fail raised ValueError: no such thing"):
        bound.call("fail", {"how": "raise"})


def test_wrong_inputs_and_names_are_said(bound):
    with pytest.raises(InputError):
        bound.call("greet", {"name": 1})
    with pytest.raises(NotFoundError):
        bound.call("nobody", {})


def test_state_is_the_stores(bound):
    bound.state_set("a", [1])
    assert bound.state_get("a") == [1]
    assert bound.state_swap("a", [1], [2])
    assert not bound.state_swap("a", [1], [3])
    assert bound.state_increment("n", 2) == 2
    assert backend(bound._settings).store.state_get("a") == [2]


def test_progress_goes_to_who_asked_for_it(call):
    told = []
    RuntimeBinding(call.settings, Context(), report=lambda *report: told.append(report)).report(0.5, "half")
    RuntimeBinding(call.settings, Context()).report(0.5, "nobody asked")
    assert told == [(0.5, "half")]


def test_a_binding_opens_nothing_before_it_is_used():
    code = (
        "import sys; from matinee.runtime.execute import RuntimeBinding; "
        "from matinee.predictors.context import Context;"
        "RuntimeBinding(None, Context()); loaded = set(sys.modules);"
        "assert not loaded & {'sqlite3', 'matinee.client', 'matinee.ports', 'concurrent.futures', 'pathlib'}, loaded"
    )
    subprocess.run(
        [sys.executable, "-S", "-c", code], check=True, env={"PYTHONPATH": ":".join(p for p in sys.path if p)}
    )
