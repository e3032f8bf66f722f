"""What every Files does. Inherit `FilesContract` in a test module and give it a fixture `files`."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, cast

import pytest

from matinee.errors import ConflictError, MatineeError, NotFoundError
from matinee.ports import Files

KEYS = [
    "plain.txt",
    "results/RUN/1/0.png",
    "../../outside",
    "/absolute",
    "a//b/",
    "./.",
    ".hidden/..",
    "ünïcode/日本/🎭.png",
    "spaces and\nnewlines\t\x00",
    'CON/a:b*c?d<e>f|g"h\\i',
    "percent%2e%/+/~/a+/b~",
    "long/" + "n" * 600,
    "é" * 300,
    "u" * 1024,
]


class _Broken(io.RawIOBase):
    """A stream that breaks after its first bytes."""

    def __init__(self) -> None:
        self._left = 2

    def read(self, size: int = -1, /) -> bytes:
        self._left -= 1
        if not self._left:
            raise ConnectionResetError(f"gone before {size} bytes")
        return b"some"


class FilesContract:
    """The whole contract."""

    @pytest.mark.parametrize("key", KEYS)
    def test_any_key_is_stored_apart_and_listed_unchanged(self, files: Files, key: str) -> None:
        assert files.put("other", b"other") == 5
        assert files.put(key, key.encode(), media_type="text/plain") == len(key.encode())
        assert files.read(key) == key.encode()
        assert set(files.list("")) == {"other", key}
        assert list(files.list(key)) == [key]
        files.delete([key])
        assert list(files.list("")) == ["other"]

    def test_keys_that_differ_in_case_are_different(self, files: Files) -> None:
        files.put("a/Name.PNG", b"upper")
        files.put("a/name.png", b"lower")
        assert (files.read("a/Name.PNG"), files.read("a/name.png")) == (b"upper", b"lower")

    def test_a_key_may_be_the_beginning_of_another(self, files: Files) -> None:
        keys = ["a", "a/", "a/b", "a/b/c", "a+", "ab"]
        for key in [*keys, *reversed(keys)]:
            files.put(key, key.encode())
        assert [files.read(key) for key in keys] == [key.encode() for key in keys]
        assert list(files.list("")) == sorted(keys)

    def test_keys_are_listed_by_prefix_in_order(self, files: Files) -> None:
        for key in ("b/2", "a/10", "a/2", "a/1", "ab", "a/1/x"):
            files.put(key, b"")
        assert list(files.list("a/")) == ["a/1", "a/1/x", "a/10", "a/2"]
        assert list(files.list("a/1")) == ["a/1", "a/1/x", "a/10"]
        assert list(files.list("a")) == ["a/1", "a/1/x", "a/10", "a/2", "ab"]
        assert list(files.list("nothing/here")) == []

    def test_a_put_replaces_the_whole(self, files: Files) -> None:
        files.put("key", b"long before")
        assert files.put("key", b"new") == 3
        assert files.read("key") == b"new"

    def test_a_put_may_refuse_to_replace(self, files: Files) -> None:
        assert files.put("key", b"first", replace=False) == 5
        with pytest.raises(ConflictError, match="There is a file 'key' already"):
            files.put("key", b"second", replace=False)
        assert files.read("key") == b"first"

    def test_of_puts_that_may_not_replace_one_is_made(self, files: Files) -> None:
        def made(n: int) -> bool:
            try:
                return files.put("key", bytes([n]), replace=False) == 1
            except ConflictError:
                return False

        with ThreadPoolExecutor(8) as pool:
            winners = [n for n, won in enumerate(pool.map(made, range(8))) if won]
        assert [files.read("key")] == [bytes([n]) for n in winners]

    def test_an_empty_file_is_a_file(self, files: Files) -> None:
        assert files.put("empty", b"") == 0
        assert files.read("empty") == b""

    def test_a_stream_is_written_and_read_in_pieces(self, files: Files) -> None:
        data = bytes(range(256)) * 20_000
        assert files.put("big", io.BytesIO(data)) == len(data)
        with files.open("big") as stream:
            assert stream.read(10) == data[:10]
            assert stream.read() == data[10:]
            assert stream.seek(-5, io.SEEK_END) == len(data) - 5
            assert stream.read(100) == data[-5:]
            stream.seek(1000)
            assert (stream.read(3), stream.tell()) == (data[1000:1003], 1003)

    def test_a_put_that_breaks_off_leaves_what_was_there(self, files: Files) -> None:
        files.put("key", b"before")
        with pytest.raises((OSError, MatineeError)):
            files.put("key", cast(BinaryIO, _Broken()))
        with pytest.raises((OSError, MatineeError)):
            files.put("new", cast(BinaryIO, _Broken()))
        assert files.read("key") == b"before"
        assert list(files.list("")) == ["key"]

    def test_a_missing_file_is_not_found(self, files: Files) -> None:
        files.put("a/b", b"")
        for key in ("missing", "a", "a/b/c", ""):
            with pytest.raises(NotFoundError, match="There is no file"):
                files.read(key)
            with pytest.raises(NotFoundError):
                files.open(key)

    def test_deleting_what_is_missing_is_no_error(self, files: Files) -> None:
        files.put("kept", b"")
        files.delete(["missing", "kept/below", "", "a/b/c"])
        files.delete([])
        assert list(files.list("")) == ["kept"]

    def test_of_puts_at_once_one_is_there_whole(self, files: Files) -> None:
        bodies = [bytes([n]) * 100_000 for n in range(8)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda body: files.put("key", body), bodies))
        assert files.read("key") in bodies
