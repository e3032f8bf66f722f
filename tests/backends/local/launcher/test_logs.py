"""Log files: per run and per component, readable while they are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from matinee.backends.local import logs as local_logs
from matinee.backends.local.logs import FolderLogs
from matinee.ports import LogLine


def line(message: str, run: str = "run1", component: str = "plan") -> LogLine:
    return LogLine(1.5, "INFO", message, component, run, {"n": 1})


def test_lines_come_back_as_they_were_written_by_run_and_by_component(tmp_path: Path) -> None:
    logs = FolderLogs(tmp_path)
    logs.write([line("one"), line("two", run="run2"), line("drei\nünd")])
    assert logs.read("run1") == [line("one"), line("drei\nünd")]
    assert logs.read("run2") == [line("two", run="run2")]
    lines, offset = logs.read_component("plan")
    assert [each.message for each in lines] == ["one", "two", "drei\nünd"]
    logs.write([line("later")])
    assert [each.message for each in logs.read_component("plan", offset)[0]] == ["later"]


def test_nothing_written_is_nothing_read_and_no_id_leaves_the_folder(tmp_path: Path) -> None:
    logs = FolderLogs(tmp_path / "logs")
    (tmp_path / "secret.jsonl").write_text('{"at": 1, "level": "INFO", "message": "secret"}\n')
    assert logs.read("unknown") == logs.read("../../secret") == []
    assert logs.read_component("unknown") == ([], 0)


def test_a_torn_or_foreign_line_hides_no_other(tmp_path: Path) -> None:
    logs = FolderLogs(tmp_path)
    logs.write([line("one")])
    with (tmp_path / "runs" / "run1.jsonl").open("a") as file:
        file.write('garbage\n{"at": 2}\n')
    logs.write([line("two")])
    with (tmp_path / "runs" / "run1.jsonl").open("a") as file:
        file.write('{"at": 3, "level": "INFO", "mess')
    assert [each.message for each in logs.read("run1")] == ["one", "two"]


def test_lines_and_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_logs, "MAX_RUN_BYTES", 2000)
    monkeypatch.setattr(local_logs, "MAX_COMPONENT_BYTES", 2000)
    logs = FolderLogs(tmp_path)
    logs.write([line("x" * 10_000)])
    assert len(logs.read("run1")[0].message) < 5000
    for number in range(100):
        logs.write([line(f"line {number}", run="run2")])
    texts = [each.message for each in logs.read("run2")]
    assert texts[0] == "line 0"
    assert "full" in texts[-1]
    assert len(texts) < 50
    assert (tmp_path / "components" / "plan.jsonl").stat().st_size < 5000
    recent, _ = logs.read_component("plan", 10**9)
    assert recent[-1].message == "line 99"
