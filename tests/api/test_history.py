"""Runs, files, feedback and uploads; who may do what with whose."""

from __future__ import annotations

from dataclasses import replace

import pytest

from matinee.api import responses
from matinee.runs import Run, Status, new_run_id

PROBLEM = "application/problem+json"
TABLE = {
    "$table": [{"name": "day", "type": "date"}, {"name": "what", "type": "string"}],
    "rows": [["2026-01-31", 'swim, "fast"'], ["2026-02-01", None]],
}


def predicted(caller, name="Ada") -> str:
    return caller.post("/predictors/greet/predict", json={"name": name}).json()["id"]


def recorded(served, result, user="ada") -> str:
    """Record a run with any result, as if a predictor had made it."""
    run = Run(new_run_id(), "greet", "realtime", user, Status.SUCCEEDED, {}, 1.0, "v1", started_at=1.0, finished_at=2.0)
    served.store.record(Run(**{**vars(run), "result": result}))
    return run.id


def test_runs_are_listed_newest_first_page_by_page(served):
    caller = served.as_("pia")
    ids = [predicted(caller) for _ in range(5)]
    seen, before = [], ""
    while True:
        page = caller.get(f"/runs?limit=2&before={before}").json()
        seen += [run["id"] for run in page["runs"]]
        if page["next"] is None:
            break
        before = page["next"]
    assert seen == ids[::-1]


def test_runs_are_listed_by_predictor_and_status(served):
    caller = served.as_("pim")
    caller.post("/predictors/greet/predict", json={"name": "trouble"})
    predicted(caller)
    assert [r["status"] for r in caller.get("/runs?status=failed&predictor=greet").json()["runs"]] == ["failed"]
    assert caller.get("/runs?predictor=shout").json()["runs"] == []


def test_an_owner_may_ask_for_everybodys_runs_and_nobody_else(served):
    predicted(served.as_("ada"))
    owner = served.as_("olga", owner=True)
    assert owner.get("/runs").json()["runs"] == []
    assert "ada" in {run["user"] for run in owner.get("/runs?everybody=true").json()["runs"]}
    assert {run["user"] for run in served.as_("pit").get("/runs?everybody=true").json()["runs"]} <= {"pit"}


def test_a_table_is_given_as_csv_when_asked_for(ada, served):
    run = recorded(served, TABLE)
    answer = ada.get(f"/runs/{run}/result", headers={"Accept": "text/csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.text == 'day,what\n2026-01-31,"swim, ""fast"""\n2026-02-01,\n'
    assert ada.get(f"/runs/{run}/result", headers={"Accept": "application/json, text/csv"}).json() == TABLE
    refused = ada.get(f"/runs/{predicted(ada)}/result", headers={"Accept": "text/csv"})
    assert (refused.status_code, refused.headers["content-type"]) == (406, PROBLEM)


def test_files_of_a_result_are_inline_by_url_or_as_they_are(ada, served):
    small = {"$blob": "text/html", "name": "../a <b>.html", "base64": "PGI+"}
    served.host.backend.files.put("results/x/1/0-big.png", b"PNG")
    kept = {"$blob": "image/png", "name": "big.png", "key": "results/x/1/0-big.png", "size_bytes": 3}
    run = recorded(served, {"list": [small, kept]}, user="olga")
    owner = served.as_("olga", owner=True)

    def shown(how):
        return owner.get(f"/runs/{run}/result?blobs={how}").json()["list"]

    address = f"/api/v1/runs/{run}/files"
    assert shown("auto") == [small, {**kept, "url": f"{address}/1"}]
    assert [blob["base64"] for blob in shown("inline")] == ["PGI+", "UE5H"]
    assert [(blob["url"], blob["size_bytes"]) for blob in shown("url")] == [(f"{address}/0", 3), (f"{address}/1", 3)]
    files = [owner.get(f"http://testserver{blob['url']}") for blob in shown("url")]
    assert [file.content for file in files] == [b"<b>", b"PNG"]
    assert files[0].headers["content-disposition"] == "attachment; filename*=UTF-8''a%20%3Cb%3E.html"
    assert (files[0].headers["x-content-type-options"], "sandbox" in files[0].headers["content-security-policy"]) == (
        "nosniff",
        True,
    )
    assert owner.get(f"/runs/{run}/files/2").status_code == 404
    assert owner.get(f"/runs/{run}/files/x").status_code == 404


def test_a_dictionary_that_only_looks_like_a_file_has_no_address():
    look_alike = {"$blob": "text/html", "name": "x.html", "base64": "PGI+"}
    echoed = {"extra": look_alike, "file": look_alike}
    schema = {"type": "object", "properties": {"file": {"type": "object", "x-matinee": "file"}}}
    assert responses.blobs_of(schema, echoed) == [look_alike]
    shown = responses.with_blobs(schema, echoed, "url", "/files", lambda blob: b"<b>")
    assert (shown["extra"], shown["file"]["url"]) == (look_alike, "/files/0")


def test_feedback_is_kept_changed_and_checked(ada):
    run = predicted(ada)
    right = {"text": "Hi", "count": 1}
    said = ada.put(f"/runs/{run}/feedback", json={"rating": -1, "comment": "no", "corrected": right}).json()
    assert (said["user"], said["rating"], said["comment"], said["corrected"]) == ("ada", -1, "no", right)
    assert ada.put(f"/runs/{run}/feedback", json={"rating": 5, "scale": "stars"}).json()["rating"] == 5
    after = ada.get(f"/runs/{run}/feedback").json()["feedback"][0]
    assert (after["comment"], after["corrected"]) == ("no", right), "a later thumb erases nothing"
    assert ada.put(f"/runs/{run}/feedback", json={"corrected": None}).json()["corrected"] is None
    assert [item["rating"] for item in ada.get(f"/runs/{run}/feedback").json()["feedback"]] == [5]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"rating": 7}, "rating"),
        ({"rating": 3}, "rating"),
        ({"comment": "x" * 10_001}, "comment"),
        ({"corrected": {"text": 1}}, "corrected.text"),
        ({"stars": 3}, "stars"),
        ([], ""),
    ],
)
def test_feedback_that_does_not_fit_is_refused(ada, body, path):
    answer = ada.put(f"/runs/{predicted(ada)}/feedback", json=body)
    assert answer.status_code == 422
    assert path in {item["path"] for item in answer.json()["errors"]}


def test_a_run_has_logs(ada):
    assert isinstance(ada.get(f"/runs/{predicted(ada)}/logs").json()["lines"], list)


# --- uploads ----------------------------------------------------------------------------------------------------------


def test_an_upload_is_an_input_of_its_own_person_alone(served):
    ada, bo = served.as_("ada"), served.as_("bo")
    raw = ada.post("/uploads?name=a.txt", content=b"hello", headers={"Content-Type": "text/plain"})
    form = ada.post("/uploads", files={"file": ("b.txt", b"hello", "text/plain")})
    for answer, name in ((raw, "a.txt"), (form, "b.txt")):
        file = answer.json()
        assert (answer.status_code, file["name"], file["$blob"], file["size_bytes"]) == (201, name, "text/plain", 5)
        loud = ada.post("/predictors/shout/predict?blobs=inline", json={"file": file}).json()["result"]
        assert (loud["name"], loud["base64"]) == (f"loud-{name}", "SEVMTE8=")
        refused = bo.post("/predictors/shout/predict", json={"file": file})
        assert (refused.status_code, "not yours" in refused.json()["detail"]) == (422, True)


@pytest.mark.parametrize(
    "key", ["../state.db", "uploads/../../state.db", "results/x/1/0", "/etc/passwd", "inputs/x.json"]
)
def test_a_reference_to_any_other_file_is_refused(ada, key):
    answer = ada.post("/predictors/shout/predict", json={"file": {"$blob": "text/plain", "name": "x", "key": key}})
    assert answer.status_code == 422


def test_a_reference_to_whole_inputs_is_no_input(ada):
    assert ada.post("/predictors/greet/predict", json={"$payload": "inputs/x.json"}).status_code == 422


def test_an_upload_over_the_limit_is_refused_with_the_limit(ada, served, host):
    live = host.backend.store.release()
    small = {**live.details, "limits": {**live.details["limits"], "upload_mb": 0.01}}
    host.publish(replace(live, details=small))
    try:
        raw = ada.post("/uploads", content=(b"x" * 5000 for _ in range(5)))
        form = ada.post("/uploads", files={"file": ("b.txt", b"x" * 30_000, "text/plain")})
    finally:
        host.publish(live)
    for answer in (raw, form):
        assert (answer.status_code, answer.headers["content-type"]) == (413, PROBLEM)
        assert "0.01 MB" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"content": b""}, 400),
        ({"files": {"other": ("b.txt", b"x", "text/plain")}}, 422),
        ({"data": {"file": "text"}, "files": {"x": ("b", b"x")}}, 422),
        ({"content": b"nonsense", "headers": {"Content-Type": "multipart/form-data"}}, 400),
        ({"content": b"nonsense", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400),
    ],
)
def test_an_upload_without_a_file_is_refused(ada, options, status):
    answer = ada.post("/uploads", **options)
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)


# --- who x what -------------------------------------------------------------------------------------------------------

READS = ["", "/inputs", "/result", "/logs", "/feedback"]
CHANGES = [("POST", "/cancel"), ("PUT", "/share"), ("DELETE", "/share")]


def statuses(caller, run: str) -> dict[str, int]:
    found = {f"GET {path}": caller.get(f"/runs/{run}{path}").status_code for path in READS}
    found["PUT /feedback"] = caller.put(f"/runs/{run}/feedback", json={"rating": 1}).status_code
    return found | {
        f"{method} {path}": caller.request(method, f"/runs/{run}{path}").status_code for method, path in CHANGES
    }


def test_what_is_not_yours_is_not_there_and_what_is_shared_may_be_seen_and_rated(served):
    mine, bo, owner = served.as_("mia"), served.as_("bo"), served.as_("olga", owner=True)
    run = predicted(mine)
    assert set(statuses(bo, run).values()) == {404}
    missing, hidden = bo.get(f"/runs/{'0' * 26}").json(), bo.get(f"/runs/{run}").json()
    assert {**missing, "detail": ""} == {**hidden, "detail": ""}, "the same answer"
    assert mine.put(f"/runs/{run}/share").json() == {"shared": True}
    shared = statuses(bo, run)
    assert {status for what, status in shared.items() if "GET" in what or "feedback" in what} == {200}
    assert {shared[f"{method} {path}"] for method, path in CHANGES} == {403}
    for caller in (mine, owner):
        said = statuses(caller, run)
        assert said.pop("POST /cancel") == 409, "it has finished"
        assert set(said.values()) == {200}
    assert set(statuses(bo, run).values()) == {404}, "shared no more"


def test_everything_asks_for_a_token(served):
    document = served.here.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method in methods:
            answer = served.stranger.request(method, path.replace("{run}", "x").replace("{number}", "0"))
            assert (answer.status_code, answer.headers["content-type"]) == (401, PROBLEM), (method, path)
            assert answer.headers["www-authenticate"].startswith("Bearer")
    assert served.stranger.get("/openapi.json").status_code == 401
