"""Values of libraries ↔ JSON: files, pictures, tables, arrays, figures. The codecs that the registry's rows name.

A codec never imports `decode` or `encode`: what holds other values gets the function for them as an argument.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from matinee.errors import InputError
from matinee.values import blobs
from matinee.values.blobs import Decoder, Json, PutBlob, ReadBlob, ToJson, mismatch


def decoder(codec: str, annotation: Any) -> Decoder:
    """Return the decoder of a codec for this annotation, which may say more (`NDArray[numpy.uint8]`)."""
    return _DECODERS[codec](annotation)


def to_json(codec: str, value: Any, put_blob: PutBlob, path: str, inner: ToJson) -> Json:
    """Return the value as JSON by its codec; `inner` is for values that it holds. InputError if it has no JSON form."""
    try:
        return _ENCODERS[codec](value, put_blob, path, inner)
    except InputError as error:
        problem = error.problems[0]
        if not path or f"{problem.path}.".startswith(f"{path}."):
            raise
        where = f"{path}.{problem.path}".rstrip(".")  # a codec that does not know where its value stands
        raise InputError(where, problem.message, hint=error.hint) from error


def _bytes(value: Json, read_blob: ReadBlob, path: str) -> bytes:
    if not isinstance(value, dict) or "$blob" not in value:
        raise mismatch(path, "a file")
    return blobs.bytes_of(value, read_blob, path)


# --- files and texts --------------------------------------------------------------------------------------------------


def _file_decoder(cls: Any) -> Decoder:
    def decode(value: Json, read_blob: ReadBlob, path: str) -> Any:
        return cls(_bytes(value, read_blob, path), value.get("name", ""), value["$blob"])

    return decode


def _file_to_json(value: Any, put_blob: PutBlob, path: str, _inner: ToJson) -> Json:
    if not blobs.is_media_type(value.media_type):
        raise InputError(
            path,
            f"has the media type {value.media_type!r}, which is none",
            hint='Write one such as File(data, "report.pdf", "application/pdf").',
        )
    return put_blob(value.data, value.media_type, value.name)


def _path_decoder(cls: Any) -> Decoder:
    """The file that was uploaded, at a path of its own: never a path that a caller names."""

    def decode(value: Json, read_blob: ReadBlob, path: str) -> Any:
        data = _bytes(value, read_blob, path)
        reader = read_blob if isinstance(read_blob, blobs.Reader) else blobs.Reader(None)
        return cls(reader.write(data, blobs.file_name(value)))

    return decode


def _path_to_json(value: Any, put_blob: PutBlob, path: str, _inner: ToJson) -> Json:
    from mimetypes import guess_type

    try:
        if put_blob is blobs.inline_small_blob:  # before a file of any size is read
            blobs.check_manifest_bytes(value.stat().st_size, path)
        data = value.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise InputError(
            path, f"is the path {value}, which cannot be read as a file: {reason}", hint="Write the file first."
        ) from error
    media_type = blobs.media_type_of(guess_type(value.name)[0] or "")
    return put_blob(data, media_type, value.name)


def _markdown_decoder(cls: Any) -> Decoder:
    def decode(value: Json, _read_blob: ReadBlob, path: str) -> Any:
        if not isinstance(value, str):
            raise mismatch(path, "text")
        return cls(value)

    return decode


# --- pictures ---------------------------------------------------------------------------------------------------------

# How the modes of pictures travel as PNG: as they are, or in a mode that holds the same colours.
_PNG_MODES = {
    **{mode: mode for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")},
    "PA": "RGBA",
    "La": "LA",
    "RGBa": "RGBA",
    "RGBX": "RGB",
    "CMYK": "RGB",
    "YCbCr": "RGB",
    "HSV": "RGB",
}
_DEEPEST = 65535  # a PNG has 16 bits a channel


def _image_decoder(_cls: Any) -> Decoder:
    def decode(value: Json, read_blob: ReadBlob, path: str) -> Any:
        from matinee.values.pictures import open_picture

        return open_picture(_bytes(value, read_blob, path), value.get("name", ""), path)

    return decode


def _image_to_json(image: Any, put_blob: PutBlob, path: str, _inner: ToJson) -> Json:
    from io import BytesIO

    from PIL import ImageOps

    data = BytesIO()
    _for_png(ImageOps.exif_transpose(image), path).save(data, "PNG")
    return put_blob(data.getvalue(), "image/png", _image_name(image))


def _for_png(image: Any, path: str) -> Any:
    """Return the picture in a mode of PNG that holds its values; InputError for one that none does."""
    if image.mode in ("I", "I;16B", "I;16L", "I;16N"):
        whole = image if image.mode == "I" else image.convert("I")
        lowest, highest = whole.getextrema() if min(whole.size) else (0, 0)
        if lowest < 0 or highest > _DEEPEST:
            raise _no_png(image, path, f"values from {lowest} to {highest}, and a PNG holds 0 to {_DEEPEST}")
        return whole.convert("I;16")
    if image.mode not in _PNG_MODES:
        raise _no_png(image, path, "values that a PNG cannot hold")
    return image if _PNG_MODES[image.mode] == image.mode else image.convert(_PNG_MODES[image.mode])


def _no_png(image: Any, path: str, why: str) -> InputError:
    return InputError(
        path,
        f"is a picture of mode {image.mode} with {why}",
        hint="Scale its values to 0…255 and convert it to mode L, or return a numpy array or a matinee.File.",
    )


def _image_name(image: Any) -> str:
    name = str(getattr(image, "filename", "")).replace("\\", "/").rpartition("/")[2].rpartition(".")[0]
    return f"{name or 'image'}.png"


# --- arrays -----------------------------------------------------------------------------------------------------------


def _array_decoder(annotation: Any) -> Decoder:
    dtype = _dtype(annotation)

    def decode(value: Json, _read_blob: ReadBlob, path: str) -> Any:
        import numpy

        try:
            array = numpy.asarray(value)
            if array.dtype == object:
                array = _of_objects(array)
            with numpy.errstate(invalid="ignore", over="ignore"):
                exact = array if dtype is None else array.astype(dtype)
        except (ValueError, TypeError, OverflowError):
            raise mismatch(path, f"an array of {_dtype_name(dtype)}") from None
        if exact.dtype.kind in "biu" and not numpy.array_equal(exact, array):
            raise mismatch(path, f"an array of {_dtype_name(dtype)}, without loss")
        return exact

    return decode


def _of_objects(array: Any) -> Any:
    """Return numbers with gaps as floats, null as NaN; ValueError where a float would not be the same number."""
    floats = array.astype(float)
    pairs = zip(array.flat, floats.ravel().tolist(), strict=True)
    if any(cell is not None and cell != number for cell, number in pairs):
        raise ValueError
    return floats


def _dtype(annotation: Any) -> Any:
    """Return the dtype that `NDArray[numpy.uint8]` asks for, None for any."""
    args: tuple[Any, ...] = getattr(annotation, "__args__", ())
    inner = getattr(args[1], "__args__", ()) if len(args) == 2 else ()
    return inner[0] if inner and isinstance(inner[0], type) else None


def _dtype_name(dtype: Any) -> str:
    return "numbers" if dtype is None else str(dtype.__name__)


def _array_to_json(value: Any, _put_blob: PutBlob, path: str, _inner: ToJson) -> Json:
    kind = value.dtype.kind
    if kind not in "biufU" or (kind == "f" and value.dtype.itemsize > 8):
        raise InputError(path, f"is an array of {value.dtype}, which has no JSON form", hint="Return numbers or texts.")
    if kind != "f":
        return value.tolist()
    import numpy

    if numpy.isinf(value).any():
        raise InputError(path, "holds infinity, which JSON cannot carry", hint="Use NaN for a number that is missing.")
    missing = numpy.isnan(value)
    return numpy.where(missing, None, value.astype(object)).tolist() if missing.any() else value.tolist()


# --- figures ----------------------------------------------------------------------------------------------------------


def _figure_decoder(_cls: Any) -> Decoder:
    def decode(_value: Json, _read_blob: ReadBlob, path: str) -> Any:
        raise InputError(path, "is a figure, and figures are results only")

    return decode


def _plotly_to_json(value: Any, _put_blob: PutBlob, _path: str, _inner: ToJson) -> Json:
    import json

    return {"$figure": "plotly", "spec": json.loads(value.to_json())}


def _altair_to_json(value: Any, _put_blob: PutBlob, _path: str, _inner: ToJson) -> Json:
    return {"$figure": "vega-lite", "spec": value.to_dict()}


def _matplotlib_to_json(value: Any, put_blob: PutBlob, _path: str, _inner: ToJson) -> Json:
    from io import BytesIO

    data = BytesIO()
    value.savefig(data, format="png", bbox_inches="tight")
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close(value)  # else a warm process gathers every figure it ever drew
    return put_blob(data.getvalue(), "image/png", "figure.png")


# --- tables -----------------------------------------------------------------------------------------------------------


def _table_decoder(library: str) -> Callable[[Any], Decoder]:
    def decode(value: Json, _read_blob: ReadBlob, path: str) -> Any:
        from matinee.values import frames

        if not isinstance(value, dict) or "$table" not in value:
            raise mismatch(path, "a table")
        try:
            return frames.to_pandas(value) if library == "pandas" else frames.to_polars(value)
        except (ValueError, TypeError, OverflowError) as error:
            reason = str(error).partition("\n")[0]
            raise InputError(path, f"has a column whose values do not fit its type: {reason}") from error

    return lambda _annotation: decode


def _pandas_to_json(frame: Any, _put_blob: PutBlob, _path: str, inner: ToJson) -> Json:
    from matinee.values import frames

    return frames.from_pandas(frame, inner)


def _polars_to_json(frame: Any, _put_blob: PutBlob, _path: str, inner: ToJson) -> Json:
    from matinee.values import frames

    return frames.from_polars(frame, inner)


# --- the codecs by name -----------------------------------------------------------------------------------------------

_DECODERS: dict[str, Callable[[Any], Decoder]] = {
    "file": _file_decoder,
    "path": _path_decoder,
    "markdown": _markdown_decoder,
    "image": _image_decoder,
    "array": _array_decoder,
    "pandas": _table_decoder("pandas"),
    "polars": _table_decoder("polars"),
    "matplotlib": _figure_decoder,
    "plotly": _figure_decoder,
    "altair": _figure_decoder,
}
_ENCODERS: dict[str, Callable[[Any, PutBlob, str, ToJson], Json]] = {
    "file": _file_to_json,
    "path": _path_to_json,
    "markdown": lambda value, _put_blob, _path, _inner: str(value),
    "image": _image_to_json,
    "array": _array_to_json,
    "pandas": _pandas_to_json,
    "polars": _polars_to_json,
    "matplotlib": _matplotlib_to_json,
    "plotly": _plotly_to_json,
    "altair": _altair_to_json,
}
