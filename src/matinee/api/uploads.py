"""Uploads: a file goes into Files under the caller's own prefix, and its reference can be an input."""

from __future__ import annotations

import tempfile
from typing import Any, BinaryIO

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from matinee.api.answers import answer
from matinee.api.gate import MEGABYTE, Call, Gate
from matinee.api.problems import ApiError
from matinee.errors import InputError, LimitError
from matinee.runs import new_run_id
from matinee.values import blobs

Json = Any
IN_MEMORY_BYTES = MEGABYTE
LONGEST_NAME = 255
_FORM_ROOM = 10_000  # bytes of a form around its file


class Uploading:
    """Takes a raw body, or the field `file` of a form, up to `upload_mb`."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def __call__(self, call: Call) -> Response:
        """Store the file and return its reference."""
        limit = call.limits.upload_mb
        media_type = blobs.media_type_of(call.request.headers.get("content-type", ""))
        if media_type == "multipart/form-data":
            return await self._form(call, limit)
        with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES) as stream:
            size = 0
            async for chunk in call.request.stream():
                size += len(chunk)
                _check_size(size, limit)
                stream.write(chunk)
            stream.seek(0)
            return await self._gate.in_thread(_put, call, stream, media_type, call.query["name"], size)

    async def _form(self, call: Call, limit: float) -> Response:
        request = Request(call.request.scope, _Counted(call.request, limit).receive)
        async with request.form(max_files=1, max_fields=10) as form:
            upload = form.get("file")
            if not isinstance(upload, UploadFile):
                raise InputError("file", "is required: the form must have a file in this field")
            size = upload.size or 0
            _check_size(size, limit)
            name = call.query["name"] or upload.filename or ""
            media_type = blobs.media_type_of(upload.content_type or "")
            return await self._gate.in_thread(_put, call, upload.file, media_type, name, size)


class _Counted:
    """A request's body that ends in an error when it is too long."""

    def __init__(self, request: Request, limit_mb: float) -> None:
        self._request = request
        self._limit_mb = limit_mb
        self._size = 0

    async def receive(self) -> Message:
        message = await self._request.receive()
        self._size += len(message.get("body", b""))
        _check_size(self._size - _FORM_ROOM, self._limit_mb)
        return message


def _check_size(size: int, limit_mb: float) -> None:
    if size > limit_mb * MEGABYTE:
        raise LimitError(
            f"The file is larger than {limit_mb:g} MB.",
            hint="Send a smaller one, or raise upload_mb under [limits] in matinee.toml.",
        )


def _put(call: Call, stream: Any, media_type: str, name: str, size: int) -> Response:
    if size == 0:
        raise ApiError(400, "The file is empty.", hint="Send its bytes as the body, or as the field `file` of a form.")
    name = name.replace("\\", "/").rpartition("/")[2][:LONGEST_NAME]
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)[-80:]
    key = f"{call.client.visibility.uploads}{new_run_id()}/0-{safe or 'file'}"
    file: BinaryIO = stream
    stored = call.client.backend.files.put(key, file, media_type=media_type)
    return answer({"$blob": media_type, "name": name, "key": key, "size_bytes": stored}, 201)
