"""Encoding of files, images, tables, arrays and figures."""

from __future__ import annotations

import sys
from typing import Any

from matinee.errors import InputError
from matinee.schema.encode import Json, PutBlob

_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16")


def to_json(library: str, kind: str, value: Any, put_blob: PutBlob, path: str) -> Json:
    """Return the marked value of this kind (see `special`) as JSON."""
    if kind == "markdown":
        return str(value)
    if kind in ("file", "audio"):
        return put_blob(value.data, value.media_type, value.name)
    if kind == "image":
        return put_blob(_png(value), "image/png", _image_name(value))
    if kind == "array":
        return _array(value, path)
    if kind == "table":
        from matinee.schema import tables

        return tables.from_pandas(value) if library == "pandas" else tables.from_polars(value)
    return _figure(library, value, put_blob)


def _png(image: Any) -> bytes:
    from io import BytesIO

    data = BytesIO()
    (image if image.mode in _PNG_MODES else image.convert("RGB")).save(data, "PNG")
    return data.getvalue()


def _image_name(image: Any) -> str:
    name = str(getattr(image, "filename", "")).replace("\\", "/").rpartition("/")[2].rpartition(".")[0]
    return f"{name or 'image'}.png"


def _array(value: Any, path: str) -> Json:
    kind = value.dtype.kind
    if kind not in "biufU":
        raise InputError(path, f"is an array of {value.dtype}, which has no JSON form", hint="Return numbers or texts.")
    if kind != "f":
        return value.tolist()
    import numpy

    finite = numpy.isfinite(value)
    return value.tolist() if finite.all() else numpy.where(finite, value.astype(object), None).tolist()


def _figure(library: str, value: Any, put_blob: PutBlob) -> Json:
    if library == "plotly":
        import json

        return {"$figure": "plotly", "spec": json.loads(value.to_json())}
    if library == "altair":
        return {"$figure": "vega-lite", "spec": value.to_dict()}
    from io import BytesIO

    data = BytesIO()
    value.savefig(data, format="png", bbox_inches="tight")
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close(value)  # else a warm process gathers every figure it ever drew
    return put_blob(data.getvalue(), "image/png", "figure.png")
