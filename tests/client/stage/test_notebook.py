"""`examples/notebook.ipynb` runs as Jupyter runs it: on this machine, and, with its one changed line, on a stage."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from support.stage import emulated_stage

EXAMPLES = Path(__file__).parents[3] / "examples"
HERE, STAGE = 'matinee.connect("activity")', 'matinee.connect("activity", stage="dev")'
CELL_S = 300  # the first makes environments


@pytest.fixture
def notebook():
    return nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)


@pytest.fixture
def folder(tmp_path):
    ignored = shutil.ignore_patterns(".matinee", "__pycache__")
    shutil.copytree(EXAMPLES / "activity", tmp_path / "activity", ignore=ignored)
    return tmp_path


def executed(notebook, folder):
    """Run all cells and return what the code cells printed, by their first line."""
    client = NotebookClient(notebook, timeout=CELL_S, kernel_name="python3", resources={"metadata": {"path": folder}})
    client.execute()
    return {cell.source.splitlines()[0]: said(cell) for cell in notebook.cells if cell.cell_type == "code"}


def said(cell):
    return "".join(out.get("text", "") or out.get("data", {}).get("text/plain", "") for out in cell.outputs)


def check(printed):
    assert " out of " in printed['answer = app.recommend(gender="female")']
    assert printed["try:"].startswith("gender: ")
    assert "'fencing'" in printed['app.recommend(gender="female", past_activity="Fencing")']
    assert printed["import time"].strip().endswith("succeeded")
    days = printed["plan = run.result(timeout_s=600)"].split()
    assert (len(days), days[0], days[1][:10], days[-1][:10]) == (15, "date,activity", "2026-12-01", "2026-12-14")
    assert "'start': '2026-12-01'" in printed["same = app.run(run.id)  # as from another machine"]
    rows = printed["from pathlib import Path"].splitlines()
    assert [row.partition(" → ")[0].count("chess") for row in rows] == [1, 0, 0]
    assert all(row.partition(" → ")[2] for row in rows)
    assert "INFO 14 days to plan" in printed["same = app.run(run.id)  # as from another machine"]
    assert "Too much of the same" in printed['run.feedback(-1, "Too much of the same", corrected=None)']
    newest = printed["for one in app.runs(limit=5):"].splitlines()
    assert len(newest) == 5
    assert all("succeeded" in line for line in newest)


@pytest.mark.slow
def test_the_notebook_runs_on_this_machine(notebook, folder):
    check(executed(notebook, folder))


@pytest.mark.slow
def test_the_notebook_runs_on_a_stage_with_one_changed_line(notebook, folder, endpoint, monkeypatch):
    (cell,) = (cell for cell in notebook.cells if cell.cell_type == "code" and HERE in cell.source)
    assert cell.source.count("\n") <= 2
    assert any(STAGE in cell.source for cell in notebook.cells if cell.cell_type == "markdown"), "it says which"
    cell.source = cell.source.replace(HERE, STAGE)
    with emulated_stage(folder / "activity", endpoint) as stage:
        for name, value in stage.environment.items():
            monkeypatch.setenv(name, value)
        check(executed(notebook, folder))
        assert stage.store.release().number == 1
        assert not (folder / "activity" / ".matinee" / "state.db").exists()


def test_the_notebook_is_kept_without_outputs(notebook):
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
