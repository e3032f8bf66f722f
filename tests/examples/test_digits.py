"""Handwritten digits as a whole; scikit-learn is in the components' processes and nowhere else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

import matinee
from matinee import File
from matinee.testing.harness import running_app

SOURCE = Path(__file__).parents[2] / "examples" / "digits"
LIBRARY = "/sklearn/"
pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(SOURCE, tmp_path / "digits", ignore=shutil.ignore_patterns(".matinee", "__pycache__"))
    return tmp_path / "digits"


def processes_below(pid: int) -> set[int]:
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it ended meanwhile
        if parent == pid:
            found |= {int(stat.parent.name), *processes_below(int(stat.parent.name))}
    return found


def read(pid: int, file: str) -> str:
    try:
        return Path(f"/proc/{pid}/{file}").read_text(errors="replace")
    except OSError:
        return ""


def test_scikit_learn_is_loaded_by_the_predictor_and_never_by_the_ui_or_the_host(folder: Path) -> None:
    with running_app(folder) as dev, matinee.connect(folder) as app:
        answer = app.classify(image=File.from_path(folder / "samples" / "seven.png"))
        assert answer.label == 7
        running = {dev.process.pid, *processes_below(dev.process.pid)}
        with_library = {pid for pid in running if LIBRARY in read(pid, "maps")}
        ui = {pid for pid in running if "matinee.ui" in read(pid, "cmdline")}
        assert with_library, "the predictor's own process must have it"
        assert ui, "the UI runs in a process of its own"
        assert not with_library & {dev.process.pid, *ui}


def test_an_evaluation_is_a_table_and_a_picture(folder: Path) -> None:
    with matinee.connect(folder) as app:
        run = app.evaluate.submit(model="random forest", hyper_parameters={"trees": 10}, folds=2)
        evaluation = run.result(timeout_s=180)
        assert evaluation.accuracy > 0.9
        assert evaluation.metrics["digit"] == list(range(10))
        assert isinstance(evaluation.confusion.image(), Image.Image)


def test_an_empty_picture_is_refused_at_its_field(folder: Path) -> None:
    with matinee.connect(folder) as app, pytest.raises(matinee.InputError, match="image: there is nothing drawn"):
        app.classify(image=Image.new("RGB", (64, 64), "white"))
