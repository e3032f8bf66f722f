"""`scripts/bootstrap.py` makes the environment where nothing but Python is installed."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
WHEEL = "uv-9.9.9-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"


@pytest.fixture
def bootstrap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "scripts" / "bootstrap.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL", "PIP_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module, "PIP_FILES", ())
    monkeypatch.setattr(module.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(module.platform, "libc_ver", lambda: ("glibc", "2.36"))
    monkeypatch.setattr(module.sys, "platform", "linux")
    return module


def wheel(content: bytes = b"#!/bin/sh\necho uv 9.9.9\n") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("uv-9.9.9.data/scripts/uv", content)
        archive.writestr("uv-9.9.9.data/scripts/uvx", b"another")
    return file.getvalue()


@pytest.fixture(params=["json", "html"])
def index(request: pytest.FixtureRequest) -> Iterator[str]:
    """A package index on this machine that speaks one of the two forms; it wants a name and a password."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers["Authorization"] != "Basic bWU6cCA6dw==":  # me:p :w
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="index"')
                self.end_headers()
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer(self.path))

        def log_message(self, *_: object) -> None:
            pass

    def answer(path: str) -> bytes:
        if path.endswith(".whl"):
            return wheel()
        if request.param == "json":
            return json.dumps({"files": [{"filename": WHEEL, "url": f"../../files/{WHEEL}"}]}).encode()
        return f'<html><a href="../../files/{WHEEL}#sha256=0" data-x="1">{WHEEL}</a></html>'.encode()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://me:p%20%3Aw@127.0.0.1:{server.server_port}/simple"
    server.shutdown()
    thread.join()
    server.server_close()


def test_uv_comes_from_the_index_the_machine_is_set_up_for(
    bootstrap: ModuleType, index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", index)
    target = tmp_path / "uv"
    bootstrap.fetch_from_index("9.9.9", {hashlib.sha256(wheel()).hexdigest()}, target)
    assert bootstrap.is_version(target, "9.9.9")


def test_a_download_that_is_not_the_locked_one_is_never_written(
    bootstrap: ModuleType, index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_INDEX_URL", index)
    with pytest.raises(bootstrap.SetupError, match="sha256 differs"):
        bootstrap.fetch_from_index("9.9.9", {"0" * 64}, tmp_path / "uv")
    assert not (tmp_path / "uv").exists()


def test_an_index_out_of_reach_is_named_without_its_password(
    bootstrap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://me:secret@127.0.0.1:9/simple")
    with pytest.raises(bootstrap.SetupError, match=r"127\.0\.0\.1 cannot be reached") as refused:
        bootstrap.fetch_from_index("9.9.9", set(), tmp_path / "uv")
    assert "secret" not in str(refused.value)


def test_pip_conf_names_the_index_and_the_environment_comes_first(
    bootstrap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bootstrap.index_url() == bootstrap.PUBLIC_INDEX
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nindex-url = https://index.example/100%/simple/\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    assert bootstrap.index_url() == "https://index.example/100%/simple"
    monkeypatch.setenv("PIP_INDEX_URL", "https://other.example/simple")
    assert bootstrap.index_url() == "https://other.example/simple"


@pytest.mark.parametrize(
    ("filename", "does"),
    [
        (WHEEL, True),
        ("uv-9.9.9-py3-none-manylinux_2_28_x86_64.whl", True),
        ("uv-9.9.9-py3-none-musllinux_1_1_x86_64.whl", False),
        ("uv-9.9.9-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.whl", False),
        ("uv-9.9.8-py3-none-manylinux_2_28_x86_64.whl", False),
        ("uv-9.9.9.tar.gz", False),
    ],
)
def test_only_a_wheel_of_this_version_and_machine_fits(bootstrap: ModuleType, filename: str, does: bool) -> None:
    assert bootstrap.fits(filename, "9.9.9") is does


def test_the_lock_names_uv_with_its_hashes_and_no_registry(bootstrap: ModuleType) -> None:
    version, hashes = bootstrap.locked("uv")
    assert version
    assert len(hashes) > 3
    assert "://" not in (ROOT / "requirements" / "dev.txt").read_text()


def test_an_older_python_is_told_in_one_sentence(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    assert bootstrap.main() == 2
    said = capsys.readouterr().err
    assert said.startswith("Matinee needs Python 3.11 or newer")
    assert said.count("\n") == 1


def test_an_environment_that_is_up_to_date_is_left_alone(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    python, stamp = tmp_path / "python", tmp_path / "made-from"
    python.touch()
    stamp.write_text(bootstrap.fingerprint())
    monkeypatch.setattr(bootstrap, "PYTHON", python)
    monkeypatch.setattr(bootstrap, "STAMP", stamp)
    monkeypatch.setattr(bootstrap, "run", lambda *_: pytest.fail("nothing is to be done"))
    assert bootstrap.main() == 0
