"""What Matinee keeps beside an app is its user's alone, whatever their umask."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

import matinee
from matinee.backends.local.dev_record import DevRecord, dev_lock, write_dev_record
from matinee.backends.local.files import FolderFiles
from matinee.private_files import make_private_folder

MADE_BY_OTHERS = ("snapshots", "environments", "inspected")  # read-only, and out of reach below the folder


@pytest.fixture(autouse=True)
def generous_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_nobody_else_enters_the_folder_or_reads_its_files(greeting_app: Path):
    with matinee.connect(greeting_app) as app:
        app.greet(name="x" * 10_000)
        app.greet_all(names=["Ada"])
    data = greeting_app / ".matinee"
    files = [p for p in data.rglob("*") if p.is_file() and not set(MADE_BY_OTHERS) & set(p.relative_to(data).parts)]
    assert mode(data) == 0o700
    assert {p.name: oct(mode(p)) for p in files if mode(p) & 0o077 and p.suffix != ".lock"} == {}
    names = {path.name for path in files}
    assert {"state.db", "versions.json"} <= names
    assert any(path.suffix == ".jsonl" for path in files), "a log was written"


def test_a_folder_that_was_left_open_is_closed(tmp_path: Path):
    folder = tmp_path / ".matinee"
    folder.mkdir(0o755)
    make_private_folder(folder)
    assert mode(folder) == 0o700


def test_the_record_of_a_dev_has_its_key_and_is_its_user_s_alone(tmp_path: Path):
    data = tmp_path / ".matinee"
    with dev_lock(data):
        write_dev_record(data, DevRecord(1, "http://127.0.0.1:1", aws_secret_access_key="secret"))
        assert (mode(data), mode(data / "dev.json")) == (0o700, 0o600)
        assert "secret" in (data / "dev.json").read_text()
    assert not (data / "dev.json").exists()


def test_a_stored_file_is_never_open_to_others_not_even_while_it_is_written(tmp_path: Path):
    seen = []

    class Stream:
        def read(self, size: int) -> bytes:
            seen.extend(mode(path) for path in tmp_path.rglob("*") if path.is_file())
            return b"data" if len(seen) < 2 else b""

    FolderFiles(tmp_path).put("inputs/a", Stream())
    assert set(seen) == {0o600}
