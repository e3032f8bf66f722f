"""The image of UI, HTTP API and dispatcher: what an app's own pages need, none of the developer's tools."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
import uuid

import pytest

from matinee.images.ui_image import NAME


@pytest.fixture(scope="module")
def image(building, tmp_path_factory):
    folder = tmp_path_factory.mktemp("app")
    (folder / "matinee.toml").write_text(f'name = "tiny-{uuid.uuid4().hex[:8]}"\n[ui]\nlogo = "logo.svg"\n')
    (folder / "double.py").write_text("from matinee import realtime\n@realtime\ndef double(n: int) -> int: ...\n")
    (folder / "ui.py").write_text("import streamlit as st\nimport helper\nst.title(helper.TITLE)\n")
    (folder / "helper.py").write_text("TITLE = 'From the side'\n")
    (folder / "README.md").write_text("# About\n\n![a picture](picture.svg)\n")
    for picture in ("picture.svg", "logo.svg"):
        (folder / picture).write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    (folder / ".env").write_text("KEY=secret\n")
    with building() as build_app:
        yield build_app(folder, NAME).images[0]


def test_it_holds_pages_what_they_import_logo_and_readme_but_no_algorithm(image, run_image) -> None:
    found = run_image(image, "/app", "-type", "f", "-not", "-name", "*.pyc", entrypoint="find").stdout.split()
    wanted = {
        f"/app/{name}" for name in ("ui.py", "helper.py", "README.md", "picture.svg", "logo.svg", "manifest.json")
    }
    assert set(found) == wanted


def test_it_has_no_tool_of_the_developer_and_is_small(image, run_image) -> None:
    code = "import importlib.util as u; print([m for m in {} if u.find_spec(m)])"
    tools = ["typer", "rich", "troposphere", "uv", "watchfiles", "matinee.operate", "matinee.cli", "matinee.images"]
    assert run_image(image, "-c", code.format(tools), entrypoint="python").stdout.strip() == "[]"
    assert image.size_bytes < 450e6


def test_it_serves_pages_as_nobody_on_a_read_only_root_and_ends_when_told(image, engine) -> None:
    options = ("--detach", "--read-only", "--publish", "127.0.0.1::8501")
    container = engine.run("run", *options, image.reference, "ui", "--without-sign-in").stdout.strip()
    try:
        port = engine.run("port", container, "8501").stdout.strip().rpartition(":")[2]
        assert answer(f"http://127.0.0.1:{port}/_stcore/health") == b"ok"
        assert b"<title>" in answer(f"http://127.0.0.1:{port}/")
        assert b"openapi.json" in answer(f"http://127.0.0.1:{port}/api/v1/docs")
        began = time.monotonic()
        engine.run("stop", "--time", "20", container)
        assert time.monotonic() - began < 10
        assert engine.run("wait", container).stdout.strip() in {"0", "143"}
    finally:
        engine.run("rm", "--force", "--volumes", container)


def test_it_is_the_dispatcher_too(image, start_lambda) -> None:
    answer = start_lambda(image, "--read-only", "--env", "MATINEE_BACKEND=aws", role="dispatcher").invoke({})
    assert "has no MATINEE_TABLE" in answer["errorMessage"]


def test_it_asks_for_a_way_to_sign_in_when_others_would_reach_it(image, run_image) -> None:
    ended = run_image(image, "ui")
    assert ended.returncode == 2
    assert "it has no sign-in" in ended.stderr


def test_figures_and_tables_are_whole_after_what_was_left_out(image, run_image) -> None:
    code = """
import io, altair, numpy, pandas, pyarrow.parquet, streamlit, boto3, PIL.Image
import matinee.runtime.dispatcher, matinee.api.routes
frame = pandas.DataFrame({"a": [1, 2]})
stored = io.BytesIO()
frame.to_parquet(stored)
assert pandas.read_parquet(io.BytesIO(stored.getvalue())).equals(frame)
assert "mark" in altair.Chart(frame).mark_bar().encode(x="a").to_json()
assert numpy.linalg.det(numpy.eye(3)) == 1
PIL.Image.new("RGB", (2, 2)).save(io.BytesIO(), "webp")
for service in ("dynamodb", "s3", "lambda", "logs", "ecs", "batch", "ssm", "sts"):
    boto3.client(service, region_name="eu-central-1")
print("whole")
"""
    ended = run_image(image, "-c", code, entrypoint="python")
    assert ended.stdout.strip() == "whole", ended.stderr


def answer(address: str) -> bytes:
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(address, timeout=10) as got:
                return got.read()
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
