"""The value types Matinee adds to Python's: files, sound, video, Markdown, and the marker `after`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any


class _Opaque:
    """A class that pydantic takes as it is: its instances pass, and the schema is Matinee's to write."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.is_instance_schema(cls)


@dataclass(frozen=True, repr=False)
class File(_Opaque):
    """Bytes with a name and a media type, as people upload and download them."""

    data: bytes
    name: str = ""
    media_type: str = "application/octet-stream"

    @classmethod
    def from_path(cls, path: str | os.PathLike[str]) -> File:
        """Read a file of this machine; the media type follows from its name."""
        import mimetypes

        media_type = mimetypes.guess_type(os.fspath(path))[0] or cls.media_type
        with open(path, "rb") as stream:  # noqa: PTH123 - pathlib costs a predictor's start
            return cls(stream.read(), os.path.basename(path), media_type)  # noqa: PTH119

    def text(self, encoding: str = "utf-8") -> str:
        """Return the bytes as text."""
        return self.data.decode(encoding)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the bytes to a file of this machine."""
        with open(path, "wb") as stream:  # noqa: PTH123
            stream.write(self.data)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.media_type}, {len(self.data)} bytes)"


@dataclass(frozen=True, repr=False)
class Audio(File):
    """A sound, WAV unless its media type says otherwise."""

    name: str = "audio.wav"
    media_type: str = "audio/wav"


@dataclass(frozen=True, repr=False)
class Video(File):
    """A video, MP4 unless its media type says otherwise."""

    name: str = "video.mp4"
    media_type: str = "video/mp4"


class Markdown(_Opaque, str):
    """Text that is shown as formatted Markdown."""


@dataclass(frozen=True)
class After:
    """Says that a value must be after its sibling `field`; see `after`."""

    field: str

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        """Mark the schema: pydantic calls this when it meets the marker in an annotation."""
        return {**handler(core_schema), "x-after": self.field}


def after(field: str) -> After:
    """Mark a value that must come later than the parameter or field of that name."""
    return After(field)
