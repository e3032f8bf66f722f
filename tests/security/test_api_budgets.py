"""What a JSON body becomes in memory is bounded before it is decoded, for one request and for all together."""

from __future__ import annotations

import gzip
import json
import time
import tracemalloc

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from matinee.access.people import Person
from matinee.api.requests import MEGABYTE, MOST_DEPTH, VALUE_BYTES, Bodies, json_bytes
from matinee.api.responses import ApiError
from matinee.api.routes import routes
from matinee.backends.factory import open_backend
from matinee.client.core import Client
from matinee.errors import BackendError, LimitError
from matinee.manifest import ComponentManifest, PredictorManifest, Release, Resources
from matinee.settings import Settings

ANYTHING = {"type": "object", "properties": {"x": {}}, "additionalProperties": False}


@pytest.fixture
def api(tmp_path) -> TestClient:
    settings = Settings(data=tmp_path)
    backend = open_backend(settings)
    predictor = PredictorManifest("plan", "batch", "plan", "", ANYTHING, {}, Resources())
    backend.store.put_release(Release("tiny", "Tiny", 1, 0.0, (ComponentManifest("plan", "h", "v1", (predictor,)),)))

    def open_client(person: Person) -> Client:
        return Client(backend, settings, person.name, owner=person.is_owner)

    return TestClient(Starlette(routes=routes(open_client)), "http://127.0.0.1/api/v1", client=("127.0.0.1", 1))


def post(api: TestClient, body: bytes):
    return api.post("/predictors/plan/submit", content=body, headers={"Content-Type": "application/json"})


BOMBS = {
    "empty lists": b'{"x": [' + b"[]," * 4_000_000 + b"1]}",
    "empty objects": b'{"x": [' + b"{}," * 4_000_000 + b"1]}",
    "small objects": b'{"x": [' + b'{"a":1},' * 2_000_000 + b"1]}",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_body_that_would_become_too_large_is_413_and_never_decoded(api: TestClient, name: str):
    tracemalloc.start()
    answer = post(api, BOMBS[name])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:matinee:problem:too-large")
    assert "uploads" in answer.json()["hint"]
    assert peak < 6 * len(BOMBS[name]), "copies of the text, but none of its values"


@pytest.mark.parametrize("text", [b"[", b'{"x":', b'[{"x":'])
def test_a_body_that_is_nested_too_deep_is_400_with_a_body(api: TestClient, text: bytes):
    answer = post(api, b'{"x": ' + text * 300_000)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert "nested too deeply" in answer.json()["detail"]


def test_brackets_within_texts_are_no_nesting(api: TestClient):
    text = '\\"[{' * 50_000 + "\\"
    assert post(api, json.dumps({"x": text}).encode()).status_code == 202
    assert post(api, json.dumps({"x": json.loads("[" * 90 + "]" * 90)}).encode()).status_code == 202


@pytest.mark.parametrize("body", [b'"' + b'\\"' * 5_000_000, b'"' * 5_000_001, b"\\" * 5_000_000, b'"a' * 3_000_000])
def test_the_look_takes_linear_time(body: bytes):
    begun = time.perf_counter()
    json_bytes(body)
    assert time.perf_counter() - begun < 5.0


def test_the_estimate_is_no_smaller_than_half_of_what_values_take():
    for body in (
        b"[" + b"1.5," * 100_000 + b"1]",
        b"[" + b"[]," * 100_000 + b"1]",
        b"[" + b'{"a":[1]},' * 50_000 + b"1]",
    ):
        tracemalloc.start()
        value = json.loads(body)
        taken = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert json_bytes(body) > taken / 2, body[:20]
        assert value


@pytest.mark.parametrize("shift", range(8))
def test_where_a_piece_is_cut_changes_nothing(shift: int):
    text = " " * (256 * 1024 - 8 + shift) + json.dumps({"a": '[\\"[{', "b": "\\", "c": [1, 2]})
    assert json_bytes(text.encode()) == json_bytes(text.strip().encode())


def test_a_body_at_the_edge_of_the_depth_is_read():
    json_bytes(b"[" * MOST_DEPTH + b"]" * MOST_DEPTH)
    with pytest.raises(ApiError):
        json_bytes(b"[" * (MOST_DEPTH + 1) + b"]" * (MOST_DEPTH + 1))
    with pytest.raises(LimitError):
        json_bytes(b"{}," * (VALUE_BYTES // 250 + 1))


def test_many_large_requests_at_once_are_told_to_come_back_and_it_recovers():
    bodies = Bodies(10 * MEGABYTE)
    with bodies.reserve() as one:
        one(8 * MEGABYTE)
        with bodies.reserve() as other:
            other(MEGABYTE)
            with pytest.raises(BackendError, match="at once"):
                other(2 * MEGABYTE)
        one(8 * MEGABYTE)  # alone again: its own limits bound it
    with bodies.reserve() as next_one, bodies.reserve() as last:
        next_one(9 * MEGABYTE)
        last(MEGABYTE)


def test_a_compressed_body_is_refused_by_its_name(api: TestClient):
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = api.post("/predictors/plan/submit", content=gzip.compress(b'{"x": 1}'), headers=headers)
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "identity")
    assert "Content-Encoding 'gzip'" in answer.json()["detail"]
