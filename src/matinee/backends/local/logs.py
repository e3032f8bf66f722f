"""Log lines as JSON, one file per run and one per component: `logs/runs/RUN.jsonl`, `logs/components/NAME.jsonl`."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from matinee import log_lines
from matinee.own_paths import name_own_files
from matinee.private_files import open_private

if TYPE_CHECKING:  # a worker must start fast, and most write no line
    from matinee.ports import LogLine

MAX_RUN_BYTES = 5_000_000  # of one run's file; a last line says that the rest is missing
MAX_COMPONENT_BYTES = 5_000_000  # then the file becomes NAME.1.jsonl and a new one begins
_FULL = log_lines.to_json(0, "WARNING", "The log of this run is full: what follows was not kept.").encode()


class FolderLogs:
    """Writes and reads log lines in `folder`; implements `ports.Logs`."""

    def __init__(self, folder: Path) -> None:
        self._runs = folder / "runs"
        self._components = folder / "components"

    def write(self, lines: Iterable[LogLine], *, of_runs_only: bool = False) -> None:
        """Append lines to the files of their runs and components; OSError when the disk does not take them.

        `of_runs_only`: not to the components'.
        """
        by_file: dict[Path, list[str]] = {}
        for line in lines:
            text = name_own_files(_encode(line))
            if line.run_id and _is_name(line.run_id):
                by_file.setdefault(self._runs / f"{line.run_id}.jsonl", []).append(text)
            if line.component and not of_runs_only and _is_name(line.component):
                by_file.setdefault(self._components / f"{line.component}.jsonl", []).append(text)
        for path, texts in by_file.items():
            self._append(path, "".join(texts).encode())

    def read(self, run_id: str) -> list[LogLine]:
        """Return the run's lines in order; none for a run that wrote nothing."""
        return self._read(self._runs / f"{run_id}.jsonl", 0)[0] if _is_name(run_id) else []

    def read_component(self, component: str, offset: int = 0) -> tuple[list[LogLine], int]:
        """Return a component's lines from `offset` (bytes) on, and the offset to go on from.

        An offset beyond the end (the file was begun anew) starts from the beginning.
        """
        return self._read(self._components / f"{component}.jsonl", offset) if _is_name(component) else ([], 0)

    def new_lines(self, offsets: dict[Path, int], since: float = 0.0) -> list[LogLine]:
        """Return what was written to any file since the last look, in the order of time; `offsets` is brought forward.

        Files that nobody has written to since `since` (epoch seconds) are passed over. A run's line that is in its
        component's file too is given once.
        """
        found: list[LogLine] = []
        for path in [*self._runs.glob("*.jsonl"), *self._components.glob("*.jsonl")]:
            with suppress(FileNotFoundError):
                stat = path.stat()
                if offsets.get(path) == stat.st_size or (path not in offsets and stat.st_mtime < since):
                    continue
                lines, offsets[path] = self._read(path, offsets.get(path, 0))
                found += [line for line in lines if path.parent == self._runs or not line.run_id]
        return sorted((line for line in found if line.at >= since), key=lambda line: line.at)

    def _append(self, path: Path, data: bytes) -> None:
        size = path.stat().st_size if path.exists() else 0
        if path.parent == self._runs and size >= MAX_RUN_BYTES:
            return
        if path.parent == self._components and size >= MAX_COMPONENT_BYTES:
            path.replace(path.with_suffix(".1.jsonl"))
        if path.parent == self._runs and size + len(data) >= MAX_RUN_BYTES:
            data += _FULL
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_private(path, "ab", buffering=0) as file:  # one write: lines of two processes do not mix
            file.write(data)

    def _read(self, path: Path, offset: int) -> tuple[list[LogLine], int]:
        try:
            with path.open("rb") as file:
                start = offset if offset <= path.stat().st_size else 0
                file.seek(start)
                data = file.read()
        except FileNotFoundError:
            return [], 0
        whole = data[: data.rfind(b"\n") + 1]  # the last line may be half-written
        return [line for text in whole.splitlines() if (line := _decode(text))], start + len(whole)


def _encode(line: LogLine) -> str:
    return log_lines.to_json(
        line.at, line.level, line.message, component=line.component, run_id=line.run_id, fields=line.fields
    )


def _decode(text: bytes) -> LogLine | None:
    from matinee.ports import LogLine

    with suppress(ValueError):  # a line torn by a crash is no reason to hide the others
        return LogLine(**log_lines.from_json(text))
    return None


def _is_name(name: str) -> bool:
    """Whether the name is one path part, so that an id from outside reads nothing else."""
    return name.replace("-", "").replace("_", "").isalnum()
