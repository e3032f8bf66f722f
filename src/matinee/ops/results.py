"""Writes a result to a file: a blob as its bytes, a table as its ending says (else CSV), anything else as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matinee.client.core import Client
from matinee.client.rows import summary
from matinee.client.rows_result import RowsResult
from matinee.errors import UsageError
from matinee.runs import Run
from matinee.tables.write import FORMATS, frame, write
from matinee.values import registry
from matinee.values.blobs import is_blob

Json = Any


def save_run(client: Client, run: Run, result: Json, file: Path) -> None:
    """Write a run's result to `file`; of a run of many rows, the table."""
    if summary(run) is None:
        save(result, client.read_blob, file)
    else:
        RowsResult(client, run).save(file)


def save(result: Json, read_blob: Callable[[Json], bytes], file: Path) -> None:
    """Write the result to `file`. Raises UsageError when it cannot be written."""
    try:
        if is_blob(result):
            file.write_bytes(read_blob(result))
        elif not registry.fault("table", result) and file.suffix.lower() != ".json":
            ending = file.suffix.lower().removeprefix(".")
            with file.open("wb") as stream:
                stream.writelines(write(ending if ending in FORMATS else "csv", *frame(result)))
        else:
            file.write_text(json.dumps(result, ensure_ascii=False, indent=2) + "\n", "utf-8")
    except OSError as error:
        raise UsageError(
            f"Cannot write {file}: {error.strerror or error}.", hint="Name a file in a folder you may write to."
        ) from error
