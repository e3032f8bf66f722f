"""A file in S3 as a stream that can seek: read by one request from where it stands, by another when it must."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from matinee.backends.aws.errors import explained
from matinee.retry import Backoff

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BACKOFF = Backoff(base_s=0.1, cap_s=1.0, total_s=5.0)


class ObjectStream(io.RawIOBase):
    """What `get(Range=…, IfMatch=…)` answers, as a raw stream. It is opened at once, so a missing file is known."""

    def __init__(self, get: Callable[..., Any]) -> None:
        super().__init__()
        self._get = get
        answer = get()
        self._body: Any = answer["Body"]
        self._size = int(answer["ContentLength"])
        self._same = str(answer["ETag"])  # another put meanwhile must not be mixed in
        self._at = 0

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def seekable(self) -> bool:
        """Whether it can seek: yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Stand elsewhere; the next read asks for the rest from there."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if start + offset != self._at:
            self._drop()
            self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        """Return where it stands."""
        return self._at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read some bytes; a broken connection is opened again where it broke."""
        view = memoryview(buffer).cast("B")
        if self._at >= self._size or not len(view):
            return 0
        waits = _BACKOFF.waits()
        while True:
            try:
                read = self._read(len(view))
                break
            except Exception as error:
                self._drop()
                if not (_is_broken(error) and next(waits)):
                    with explained("The bucket", "s3:GetObject", "the file"):
                        raise
        view[: len(read)] = read
        self._at += len(read)
        return len(read)

    def _read(self, most: int) -> bytes:
        if self._body is None:
            self._body = self._get(Range=f"bytes={self._at}-", IfMatch=self._same)["Body"]
        read = bytes(self._body.read(most))
        if not read:  # ended before its size
            raise ConnectionResetError("the connection ended too early")
        return read

    def _drop(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None

    def close(self) -> None:
        """Let go of the connection."""
        if not self.closed:
            self._drop()
        super().close()


def _is_broken(error: Exception) -> bool:
    from botocore import exceptions

    return isinstance(error, (ConnectionError, exceptions.HTTPClientError, exceptions.IncompleteReadError))
