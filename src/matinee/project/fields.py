"""Keys of a `matinee.toml`, each declared once; and the check of its tables, which names file, line and key.

A table is a frozen dataclass whose fields are made by `key`: default, check and meaning stand together. The reader and
the table in docs/reference/matinee-toml.md are made from them (`make reference`).
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from matinee.errors import ProjectError

Json = Any


@dataclass(frozen=True)
class Field:
    """What one key may hold. `low` and `high` bound numbers; `pattern` and `choices` bound texts."""

    kind: str  # text | whole | number | switch | texts | list | table
    low: float | None = None
    high: float | None = None
    choices: Collection[str] = ()
    pattern: str = ""
    example: str = ""

    def problem(self, value: Json) -> str:
        """Return what `value` must be instead, "" if it is right."""
        match self.kind:
            case "text":
                return self._text(value)
            case "switch":
                return "" if isinstance(value, bool) else "must be true or false"
            case "texts":
                if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                    return "must be a list of texts"
                return next(filter(None, map(self._text, value)), "")
            case "list":
                return "" if isinstance(value, list) else "must be a list"
            case "table":
                return "" if isinstance(value, dict) else "must be a table"
            case _:
                return self._number(value)

    def _text(self, value: Json) -> str:
        if not isinstance(value, str):
            return "must be a text"
        if self.choices and value not in self.choices:
            return "must be one of " + ", ".join(f'"{choice}"' for choice in self.choices)
        if self.pattern and not re.fullmatch(self.pattern, value):
            return self.example
        return ""

    def _number(self, value: Json) -> str:
        whole = self.kind == "whole"
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            return "must be a whole number" if whole else "must be a number"
        if self.low is not None and value < self.low:
            return f"must be at least {self.low:g}"
        if self.high is not None and value > self.high:
            return f"must be at most {self.high:g}"
        return ""


@dataclass(frozen=True)
class Document:
    """A `matinee.toml` as read, kept with its text so that problems can name the line."""

    file: Path
    text: str
    data: Mapping[str, Json]

    @classmethod
    def read(cls, file: Path) -> Document:
        """Read and parse; raises ProjectError."""
        try:
            text = file.read_text("utf-8")
            return cls(file, text, tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise ProjectError(f"{file} is not valid TOML: {error}.", hint='Texts need quotes: name = "x".') from error
        except (OSError, UnicodeDecodeError) as error:
            raise ProjectError(f"{file} cannot be read: {error}.") from error

    def table(self, at: tuple[str, ...], fields: Mapping[str, Field]) -> dict[str, Json]:
        """Return the table at a path, {} if missing; raises ProjectError for an unknown key or a wrong value."""
        table = self.at(at)
        for key, value in table.items():
            if key not in fields:
                hint = nearest(key, fields) or "It may hold: " + ", ".join(fields) + "."
                where = f"[{'.'.join(at)}]" if at else "the top level"
                raise self.error((*at, key), f"unknown key {key!r} in {where}", hint)
            if problem := fields[key].problem(value):
                raise self.error((*at, key), f"{'.'.join((*at, key))} {problem}, not {_shown(value)}")
        return dict(table)

    def tables(self, at: tuple[str, ...]) -> dict[str, Json]:
        """Return the named tables below a path; raises ProjectError if one is not a table."""
        tables = self.at(at)
        for name, value in tables.items():
            if not isinstance(value, dict):
                shown = ".".join((*at, name))
                raise self.error((*at, name), f"{shown} must be a table, not {_shown(value)}", f"Write [{shown}].")
        return dict(tables)

    def at(self, at: tuple[str, ...]) -> Mapping[str, Json]:
        """Return the table at a path as it was written, {} if missing."""
        table: Json = self.data
        for key in at:
            table = table.get(key, {})
        return table if isinstance(table, Mapping) else {}

    def error(self, at: tuple[str, ...], message: str, hint: str = "") -> ProjectError:
        """Return an error that says where: `matinee.toml, line 3: …`."""
        line = _line_of(self.text, at)
        return ProjectError(f"{self.file}{f', line {line}' if line else ''}: {message}.", hint=hint)


def key(
    default: Any,
    check: Field,
    meaning: str,
    *,
    default_text: str = "",
    read: Callable[[Document, tuple[str, ...]], Any] | None = None,
) -> Any:
    """Declare a key as a field of its table's dataclass; `...` as default: it must be given.

    `default_text` says the default in words. `read` makes the value of what stands at a path of the document, where the
    check alone does not do.
    """
    own = {"check": check, "meaning": meaning, "default_text": default_text, "read": read}
    if default is ...:
        return field(metadata=own)
    return field(default_factory=default, metadata=own) if callable(default) else field(default=default, metadata=own)


def checks_of(cls: Any) -> dict[str, Field]:
    """Return what each key of a table may hold."""
    return {f.name: f.metadata["check"] for f in fields(cls)}


def read_table(document: Document, at: tuple[str, ...], cls: Any) -> dict[str, Json]:
    """Return what the table at a path gives of a dataclass, for `replace`; raises ProjectError."""
    readers = {f.name: f.metadata["read"] for f in fields(cls)}
    table = document.table(at, checks_of(cls))
    for name, value in table.items():
        if readers[name]:
            table[name] = readers[name](document, (*at, name))
        elif isinstance(value, list):
            table[name] = tuple(value)
    return table


def reference(cls: Any) -> str:
    """Return the rows of a table's keys as Markdown: name, default, meaning."""
    return "".join(f"| `{f.name}` | {_default_text(f)} | {f.metadata['meaning']} |\n" for f in fields(cls))


def _default_text(declared: Any) -> str:
    if declared.metadata["default_text"]:
        return str(declared.metadata["default_text"])
    value = declared.default_factory() if declared.default is MISSING else declared.default
    return json.dumps(value)  # a tuple as a list, a switch in small letters: as TOML has them


def _shown(value: Json) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "…"


def _line_of(text: str, at: tuple[str, ...]) -> int:
    """Return the line of a key, or of the table it is in where that is written on one line; 0 for neither."""
    return next((line for length in range(len(at), 0, -1) if (line := _line(text, at[:length]))), 0)


def _line(text: str, at: tuple[str, ...]) -> int:
    section: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[+([^\]]+)\]", line):
            section = tuple(part.strip().strip("\"'") for part in header[1].split("."))
            if section[: len(at)] == at:
                return number
        elif (key := re.match(r"\s*([^=#]+?)\s*=", line)) and _is_key((*section, *key[1].split(".")), at):
            return number
    return 0


def _is_key(path: tuple[str, ...], at: tuple[str, ...]) -> bool:
    return tuple(part.strip().strip("\"'") for part in path)[: len(at)] == at


# --- suggestions for unknown names ------------------------------------------------------------------------------------
# Did you mean …?


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `Did you mean NAME?` for the known word most like this one, "" if none is."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.55)
    return f"Did you mean {close[0]}?" if close else ""
