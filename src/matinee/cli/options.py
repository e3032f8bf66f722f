"""Options that several commands share."""

from __future__ import annotations

import json
import mimetypes
import re
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from matinee.errors import InputError, UsageError
from matinee.tables.columns import parse_boolean
from matinee.values.blobs import inline_blob, media_type_of
from matinee.values.registry import MARKED
from matinee.values.validate import resolve

App = Annotated[Path, typer.Option("--app", help="The app: a folder with a matinee.toml, or a predictor file.")]
Stage = Annotated[
    str, typer.Option("--stage", help="A deployed stage, as in dev, instead of the app here.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Save the result: a table as CSV, Excel, Parquet or JSON Lines, a file as it is, else JSON.",
    ),
]
Values = Annotated[
    list[str] | None, typer.Argument(help="Inputs as key=value; a file as key=@path.", show_default=False)
]
InputFile = Annotated[str, typer.Option("--input", "-i", help="A JSON file with the inputs; - reads stdin.")]
Readings = Annotated[
    list[str] | None,
    typer.Option(
        "--reading",
        help="How a column of a table is read, where there are two ways: price=comma (or point), day=day-first (or "
        "month-first).",
    ),
]
Sheet = Annotated[str, typer.Option("--sheet", help="The sheet of an Excel workbook; default: its first.")]
HERE = Path()


def on(stage: str) -> str:
    """Return the option as it is said again in the next command."""
    return f" --stage {stage}" if stage else ""


# --- parsing times ----------------------------------------------------------------------------------------------------
# How people say times: a date, or how long ago.

_AGO_S = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}


def since(text: str, now: float) -> float:
    """Return epoch seconds of "2026-11-01", "2026-11-01T09:00" or "7d", "12h", "30m", "90s"; "" is the beginning."""
    if not text:
        return 0.0
    if ago := re.fullmatch(r"([0-9]{1,6})([dhms])", text):
        return now - int(ago[1]) * _AGO_S[ago[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is no time.", hint="Write a date as 2026-11-01, or how long ago as 7d, 12h or 30m."
        ) from None


# --- parsing inputs ---------------------------------------------------------------------------------------------------
# `key=value` words and JSON files into a predictor's inputs, read by its schema.

Json = Any
Schema = dict[str, Any]


class TableOptions(NamedTuple):
    """How tables of files are read: column → reading, where it must be said, and the sheet of a workbook."""

    readings: Mapping[str, str] = {}
    sheet: str = ""


def table_options(words: list[str], sheet: str) -> TableOptions:
    """Return what `--reading column=reading` and `--sheet` say; UsageError for a word that is neither."""
    from matinee.tables.uploads import check_readings

    readings = {}
    for word in words:
        column, equals, reading = word.rpartition("=")
        if not equals or not column:
            raise UsageError(f"{word!r} is not column=reading.", hint="Write it as --reading price=comma.")
        readings[column] = reading
    check_readings(readings)
    return TableOptions(readings, sheet)


def read_inputs(words: list[str], file: str, schema: Schema, tables: TableOptions | None = None) -> Json:
    """Return the inputs of a JSON file (`-` = stdin) with the `key=value` words over them.

    Raises UsageError for what cannot be read and InputError for a value that cannot be; whether values fit is the
    validator's to say.
    """
    inputs = _from_file(file) if file else {}
    if not words:
        return inputs
    if not isinstance(inputs, dict):
        raise UsageError(f"{file} must hold a JSON object when key=value words are given too.")
    return {**inputs, **dict(_pair(word, schema, tables or TableOptions()) for word in words)}


def _from_file(file: str) -> Json:
    name = "stdin" if file == "-" else file
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(
            f"{file} cannot be read: {reason}.", hint="--input takes a JSON file, or - for stdin."
        ) from error
    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(f"{name} is not valid JSON: {error}.", hint='Write it as {"key": "value"}.') from error


def _pair(word: str, schema: Schema, tables: TableOptions) -> tuple[str, Json]:
    key, equals, text = word.partition("=")
    if not equals or not key:
        names = ", ".join(f"{name}=…" for name in schema.get("properties", {}))
        raise UsageError(
            f"{word!r} is not key=value.", hint=f"Its inputs are: {names}" if names else "It has no inputs."
        )
    part = schema.get("properties", {}).get(key)
    return key, text if part is None else _value(key, text, _branches(part, schema), tables)


def _branches(part: Schema, root: Schema) -> list[Schema]:
    part = resolve(part, root)
    choices = part.get("anyOf") or part.get("oneOf")
    return [leaf for choice in choices for leaf in _branches(choice, root)] if choices else [part]


def _value(key: str, text: str, branches: list[Schema], tables: TableOptions) -> Json:
    """Return the text as the value it was meant to be; a text that cannot be it stays text, for the validator."""
    carriers = {MARKED[branch["x-matinee"]].carrier for branch in branches if "x-matinee" in branch}
    kinds = {kind for branch in branches for kind in _kinds(branch)}
    if text.startswith("@") and "string" not in kinds and (carriers or kinds & {"array", "object"}):
        return _file(key, Path(text[1:]).expanduser(), carriers, branches, tables)
    for choice in (choice for branch in branches for choice in _choices(branch)):
        if text == (choice if isinstance(choice, str) else json.dumps(choice)):
            return choice
    is_text = any("string" in _kinds(branch) and "format" not in branch for branch in branches)
    if "null" in kinds and text in ("", "null") and not is_text:
        return None
    if "string" in kinds:
        return text
    if "boolean" in kinds and parse_boolean(text) is not None and not kinds & {"integer", "number"}:
        return parse_boolean(text)
    if kinds & {"array", "object"} or not kinds:
        return _json(key, text, strict=bool(kinds))
    return _number(text) if kinds & {"integer", "number"} else text


def _kinds(branch: Schema) -> list[str]:
    kind = branch.get("type", [])
    return [kind] if isinstance(kind, str) else list(kind)


def _choices(branch: Schema) -> list[Json]:
    return list(branch.get("enum", [branch["const"]] if "const" in branch else []))


def _number(text: str) -> Json:
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _json(key: str, text: str, *, strict: bool) -> Json:
    try:
        return json.loads(text)
    except ValueError as error:
        if not strict:
            return text
        raise InputError(
            key,
            f"must be JSON, not {text[:40]!r}",
            hint=f"Write {key}='[1, 2]' or {key}='{{\"a\": 1}}', or {key}=@FILE.",
        ) from error


def _file(key: str, file: Path, carriers: set[str], branches: list[Schema], tables: TableOptions) -> Json:
    """Return a file as what the schema wants: a table, a blob, or the JSON in it."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise InputError(key, f"{file} cannot be read: {error.strerror or error}") from error
    is_json = file.suffix.lower() == ".json"
    if "table" in carriers and not is_json:
        from matinee.tables.uploads import read_frame

        how = "Say which it is: --reading {column}={reading}"
        return read_frame(data, key, readings=tables.readings, sheet=tables.sheet, how=how)
    takes_any_file = any(branch.get("x-matinee") == "file" for branch in branches)
    if takes_any_file or (carriers & {"blob", "figure"} and not is_json):
        return inline_blob(data, media_type_of(mimetypes.guess_type(file.name)[0] or ""), file.name)
    return _json(key, data.decode("utf-8", errors="replace"), strict=True)
