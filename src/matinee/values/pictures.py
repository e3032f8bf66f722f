"""Pictures: opened within a budget of pixels, and made small for a page in a child process.

A picture's header says how many pixels it becomes; nothing is decoded before that is known.
"""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from typing import Any, BinaryIO

from matinee import decoding
from matinee.errors import InputError
from matinee.values import registry

MAX_PIXELS = 100_000_000  # of any picture: 300 MB with three channels
_PREVIEW_PIXELS = 4_000_000  # what a page's own process may decode
_PREVIEW_SIZE = (1460, 1460)  # Streamlit shows none wider
_PREVIEWS = 32  # that are held, each of at most some 100 kB


def open_picture(data: bytes, name: str, path: str = "") -> Any:
    """Return the bytes as a PIL image, upright: its EXIF orientation is applied, here and nowhere else.

    Raises InputError for what Pillow cannot read, and for more than MAX_PIXELS.
    """
    from PIL import ImageOps

    try:
        image = _open(data, path)
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
    except InputError:
        raise
    except Exception as error:  # PIL raises a dozen kinds for files that are broken or foreign
        endings = ", ".join(
            ending.upper() for ending in registry.MARKED["image"].accept if ending not in ("jpeg", "tif")
        )
        raise InputError(
            path, f"is not an image that can be read ({name or 'the file'})", hint=f"Use one of {endings}."
        ) from error
    return image


def _open(data: bytes, path: str) -> Any:
    """Return the picture with only its header read."""
    from PIL import Image

    try:
        image = Image.open(BytesIO(data))
    except Image.DecompressionBombError:
        raise _too_large(path) from None
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(path)
    return image


def _too_large(path: str) -> InputError:
    return InputError(path, f"is a picture of more than {MAX_PIXELS:,} pixels", hint="Make it smaller first.")


def preview(data: bytes) -> bytes:
    """Return the picture, or a smaller one where it is too large to decode in a process that others share.

    Raises InputError for more than MAX_PIXELS or what the child process cannot hold, and Pillow's own errors.
    """
    image = _open(data, "")
    return data if image.width * image.height <= _PREVIEW_PIXELS else _thumbnail(data)


@lru_cache(maxsize=_PREVIEWS)
def _thumbnail(data: bytes) -> bytes:
    with decoding.decode(__name__, data) as output:
        return output.read()


def _shrink(source: BinaryIO, output: BinaryIO, _options: Any) -> None:
    from PIL import ImageOps

    image = _open(source.read(), "")
    image.draft("RGB", _PREVIEW_SIZE)  # JPEG alone can be decoded small
    image.thumbnail(_PREVIEW_SIZE)
    image = ImageOps.exif_transpose(image)
    if image.mode in ("RGB", "L", "CMYK", "YCbCr"):
        image.convert("RGB").save(output, "JPEG", quality=85)
    else:
        image.save(output, "PNG")


if __name__ == "__main__":
    decoding.serve(_shrink)
