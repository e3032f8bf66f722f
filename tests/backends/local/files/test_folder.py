from __future__ import annotations

import os
import time

import pytest

from matinee.backends.local.files import FolderFiles
from matinee.errors import BackendError, LimitError
from matinee.testing.files_contract import KEYS, FilesContract


class TestFolderFiles(FilesContract):
    @pytest.fixture
    def files(self, tmp_path):
        return FolderFiles(tmp_path / "data" / "files")


@pytest.mark.parametrize("key", KEYS)
def test_no_key_leaves_the_folder(tmp_path, key):
    folder = tmp_path / "a" / "files"
    FolderFiles(folder).put(key, b"x")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert [p.name for p in folder.parent.iterdir()] == ["files"]


def test_a_key_over_s3s_limit_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(LimitError, match="longer than 1024 bytes"):
        FolderFiles(tmp_path).put("k" * 1025, b"")


def test_a_folder_that_cannot_be_made_is_said_in_a_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BackendError, match="cannot be written"):
        FolderFiles(tmp_path / "file" / "files").put("key", b"")


def test_what_a_killed_process_left_is_swept_after_a_day(tmp_path):
    files = FolderFiles(tmp_path)
    files.put("key", b"")
    old, young = tmp_path / ".partial" / "old", tmp_path / ".partial" / "young"
    for partial in (old, young):
        partial.write_bytes(b"half")
    os.utime(old, (time.time() - 90_000,) * 2)
    assert list(FolderFiles(tmp_path).list("")) == ["key"]
    assert (old.exists(), young.exists()) == (False, True)
