"""Decoding of files, images, tables and arrays into the classes a function asks for."""

from __future__ import annotations

from typing import Any

from matinee.errors import InputError
from matinee.schema.blobs import bytes_of
from matinee.schema.decode import Decoder, Json, ReadBlob, mismatch


def decoder(library: str, kind: str, annotation: Any) -> Decoder:
    """Return the decoder of a marked value (see `special`)."""
    if kind == "markdown":
        return _markdown
    if kind in ("file", "audio"):
        return _file(annotation)
    if kind == "image":
        return _image
    if kind == "array":
        return _array(annotation)
    if kind == "table":
        return _table(library)
    return _figure


def _markdown(value: Json, _read_blob: ReadBlob, path: str) -> Any:
    from matinee.types import Markdown

    if not isinstance(value, str):
        raise mismatch(path, "text")
    return Markdown(value)


def _figure(_value: Json, _read_blob: ReadBlob, path: str) -> Any:
    raise InputError(path, "is a figure, and figures are results only")


def _bytes(value: Json, read_blob: ReadBlob, path: str) -> bytes:
    if not isinstance(value, dict) or "$blob" not in value:
        raise mismatch(path, "a file")
    return bytes_of(value, read_blob, path)


def _file(cls: Any) -> Decoder:
    def decode(value: Json, read_blob: ReadBlob, path: str) -> Any:
        data = _bytes(value, read_blob, path)
        return cls(data, value.get("name", ""), value["$blob"])

    return decode


def _image(value: Json, read_blob: ReadBlob, path: str) -> Any:
    from io import BytesIO

    from PIL import Image

    data = _bytes(value, read_blob, path)
    try:
        image = Image.open(BytesIO(data))
        image.load()
    except Exception as error:  # PIL raises a dozen kinds for files that are broken, foreign or a decompression bomb
        name = value.get("name") or "the file"
        raise InputError(path, f"is not an image that can be read ({name})", hint="Use a PNG or JPEG.") from error
    return image


def _array(annotation: Any) -> Decoder:
    dtype = _dtype(annotation)

    def decode(value: Json, _read_blob: ReadBlob, path: str) -> Any:
        import numpy

        try:
            array = numpy.asarray(value, dtype=dtype)
            return array.astype(float) if array.dtype == object else array  # null is NaN
        except (ValueError, TypeError, OverflowError):
            raise mismatch(path, f"an array of {dtype or 'numbers'}") from None

    return decode


def _dtype(annotation: Any) -> Any:
    """Return the dtype that `NDArray[numpy.uint8]` asks for, None for any."""
    args: tuple[Any, ...] = getattr(annotation, "__args__", ())
    inner = getattr(args[1], "__args__", ()) if len(args) == 2 else ()
    return inner[0] if inner and isinstance(inner[0], type) else None


def _table(library: str) -> Decoder:
    def decode(value: Json, _read_blob: ReadBlob, path: str) -> Any:
        from matinee.schema import tables

        if not isinstance(value, dict) or "$table" not in value:
            raise mismatch(path, "a table")
        try:
            return tables.to_pandas(value) if library == "pandas" else tables.to_polars(value)
        except (ValueError, TypeError, OverflowError) as error:
            reason = str(error).partition("\n")[0]
            raise InputError(path, f"has a column whose values do not fit its type: {reason}") from error

    return decode
