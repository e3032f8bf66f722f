"""`matinee test --containers`: what each image needs, and what to change, before anything is uploaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from matinee.operate.test import Import, Measured

pytestmark = pytest.mark.slow


def test_it_reports_size_cold_start_and_peak_memory_of_each_predictor(habits: Path):
    command = [sys.executable, "-m", "matinee.cli.main", "test", "--containers", "--json", "--app", str(habits)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["ok"] and [item["predictor"] for item in told["tried"]] == ["greet", "count"]
    measured = {item["predictor"]: item for item in told["measured"]}
    greet, count = measured["greet"], measured["count"]
    assert 0.1 < greet["cold_start_s"] < 30 and count["cold_start_s"] is None
    assert 10 < greet["peak_mb"] < 256 and 10 < count["peak_mb"] < 128
    assert greet["image"].startswith("habits-") and greet["image_mb"] > 50
    assert not (habits / ".matinee" / "state.db").exists(), "the app's own data is left alone"


def measured(**more: object) -> Measured:
    told = {"predictor": "plan", "image": "plan-1", "image_mb": 200.0, "memory_mb": 512, "peak_mb": 200.0, **more}
    return Measured(**told)


@pytest.mark.parametrize(
    ("needs", "advice"),
    [
        (measured(), ()),
        (measured(peak_mb=480.0), ("plan used 480 MB of 512: raise memory_mb to 768.",)),
        (measured(peak_mb=60.0), ("plan used 60 MB of 512: 128 MB would do.",)),
        (measured(peak_mb=0.0), ()),
        (measured(cold_start_s=1.2), ()),
        (
            measured(cold_start_s=3.1, slowest=Import("torch", 2.4)),
            ("plan starts in 3.1 s, of which 2.4 s is `import torch`.",),
        ),
    ],
)
def test_the_advice_says_what_to_change(needs, advice):
    assert needs.advice == advice


def test_a_slow_import_is_found_and_named(habits: Path):
    (habits / "slow_library.py").write_text("import time\ntime.sleep(2.5)\n")
    source = habits / "habits.py"
    source.write_text("import slow_library\n" + source.read_text())
    toml = habits / "matinee.toml"
    toml.write_text(toml.read_text() + 'shared = ["slow_library.py"]\n')
    command = [sys.executable, "-m", "matinee.cli.main", "test", "greet", "--containers", "--app", str(habits)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert "s is `import slow_library`." in done.stderr
