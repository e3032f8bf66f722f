"""The OpenAPI document of what is live, and its page."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from matinee.api import openapi
from matinee.api.operations import operations
from matinee.api.routes import FOLDER
from matinee.manifest import ComponentManifest, PredictorManifest, Release, Resources
from matinee.project.model import Limits


@pytest.fixture
def document(ada):
    return ada.get("/openapi.json").json()


def test_every_predictor_has_a_typed_path_of_its_kind(document):
    paths = [path for path in document["paths"] if path.startswith("/predictors/")]
    assert paths == [
        "/predictors/{name}",
        "/predictors/greet/predict",
        "/predictors/shout/predict",
        "/predictors/greet_all/submit",
        "/predictors/greet_all/submit-many",
    ]
    predict = document["paths"]["/predictors/greet/predict"]["post"]
    body = predict["requestBody"]["content"]["application/json"]
    assert body["examples"]["example 1"]["value"] == {"name": "Ada"}
    inputs = document["components"]["schemas"][body["schema"]["$ref"].rpartition("/")[2]]
    assert inputs["properties"]["tone"]["enum"] == ["kind", "curt"]
    assert predict["description"] == "Say hello."


def test_every_reference_leads_somewhere_and_no_name_is_unusual(document):
    names = document["components"]["schemas"]
    assert {ref.rpartition("/")[2] for ref in re.findall(r'"\$ref": "([^"]+)"', json.dumps(document))} <= names.keys()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in names)


def test_models_unions_and_names_of_any_alphabet_are_described():
    defs = {
        "Cat": {"type": "object", "properties": {"kind": {"const": "cat"}, "next": {"$ref": "#/$defs/Cat"}}},
        "Größe[int]": {"type": "integer"},
    }
    pet = {
        "oneOf": [{"$ref": "#/$defs/Cat"}],
        "discriminator": {"propertyName": "kind", "mapping": {"cat": "#/$defs/Cat"}},
    }
    parameters = {
        "type": "object",
        "properties": {"pet": pet, "size": {"$ref": "#/$defs/Größe[int]"}, "tables": {"x-matinee": "table"}},
        "$defs": defs,
    }
    predictor = PredictorManifest("größe", "realtime", "c", "", parameters, {"x-matinee": "figure"}, Resources())
    release = Release("app", "App", 1, 0.0, (ComponentManifest("c", "", predictors=(predictor,)),))
    said = openapi.document(release, operations(print, print), Limits())
    test_every_reference_leads_somewhere_and_no_name_is_unusual(said)
    assert "/predictors/gr%C3%B6%C3%9Fe/predict" in said["paths"]
    assert '#/components/schemas/gr-C3-B6-C3-9Fe.inputs.Cat"' in json.dumps(said["components"])


def test_the_limits_are_told(ada, document, host):
    assert document["paths"]["/uploads"]["post"]["requestBody"]["description"] == "At most 50 MB."


def test_whether_a_token_is_needed_is_told(served, document, host):
    assert document["security"] == [{"bearer": []}, {}]
    live = host.backend.store.release()
    host.publish(replace(live, details={**live.details, "auth": {"mode": "password"}}))
    try:
        assert served.as_("ada").get("/openapi.json").json()["security"] == [{"bearer": []}]
    finally:
        host.publish(live)


def test_the_page_asks_no_other_host_and_lets_nothing_else_run(served):
    answer = served.stranger.get("", follow_redirects=True)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    for name in ("docs.css", "docs.js"):
        assert served.stranger.get(f"/docs/{name}").status_code == 200
    for file in Path(FOLDER).iterdir():
        assert not re.search(r"https?://|innerHTML|@import", file.read_text()), file.name


@pytest.mark.parametrize("name", ["docs.html", "page.py", "..%2fpage.py", "%2e%2e"])
def test_nothing_but_the_pages_own_files_is_served(served, name):
    assert served.stranger.get(f"/docs/{name}").status_code == 404
