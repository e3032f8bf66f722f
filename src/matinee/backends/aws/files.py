"""The Files port on one S3 bucket: streamed, in parts when large, resumed when a connection breaks.

A put is whole or absent: one PutObject, or a multipart upload that is completed in the end or aborted.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast
from urllib.parse import quote

from matinee.backends.aws.errors import explained
from matinee.backends.aws.session import Session
from matinee.errors import ConflictError, LimitError, MatineeError, NotFoundError, UsageError
from matinee.lambda_api.sdk import code_of
from matinee.retry import Backoff

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
PART_BYTES = 8 << 20
MOST_PARTS = 10_000  # of one upload, so 84 GB: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
LINK_S = 600  # how long a link works: a role's credentials may expire soon after
_AT_ONCE = 4  # parts on their way: what one upload may hold in memory is five parts
_DELETED_AT_ONCE = 1000
_LONGEST_KEY = 1024  # bytes
_BUFFER = 1 << 20
_BACKOFF = Backoff(base_s=0.05, cap_s=1.0, total_s=10.0)
_MISSING = {"NoSuchKey", "404", "NotFound"}
_EXISTS = {"PreconditionFailed", "412"}
_CONFLICT = {"ConditionalRequestConflict", "OperationAborted", "409"}
_T = TypeVar("_T")


class S3Files:
    """Files in the bucket that the settings name. Thread-safe; connects when first used."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._bucket = session.settings.bucket

    def put(
        self,
        key: str,
        data: bytes | BinaryIO,
        *,
        media_type: str = "application/octet-stream",
        replace: bool = True,
    ) -> int:
        """Write a file and return its size in bytes."""
        about: dict[str, Any] = {**self._at(key), "ContentType": media_type}
        once = {} if replace else {"IfNoneMatch": "*"}
        stream = io.BytesIO(data) if isinstance(data, bytes | bytearray | memoryview) else data
        first = _filled(stream)
        if len(first) == PART_BYTES:
            return self._put_parts(key, about, once, first, stream)
        self._written(key, "put_object", Body=first, **about, **once)
        return len(first)

    def _put_parts(self, key: str, about: dict[str, Any], once: dict[str, str], first: bytes, stream: BinaryIO) -> int:
        upload = self._written(key, "create_multipart_upload", **about)
        named = {**self._at(key), "UploadId": upload["UploadId"]}
        try:
            sizes, etags = self._parts(key, named, first, stream)
            parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
            self._written(key, "complete_multipart_upload", MultipartUpload={"Parts": parts}, **named, **once)
        except BaseException:
            with suppress(MatineeError):  # what is wrong was said already; a rule of the bucket removes such parts
                self._written(key, "abort_multipart_upload", **named)
            raise
        return sizes

    def _parts(self, key: str, named: dict[str, Any], first: bytes, stream: BinaryIO) -> tuple[int, list[str]]:
        """Upload part after part, a few at once; return the bytes and what each part is known by."""
        size, parts, sent = 0, _chunks(first, stream), list[Future[Any]]()
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="matinee-upload") as pool:
            for number, part in enumerate(parts, 1):
                size += len(part)
                if number > MOST_PARTS:
                    most = MOST_PARTS * PART_BYTES // 10**9
                    raise LimitError(f"The file {key!r} is larger than {most} GB.", hint="Split it.")
                arguments = {**named, "PartNumber": number, "Body": part}
                sent.append(pool.submit(self._written, key, "upload_part", **arguments))
                if number >= _AT_ONCE:
                    sent[number - _AT_ONCE].result()
            return size, [upload.result()["ETag"] for upload in sent]

    def read(self, key: str) -> bytes:
        """Return the whole file. Raises NotFoundError if there is none."""
        with self.open(key) as stream:
            return stream.read()

    def open(self, key: str) -> BinaryIO:
        """Return a stream of the file. The stream can seek, and goes on where a broken connection left it."""
        if not key:
            raise NotFoundError("There is no file ''.")
        stream = ObjectStream(lambda **options: self._got(key, **options))
        return cast(BinaryIO, io.BufferedReader(stream, _BUFFER))

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys under a prefix in order. S3 keeps the order of UTF-8."""
        pages = self._session.client("s3").get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        following = iter(pages)
        while page := self._explained("s3:ListBucket", prefix, lambda: next(following, None)):
            yield from (found["Key"] for found in page.get("Contents", ()))

    def delete(self, keys: Iterable[str]) -> None:
        """Delete files; missing keys are no error."""
        keys = [key for key in keys if key]
        for key in keys:
            if not _is_xml(key):
                self._written(key, "delete_object", **self._at(key))
        plain = filter(_is_xml, keys)
        while some := list(islice(plain, _DELETED_AT_ONCE)):
            objects = [{"Key": key} for key in some]
            answer = self._written(
                "*", "delete_objects", Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True}
            )
            for error in answer.get("Errors", ()):
                raise LimitError(f"The file {error['Key']!r} cannot be deleted: {error.get('Message')}.")

    def download_url(self, key: str, *, name: str = "", media_type: str = "") -> str | None:
        """Return a link by which a browser saves the file.

        It is signed now, for LINK_S seconds, and saved by the browser, never shown by it.
        """
        saved = f"attachment; filename*=UTF-8''{quote(name or key.rpartition('/')[2], safe='')}"
        parameters = {**self._at(key), "ResponseContentDisposition": saved}
        if media_type:
            parameters["ResponseContentType"] = media_type
        client = self._session.client("s3")

        def signed() -> str:
            return str(client.generate_presigned_url("get_object", Params=parameters, ExpiresIn=LINK_S))

        return self._explained("s3:GetObject", key, signed)

    def _at(self, key: str) -> dict[str, str]:
        try:
            length = len(key.encode())
        except UnicodeEncodeError as error:
            raise UsageError(f"The file name {key!r} is not text.", hint="Choose another.") from error
        if length > _LONGEST_KEY:
            raise LimitError(f"The file name {key[:40]!r}… is longer than {_LONGEST_KEY} bytes.", hint="Shorten it.")
        if not key:
            raise UsageError("A file must have a name.")
        return {"Bucket": self._bucket, "Key": key}

    def _got(self, key: str, **options: str) -> Any:
        def get() -> Any:
            try:
                return self._session.client("s3").get_object(**self._at(key), **options)
            except Exception as error:
                if code_of(error) in _MISSING:
                    raise NotFoundError(f"There is no file {key!r}.") from error
                raise

        return self._explained("s3:GetObject", key, get)

    def _written(self, key: str, method: str, **arguments: Any) -> Any:
        """Call; what two write at once is tried again, what must not replace and would is a ConflictError."""
        waits = _BACKOFF.waits()

        def write() -> Any:
            while True:
                try:
                    return getattr(self._session.client("s3"), method)(**arguments)
                except Exception as error:
                    if code_of(error) in _EXISTS:
                        if _is_repeated(error) and arguments.get("Body") == self.read(key):
                            return {}  # put by us: the answer was lost
                        raise ConflictError(f"There is a file {key!r} already.") from error
                    if code_of(error) not in _CONFLICT or method == "complete_multipart_upload" or not next(waits):
                        raise

        return self._explained(_ACTIONS.get(method, "s3:PutObject"), key, write)

    def _explained(self, action: str, key: str, call: Callable[[], _T]) -> _T:
        with explained(f"The bucket {self._bucket}", action, f"bucket/{self._bucket}/{key}"):
            return call()


_ACTIONS = {
    "abort_multipart_upload": "s3:AbortMultipartUpload",
    "delete_object": "s3:DeleteObject",
    "delete_objects": "s3:DeleteObject",
}


def _is_repeated(error: Exception) -> bool:
    """Whether the SDK had sent the same before."""
    return bool(getattr(error, "response", {}).get("ResponseMetadata", {}).get("RetryAttempts"))


def _filled(stream: BinaryIO) -> bytes:
    """Read one part, however little the stream gives at once."""
    parts, left = [], PART_BYTES
    while left and (chunk := stream.read(left)):
        parts.append(chunk)
        left -= len(chunk)
    return b"".join(parts)


def _chunks(first: bytes, stream: BinaryIO) -> Iterator[bytes]:
    yield first
    while part := _filled(stream):
        yield part


def _is_xml(key: str) -> bool:
    """Whether a list of keys can say it: XML has no control characters, and changes ends of lines."""
    return all(character >= " " and character not in "\ufffe\uffff" for character in key)


# --- a seekable stream of S3 ------------------------------------------------------------------------------------------
# A file in S3 as a stream that can seek: read by one request from where it stands, by another when it must.

_STREAM_BACKOFF = Backoff(base_s=0.1, cap_s=1.0, total_s=5.0)


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
        waits = _STREAM_BACKOFF.waits()
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
