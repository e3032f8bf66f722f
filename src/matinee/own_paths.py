"""Paths inside snapshots, and the user's own files they stand for: messages, tracebacks and logs name the latter.

A snapshot lies at APP/.matinee/snapshots/HASH and mirrors the app's folder.
"""
# ruff: noqa: PTH100, PTH110 - importing pathlib costs a predictor's start 3 ms

from __future__ import annotations

import os
import re

SNAPSHOTS = ".matinee/snapshots"  # relative to the app's folder
THE_FOLDER = "."  # among what a component opens: it lists the app's folder itself
_INSIDE = re.compile(rf"/{re.escape(SNAPSHOTS)}/[0-9a-f]{{16}}(?![0-9A-Za-z.])")


def name_own_files(text: str) -> str:
    """Return a text in which paths inside snapshots are those of the user's own files."""
    return _INSIDE.sub("", text) if SNAPSHOTS in text else text


def snapshot_of(path: str) -> tuple[str, str]:
    """Return the app's folder and the snapshot's of a path inside a snapshot; ("", "") for another path."""
    found = _INSIDE.search(path)
    return (path[: found.start()], path[: found.end()]) if found else ("", "")


def hint_for_missing_file(error: BaseException) -> str:
    """Return what to do when a file is missing in the snapshot that is there in the app's folder, "" otherwise."""
    if not isinstance(error, FileNotFoundError) or not isinstance(error.filename, str):
        return ""
    path = os.path.abspath(error.filename)
    own, (app, _) = name_own_files(path), snapshot_of(path)
    if own == path or not os.path.exists(own):
        return ""
    name = own[len(app) + 1 :]
    return (
        f'{name} is no part of the component. Add it in matinee.toml: files = ["{name}"] '
        "(secrets and ignored files never are: `matinee inspect` names them)."
    )
