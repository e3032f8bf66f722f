"""Predict, submit, submit many: answers, refusals, idempotency, limits, and predictions that outlast a request."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from matinee.runs import Status
from matinee.testing.harness import wait_until

PROBLEM = "application/problem+json"


@pytest.fixture
def limits(host):
    """Set `[limits]` of what is live for one test."""
    live = host.backend.store.release()

    def put(**limits):
        kept = {**live.details["limits"], **limits}
        host.publish(replace(live, details={**live.details, "limits": kept}))

    yield put
    host.publish(live)


def finished(caller, run_id):
    def look():
        run = caller.get(f"/runs/{run_id}").json()
        return run if Status(run["status"]).is_final else None

    return wait_until(look, what="the end of the run")


def test_the_predictors_are_listed_with_their_schemas(ada):
    app = ada.get("/predictors").json()
    assert (app["app"], app["title"], app["user"], app["role"]) == ("tiny", "Tiny", "ada", "user")
    assert [p["name"] for p in app["predictors"]] == ["greet", "shout", "greet_all"]
    assert ada.get("/predictors/greet").json() == app["predictors"][0]
    assert app["predictors"][0]["parameters"]["required"] == ["name"]


def test_a_prediction_answers_with_its_run_and_result(ada):
    answer = ada.post("/predictors/greet/predict", json={"name": "Ada"})
    said = answer.json()
    assert (answer.status_code, said["status"], said["result"]["text"]) == (200, "succeeded", "Hello, Ada!")
    assert answer.headers["matinee-run"] == said["id"]
    assert ada.get(f"/runs/{said['id']}").json() == {name: v for name, v in said.items() if name != "result"}
    assert ada.get(f"/runs/{said['id']}/inputs").json() == {"name": "Ada", "tone": "kind", "seconds": 0.0}
    assert ada.get(f"/runs/{said['id']}/result").json() == said["result"]


def test_inputs_that_do_not_fit_are_named_one_by_one(ada):
    answer = ada.post("/predictors/greet/predict", json={"tone": "rude", "nam": 1})
    assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM)
    assert {item["path"] for item in answer.json()["errors"]} == {"name", "tone", "nam"}


def test_a_predictor_that_fails_is_a_problem_with_its_run_and_no_traceback(ada, served):
    answer = ada.post("/predictors/greet/predict", json={"name": "trouble"})
    said = answer.json()
    assert (answer.status_code, said["kind"], said["run"]["status"]) == (500, "exception", "failed")
    assert "I do not greet trouble" in said["detail"]
    assert "Traceback" not in answer.text
    assert ada.get(f"/runs/{said['run']['id']}/result").status_code == 500
    assert ada.get(f"/runs/{said['run']['id']}").json()["failure"]["traceback"] == ""
    owner = served.as_("olga", owner=True).get(f"/runs/{said['run']['id']}").json()
    assert "ValueError" in owner["failure"]["traceback"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/predictors/greet_all/predict", 400),
        ("/predictors/greet/submit", 400),
        ("/predictors/grete/predict", 404),
        ("/predictors/grete/submit", 404),
        ("/nonsense", 404),
        ("/runs/nonsense/result", 404),
    ],
)
def test_what_is_not_there_or_of_another_kind_is_a_problem(ada, path, status):
    method = ada.get if "runs" in path or path == "/nonsense" else ada.post
    answer = method(path, json={}) if method == ada.post else method(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)
    assert answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b'{"name": NaN}', "application/json", 400),
        (b'{"name": "a", "seconds": 1e999}', "application/json", 400),
        (b'{"name": "\\ud800"}', "application/json", 400),
        (b'{"name": "\xff"}', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"1" * 5000, "application/json", 400),
        (b'{"name": "Ada"}', "text/plain", 415),
        (b'{"name": "Ada"}', "", 415),
        (b"[]", "application/json", 422),
        (b"null", "application/json", 422),
        (b'{"name": "Ada", "seconds": -1}', "application/json", 422),
    ],
)
def test_a_body_that_cannot_be_read_is_a_problem(ada, body, media_type, status):
    answer = ada.post("/predictors/greet/predict", content=body, headers={"Content-Type": media_type})
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)


def test_a_method_that_is_not_allowed_says_which_are(ada):
    answer = ada.delete("/runs/x/feedback")
    assert (answer.status_code, answer.headers["content-type"]) == (405, PROBLEM)
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "PUT"}


def test_an_unknown_query_parameter_is_named(ada):
    answer = ada.get("/runs?limits=3&limit=x&before=a&before=b")
    assert answer.status_code == 422
    assert [item["path"] for item in answer.json()["errors"]] == ["query.limits", "query.limit", "query.before"]


def test_a_body_over_the_limit_is_refused_with_the_limit(ada, limits):
    limits(upload_mb=0.1)
    answer = ada.post("/predictors/greet/predict", json={"name": "x" * 2_000_000})
    assert answer.status_code == 413
    assert "1.14 MB" in answer.json()["detail"]
    chunks = (b"x" * 100_000 for _ in range(20))  # no Content-Length
    headers = {"Content-Type": "application/json"}
    assert ada.post("/predictors/greet/predict", content=chunks, headers=headers).status_code == 413


# --- idempotency ------------------------------------------------------------------------------------------------------


def test_the_same_key_is_one_prediction_however_often_it_is_sent(ada, served):
    def predict(_):
        headers = {"Idempotency-Key": "k1"}
        return ada.post("/predictors/greet/predict", json={"name": "Ida", "seconds": 0.3}, headers=headers).json()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(predict, range(4)))
    assert len({answer["id"] for answer in answers}) == 1
    assert predict(0) == answers[0]
    other = served.as_("bo").post("/predictors/greet/predict", json={"name": "Bo"}, headers={"Idempotency-Key": "k1"})
    assert other.json()["result"]["text"] == "Hello, Bo!", "a key is its person's"


def test_the_same_key_is_one_run(ada):
    headers = {"Idempotency-Key": "k2"}
    first, second = (
        ada.post("/predictors/greet_all/submit", json={"names": ["Ada"]}, headers=headers) for _ in range(2)
    )
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["id"] == second.json()["id"]


def test_the_same_key_is_the_same_rows(ada):
    rows, headers = {"rows": [{"names": ["a"]}, {"names": ["b"]}]}, {"Idempotency-Key": "k3"}
    first, second = (ada.post("/predictors/greet_all/submit-many", json=rows, headers=headers) for _ in range(2))
    assert [run["id"] for run in first.json()["runs"]] == [run["id"] for run in second.json()["runs"]]


@pytest.mark.parametrize(
    ("path", "one", "other"),
    [
        ("/predictors/greet/predict", {"name": "a"}, {"name": "b"}),
        ("/predictors/greet_all/submit", {"names": ["a"]}, {"names": ["b"]}),
        ("/predictors/greet_all/submit-many", {"rows": [{"names": ["a"]}]}, {"rows": [{"names": ["b"]}]}),
    ],
)
def test_a_key_with_other_inputs_is_refused(ada, path, one, other):
    headers = {"Idempotency-Key": f"k4-{path[-5:]}"}
    assert ada.post(path, json=one, headers=headers).status_code < 300
    answer = ada.post(path, json=other, headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "Idempotency-Key")


def test_a_key_that_is_too_long_is_refused(ada):
    headers = {"Idempotency-Key": "k" * 201}
    assert ada.post("/predictors/greet/predict", json={"name": "a"}, headers=headers).status_code == 422


# --- longer than a request --------------------------------------------------------------------------------------------


def test_a_prediction_that_takes_longer_goes_on_and_its_run_is_found_at_once(serve):
    caller = serve(wait_s=0.05).as_("lena")
    answer = caller.post("/predictors/greet/predict", json={"name": "Lena", "seconds": 0.5})
    run = answer.json()
    assert (answer.status_code, run["status"], run["finished_at"]) == (202, "running", None)
    assert answer.headers["location"] == f"/api/v1/runs/{run['id']}"
    assert caller.get(f"/runs/{run['id']}").json()["status"] == "running"
    assert caller.get(f"/runs/{run['id']}/result").status_code == 409
    assert caller.post(f"/runs/{run['id']}/cancel").status_code == 409
    assert finished(caller, run["id"])["status"] == "succeeded"
    assert caller.get(f"/runs/{run['id']}/result").json()["text"] == "Hello, Lena!"


def test_nobody_else_sees_a_prediction_that_goes_on(served):
    told = {"predictor": "greet", "user": "lena", "created_at": time.time(), "deadline": time.time() + 60}
    served.store.put_document("prediction", "06goeson", told)
    callers = served.as_("lena"), served.as_("olga", owner=True), served.as_("bo")
    found = [caller.get("/runs/06goeson").status_code for caller in callers]
    served.store.put_document("prediction", "06goeson", None)
    assert found == [200, 200, 404]


def test_a_prediction_that_is_refused_late_is_recorded_as_failed(serve):
    served = serve(wait_s=0.0)
    caller = served.as_("lena")
    answer = caller.post("/predictors/greet/predict", json={"name": "Lena", "seconds": -1})
    assert answer.status_code in (202, 422)  # 422 when the predictor was quicker
    if answer.status_code == 202:
        run = finished(caller, answer.json()["id"])
        assert (run["status"], run["failure"]["kind"]) == ("failed", "invalid_input")
    assert wait_until(lambda: not served.store.documents("prediction"), what="an empty list") is True


def test_a_prediction_whose_process_died_is_lost_and_says_so(served, ada):
    told = {"predictor": "greet", "user": "ada", "created_at": 1.0, "deadline": 2.0}
    served.store.put_document("prediction", "06gone", told)
    run = ada.get("/runs/06gone").json()
    assert (run["status"], run["failure"]["kind"]) == ("failed", "lost")
    served.store.put_document("prediction", "06gone", None)


def test_the_event_loop_is_free_while_predictions_run(ada):
    with ThreadPoolExecutor(3) as pool:
        slow = [
            pool.submit(ada.post, "/predictors/greet/predict", json={"name": "x", "seconds": 1.0}) for _ in range(2)
        ]
        begun = time.monotonic()
        assert ada.get("/runs").status_code == 200
        assert time.monotonic() - begun < 0.9
        assert all(answer.result().status_code == 200 for answer in slow)


# --- limits -----------------------------------------------------------------------------------------------------------


def test_too_many_predictions_a_minute_are_refused_for_this_person_alone(served, limits):
    limits(predictions_per_minute=3)
    caller = served.as_("hasty")
    codes = [caller.post("/predictors/greet/predict", json={"name": "x"}).status_code for _ in range(4)]
    assert codes == [200, 200, 200, 429]
    answer = caller.post("/predictors/greet/predict", json={"name": "x"})
    assert 15 <= int(answer.headers["retry-after"]) <= 20
    assert "3 predictions a minute" in answer.json()["detail"]
    assert served.as_("calm").post("/predictors/greet/predict", json={"name": "x"}).status_code == 200


def test_a_repeated_key_is_no_further_prediction(served, limits):
    limits(predictions_per_minute=1)
    caller, headers = served.as_("again"), {"Idempotency-Key": "k5"}
    codes = [
        caller.post("/predictors/greet/predict", json={"name": "x"}, headers=headers).status_code for _ in range(3)
    ]
    assert codes == [200, 200, 200]


def test_a_persons_queue_has_a_length_and_a_repeated_key_is_let_through(served, limits):
    limits(queue_per_user=2)
    caller, path = served.as_("queuer"), "/predictors/greet_all/submit"
    slow = {"names": ["x"] * 50, "seconds_each": 0.5}
    runs = [caller.post(path, json=slow, headers={"Idempotency-Key": f"q{n}"}).json()["id"] for n in range(2)]
    refused = caller.post(path, json=slow)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
    assert "2 runs in the queue" in refused.json()["detail"]
    assert caller.post(path, json=slow, headers={"Idempotency-Key": "q0"}).json()["id"] == runs[0]
    assert served.as_("other").post(path, json={"names": ["y"]}).status_code == 202
    for run in runs:
        assert caller.post(f"/runs/{run}/cancel").status_code == 200
        finished(caller, run)
    assert caller.post(path, json={"names": ["x"]}).status_code == 202


def test_many_rows_are_submitted_all_or_none(ada, limits):
    path = "/predictors/greet_all/submit-many"
    before = ada.get("/runs").json()
    answer = ada.post(path, json={"rows": [{"names": ["a"]}, {"name": "b"}, {"names": 3}]})
    assert answer.status_code == 422
    assert {e["path"] for e in answer.json()["errors"]} == {"rows.1.names", "rows.1.name", "rows.2.names"}
    assert ada.post(path, json={"rows": []}).status_code == 422
    limits(queue_per_user=2)
    assert ada.post(path, json={"rows": [{"names": ["a"]}] * 3}).status_code == 429
    assert ada.get("/runs").json() == before
