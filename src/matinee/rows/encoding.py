"""In which encoding a text file is, told from all of its bytes."""

from __future__ import annotations

import codecs
from typing import BinaryIO

from matinee.rows.table import refused

_CHUNK = 1 << 20
_SAMPLE = 4096
_MARKS = (  # the longer first: UTF-32's begins as UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF8, "utf-8-sig", ""),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
_HINT = "Save it as “CSV UTF-8”."


def encoding_of(stream: BinaryIO) -> tuple[str, str]:
    """Return (Python's name of the encoding, a sentence for people or ""); the stream is at its start afterwards.

    UTF-8 with or without mark, UTF-16 and UTF-32, else Windows-1252, which is said. InputError for what is no text.
    """
    start = stream.read(_SAMPLE)
    encoding, said = _told_by(start)
    if not encoding:
        encoding = "utf-8" if _decodes(stream, "utf-8") else "cp1252"
        said = "" if encoding == "utf-8" else "Windows-1252"
    if encoding != "utf-8" and not _decodes(stream, encoding):
        raise refused("holds characters that its encoding does not have", _HINT)
    stream.seek(0)
    note = f"The text is read as {said}, not UTF-8: look whether accents and symbols are right."
    return encoding, note if said else ""


def _told_by(start: bytes) -> tuple[str, str]:
    for mark, encoding, said in _MARKS:
        if start.startswith(mark):
            return encoding, said
    nulls = start.count(0)
    if not nulls:
        return "", ""
    if nulls >= len(start) // 3:  # Latin letters in two bytes each
        little = start[1::2].count(0) > start[::2].count(0)
        return ("utf-16-le" if little else "utf-16-be"), "UTF-16"
    raise refused("is not text, and not Parquet", "Choose a CSV or Parquet file.")


def _decodes(stream: BinaryIO, encoding: str) -> bool:
    stream.seek(0)
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        while chunk := stream.read(_CHUNK):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeError:
        return False
    return True
