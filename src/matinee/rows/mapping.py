"""Which column goes to which parameter: by name, ignoring case, spaces and underscores; people may say otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matinee.errors import InputError, Problem

Schema = dict[str, Any]


def automatic(parameters: Schema, columns: Sequence[str]) -> dict[str, str]:
    """Return parameter → column for the columns whose name is a parameter's: the same name first, then a like one."""
    free = {folded(column): column for column in reversed(columns) if folded(column)}  # the first wins
    same = set(columns)
    names = parameters.get("properties", {})
    found = {name: name if name in same else free.get(folded(name), "") for name in names}
    taken = {column for name, column in found.items() if name == column}
    return {name: column for name, column in found.items() if column and (name == column or column not in taken)}


def chosen(parameters: Schema, columns: Sequence[str], given: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """Return the automatic mapping with what people chose over it; None or "" takes no column.

    Raises InputError for a parameter or column that there is not.
    """
    found: dict[str, str] = automatic(parameters, columns)
    names = parameters.get("properties", {})
    wrong = []
    for name, column in (given or {}).items():
        if name not in names:
            wrong.append(Problem(name, f"is not a parameter; there is {', '.join(names) or 'none'}"))
        elif not column:
            found.pop(name, None)
        elif column not in columns:
            wrong.append(Problem(name, f"there is no column {column!r}; there is {_listed(columns)}"))
        else:
            found[name] = column
    if wrong:
        raise InputError(problems=tuple(wrong))
    return {name: found[name] for name in names if name in found}


def missing(parameters: Schema, mapping: Mapping[str, str]) -> tuple[str, ...]:
    """Return the parameters that need a column and have none."""
    return tuple(name for name in parameters.get("required", ()) if name not in mapping)


def folded(name: str) -> str:
    """Return the name without case and without what is neither letter nor digit."""
    return "".join(filter(str.isalnum, name.casefold()))


def _listed(columns: Sequence[str], most: int = 10) -> str:
    shown = ", ".join(columns[:most])
    return shown if len(columns) <= most else f"{shown} and {len(columns) - most} more"
