"""The dataclass is the one place that names the fields of a run: one that is added there is everywhere."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import matinee
from matinee.dataclass_json import from_json, schema_of, to_json
from matinee.ports import LogLine
from matinee.runs import Failure, Feedback, Progress, Run, Status

AFTER = "    cancel_requested: bool = False\n    warning"
ADDED = "    cancel_requested: bool = False\n    cost_usd: float | None = None\n    warning"
SEEN = """
import json, sys
from dataclasses import replace
from matinee.api.openapi import own
from matinee.api.responses import run_json
from matinee.backends.aws.store_items import run_from, run_item
from matinee.backends.local.store import SqliteStore
from matinee.cli import output as render
from matinee.client.remote import _run
from matinee.testing.store_contract_runs import a_run

run = replace(a_run(), cost_usd=0.25)
store = SqliteStore(sys.argv[1])
store.submit([run])
shown = run_json(run)
print(json.dumps({
    "sqlite": store.run(run.id).cost_usd,
    "dynamodb": run_from(run_item(run, 1)).cost_usd,
    "api": shown["cost_usd"],
    "document": own()["Run"]["properties"]["cost_usd"],
    "remote": _run(shown).cost_usd,
    "cli": render.run_json(run)["cost_usd"],
}))
"""


def test_a_field_that_is_added_to_run_is_everywhere(tmp_path):
    """In a copy of the package with one line more, in one file."""
    copy = tmp_path / "matinee"
    shutil.copytree(Path(matinee.__file__).parent, copy)
    source = (copy / "runs.py").read_text("utf-8")
    assert AFTER in source
    (copy / "runs.py").write_text(source.replace(AFTER, ADDED), "utf-8")
    command = [sys.executable, "-c", SEEN, str(tmp_path / "state.db")]
    done = subprocess.run(command, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    document = {"type": ["number", "null"]}
    everywhere = dict.fromkeys(("sqlite", "dynamodb", "api", "remote", "cli"), 0.25)
    assert json.loads(done.stdout) == {**everywhere, "document": document}


@pytest.mark.parametrize(
    "value",
    [
        Run("id", "plan", "batch", "ana", Status.FAILED, None, 1.5, failure=Failure("crash", "It ended.")),
        Run("id", "plan", "realtime", "ana", Status.RUNNING, None, 1, started_at=2.25, cancel_requested=True),
        Feedback("id", "ana", None, "ä", {"a": [1]}, 3.0, "stars"),
        Progress(None, "starting"),
        LogLine(1.0, "INFO", "hello", fields={"a": 1}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_written_is_read_as_it_was_and_fits_its_schema(value):
    from jsonschema import validate

    shown = json.loads(json.dumps(to_json(value)))
    validate(shown, {**schema_of(type(value)), "additionalProperties": False})
    assert from_json(type(value), json.loads(json.dumps(to_json(value, internal=True)))) == value


def test_callers_get_no_field_that_is_internal():
    shown = to_json(Run("id", "plan", "batch", "ana", Status.QUEUED, {"secret": 1}, 1.0, owner="token"))
    internal = {"inputs", "result", "parent", "idempotency_key", "failures", "losses", "owner", "cold_start", "rev"}
    assert internal.isdisjoint(shown)
    assert internal.isdisjoint(schema_of(Run)["properties"])


def test_an_unknown_field_is_left_out_and_a_missing_one_has_its_default():
    assert from_json(Progress, {"fraction": 0.5, "of_a_newer_matinee": 1}) == Progress(0.5)


@pytest.mark.parametrize(
    "data",
    [
        {"run_id": 1, "user": "ana", "rating": 1},
        {"run_id": "r", "user": "ana", "rating": "good"},
        {"run_id": "r", "user": "ana", "rating": 1, "scale": "hearts"},
        {"run_id": "r", "user": "ana", "rating": 1, "updated_at": None},
        {"run_id": "r"},
    ],
)
def test_a_value_that_is_none_of_the_field_s_is_refused(data):
    with pytest.raises((ValueError, TypeError)):
        from_json(Feedback, data)
