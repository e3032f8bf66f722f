"""Streamlit's own files: kept by browsers for good, answered without Streamlit, and nothing else by their path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from streamlit.file_util import get_static_dir

from matinee.ui import serve
from matinee.ui.serve import Static

FOREVER = "public, max-age=31536000, immutable"


async def beneath(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b"beneath"})


@pytest.fixture
def browse(tmp_path: Path) -> Callable[..., TestClient]:
    folder = tmp_path / "static"
    (folder / "js").mkdir(parents=True)
    (folder / "js" / "index.a1b2c3.js").write_text("let x = 1")
    (folder / "font.a1b2.woff2").write_bytes(b"wOF2")
    (tmp_path / "secret.txt").write_text("secret")
    return lambda: TestClient(Static(beneath, folder))


@pytest.mark.parametrize(
    "path, kind, body",
    [
        ("/static/js/index.a1b2c3.js", "text/javascript; charset=utf-8", b"let x = 1"),
        ("/static/font.a1b2.woff2", "font/woff2", b"wOF2"),
    ],
)
def test_a_hashed_file_may_be_kept_for_a_year(browse, path, kind, body):
    answer = browse().get(path)
    assert (answer.status_code, answer.content) == (200, body)
    assert answer.headers["cache-control"] == FOREVER
    assert answer.headers["content-type"] == kind


@pytest.mark.parametrize(
    "path",
    ["/", "/static", "/static/", "/static/js", "/static/../secret.txt", "/static/%2e%2e/secret.txt", "/static//js"],
)
def test_no_other_path_is_answered_here(browse, path):
    assert browse().get(path).content == b"beneath"


def test_other_methods_are_not_answered_here(browse):
    assert browse().post("/static/js/index.a1b2c3.js").content == b"beneath"


def test_what_is_kept_in_memory_has_a_limit_and_is_answered_beyond_it_too(browse, monkeypatch):
    monkeypatch.setattr(serve, "KEPT_BYTES", 4)
    client = browse()
    for _ in range(2):
        assert client.get("/static/font.a1b2.woff2").content == b"wOF2"
        assert client.get("/static/js/index.a1b2c3.js").content == b"let x = 1"


def test_a_file_that_has_gone_is_left_to_streamlit(browse, tmp_path):
    client = browse()
    (tmp_path / "static" / "font.a1b2.woff2").unlink()
    assert client.get("/static/font.a1b2.woff2").content == b"beneath"


def test_streamlit_keeps_its_hashed_files_where_they_are_looked_for():
    names = [file.name for file in (Path(get_static_dir()) / "static" / "js").glob("index.*.js")]
    assert names
