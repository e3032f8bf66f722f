"""Who sees and changes what, by every method of the client."""

from __future__ import annotations

import json

import pytest

from matinee.errors import AccessError, InputError, NotFoundError
from matinee.ports import RunQuery
from matinee.runs import Status

BIG = "x" * 10_000  # travels through Files
METHODS = {
    "run": lambda client, run: client.run(run.id),
    "see": lambda client, run: client.see(run),
    "entry": lambda client, run: client.entry(run),
    "inputs": lambda client, run: client.inputs(run),
    "result": lambda client, run: client.result(run),
    "logs": lambda client, run: client.logs(run.id),
    "wait": lambda client, run: client.wait(run.id, timeout_s=0),
    "is_shared": lambda client, run: client.is_shared(run.id),
    "feedback": lambda client, run: client.feedback(run.id, 1, "good"),
    "feedback_of": lambda client, run: client.feedback_of(run.id),
    "share": lambda client, run: client.share(run.id),
    "unshare": lambda client, run: client.unshare(run.id),
    "cancel": lambda client, run: client.cancel(run.id),
}
OF_ITS_PERSON = ("share", "unshare", "cancel")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize(("who", "sees"), [("ada", True), ("ben", False), ("olga", True)])
def test_who_may_what_with_adas_run(people, method, is_shared, who, sees):
    run = people["ada"].submit("later", {"value": BIG})
    if is_shared:
        people["ada"].share(run.id)
    if sees:
        METHODS[method](people[who], run)
    elif is_shared and method in OF_ITS_PERSON:
        with pytest.raises(AccessError, match="only shared with you"):
            METHODS[method](people[who], run)
        assert people["ada"].run(run.id).status is Status.QUEUED
    elif is_shared:
        METHODS[method](people[who], run)
    else:
        with pytest.raises(NotFoundError) as refused:
            METHODS[method](people[who], run)
        with pytest.raises(NotFoundError) as missing:
            people[who].run("nothing")
        assert str(refused.value).replace(run.id, "ID") == str(missing.value).replace("nothing", "ID")


def test_a_run_that_is_no_longer_shared_is_gone_again(people):
    run = people["ada"].submit("later", {"value": 1})
    people["ada"].share(run.id)
    assert people["ben"].is_shared(run.id)
    people["ada"].unshare(run.id)
    with pytest.raises(NotFoundError):
        people["ben"].run(run.id)


def test_lists_hold_ones_own_runs_and_an_owners_list_everybodys(people):
    for name in ("ada", "ben"):
        people[name].predict("now", {"value": name})
    assert {run.user for run in people["ada"].runs(RunQuery())} == {"ada"}
    assert people["ada"].runs(RunQuery(user="ben")) == []
    assert {run.user for run in people["olga"].runs(RunQuery())} == {"ada", "ben"}
    assert {run.user for run in people["olga"].runs(RunQuery(user="ben"))} == {"ben"}


def test_feedback_of_others_is_the_owners_to_see(people):
    run = people["ada"].predict("now", {"value": 1})
    people["ada"].share(run.id)
    people["ada"].feedback(run.id, 1)
    people["ben"].feedback(run.id, -1, "hm")
    assert [f.user for f in people["ada"].feedback_of(run.id)] == ["ada"]
    assert [f.user for f in people["ben"].feedback_of(run.id)] == ["ben"]
    assert {f.user for f in people["olga"].feedback_of(run.id)} == {"ada", "ben"}


def test_where_it_failed_is_the_owners_to_see(people):
    run = people["ada"].predict("now", {"value": "fail"})
    assert run.failure.message
    assert run.failure.traceback == "" == people["ada"].run(run.id).failure.traceback
    assert people["ada"].runs(RunQuery())[0].failure.traceback == ""
    assert "secret.py" in people["olga"].run(run.id).failure.traceback


def test_the_same_key_of_another_person_is_another_run(people):
    runs = [people[name].submit("later", {"value": 1}, idempotency_key="k") for name in ("ada", "ben", "ada")]
    assert runs[0].id == runs[2].id != runs[1].id


# --- files ------------------------------------------------------------------------------------------------------


def uploaded(client):
    return client.upload(b"\x00" * 300_000, "image/png", "digit.png")


def test_an_upload_is_read_by_who_made_it_and_by_the_owner(people):
    blob = uploaded(people["ada"])
    assert len(people["ada"].read_blob(blob)) == len(people["olga"].read_blob(blob)) == 300_000
    with pytest.raises(NotFoundError):
        people["ben"].read_blob(blob)


@pytest.mark.parametrize("wrap", [lambda blob: blob, lambda blob: [{"deep": [blob]}]])
@pytest.mark.parametrize("change", [{}, {"run": "RUN"}, {"base64x": "1"}])
def test_an_input_refers_to_ones_own_files_alone(people, wrap, change):
    blob = uploaded(people["ada"])
    run = people["ada"].predict("now", {"value": blob})
    stolen = wrap({**blob, **{name: run.id if text == "RUN" else text for name, text in change.items()}})
    for attempt in (
        lambda: people["ben"].predict("now", {"value": stolen}),
        lambda: people["ben"].submit("later", {"value": stolen}),
        lambda: people["ben"].submit_many("later", [{"value": 1}, {"value": stolen}]),
    ):
        with pytest.raises(InputError, match="value: refers to a file that is not yours"):
            attempt()
    assert people["ben"].runs(RunQuery()) == []
    own = people["ben"].predict("now", {"value": 1})
    with pytest.raises(InputError, match="corrected: refers to a file"):
        people["ben"].feedback(own.id, corrected=stolen)


@pytest.mark.parametrize(
    "key",
    [
        "inputs/now/RUN.json",
        "inputs/now/RUN/0.png",
        "inputs/RUN.json",
        "results/RUN/1.json",
        "uploads/../inputs/RUN.json",
        "state.db",
        "",
    ],
)
def test_no_key_leads_to_what_others_gave_or_got(people, key):
    run = people["ada"].predict("now", {"value": BIG})
    blob = {"$blob": "application/json", "name": "x", "key": key.replace("RUN", run.id), "run": run.id}
    with pytest.raises(NotFoundError):
        people["ben"].read_blob(blob)
    with pytest.raises(InputError):
        people["ben"].predict("now", {"value": blob})
    with pytest.raises(InputError):
        people["ben"].submit("later", {"value": {"$rows": {"key": blob["key"], "total": 1}}})


def test_a_payload_cannot_be_given_in_place_of_the_inputs(people):
    run = people["ada"].predict("now", {"value": BIG})
    for name in ("ben", "ada"):
        with pytest.raises(InputError):
            people[name].predict("now", {"$payload": f"inputs/{run.id}.json"})


def test_a_result_made_of_what_was_typed_leads_to_no_file_of_others(people):
    run = people["ada"].predict("now", {"value": BIG})
    told = json.dumps({"$payload": f"results/{run.id}/1.json"})
    echoed = people["ben"].predict("now", {"value": {"echo": told}})
    assert people["ben"].result(echoed) == json.loads(told), "as it is, not what it points to"
    assert people["olga"].result(people["olga"].run(echoed.id)) == json.loads(told)


def test_a_shared_run_is_run_again_with_its_files(people):
    run = people["ada"].predict("now", {"value": [uploaded(people["ada"])]})
    people["ada"].share(run.id)
    inputs = people["ben"].inputs(people["ben"].run(run.id))
    assert len(people["ben"].read_blob(inputs["value"][0])) == 300_000
    again = people["ben"].predict("now", inputs)
    people["ada"].unshare(run.id)
    kept = people["ben"].inputs(people["ben"].run(again.id))
    assert len(people["ben"].read_blob(kept["value"][0])) == 300_000, "it is part of a run of theirs"
    with pytest.raises(NotFoundError):
        people["ben"].read_blob(inputs["value"][0])


def test_ones_own_result_is_an_input_of_the_next_prediction(people, backend):
    run = people["ada"].predict("now", {"value": 1})
    key = f"results/{run.id}/1/0-out.png"
    backend.files.put(key, b"out")
    blob = {"$blob": "image/png", "name": "out.png", "key": key}
    assert people["ada"].predict("now", {"value": blob}).status is Status.SUCCEEDED
    with pytest.raises(InputError):
        people["ben"].predict("now", {"value": blob})
