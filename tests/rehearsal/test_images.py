"""The rehearsal in images: what was pushed to the emulated registry is what runs, and nothing of it is left."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from matinee.errors import BackendError
from matinee.images.engine import Engine
from matinee.rehearsal.images import LABEL

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "activity"
STORY = """
import json, subprocess
def story(stage):
    client = stage.connect("ada")
    predicted = client.predict("recommend", {"gender": "female"})
    run = client.submit("plan", {"gender": "male", "start": "2026-01-01", "end": "2026-01-03"})
    run = client.wait(run.id, timeout_s=120)
    listed = subprocess.run(["docker", "ps", "--quiet", "--filter", "label=matinee.rehearsal"], capture_output=True)
    containers = json.loads(subprocess.check_output(["docker", "inspect", *listed.stdout.decode().split()]))
    told = {"endpoint": stage.world.endpoint, "statuses": [predicted.status.value, run.status.value]}
    told["read_only"] = [c["HostConfig"]["ReadonlyRootfs"] for c in containers]
    told["memory_mb"] = sorted({c["HostConfig"]["Memory"] // 2**20 for c in containers})
    told["images"] = [c["Config"]["Image"] for c in containers]
    told["users"] = [c["Config"]["User"] for c in containers]
    json.dump(told, open("told.json", "w"))
"""


@pytest.fixture
def docker():
    try:
        engine = Engine.detect()
    except BackendError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(error.message)
    if engine.command != "docker" and not engine.command.endswith("/docker"):
        pytest.skip("This looks at containers with Docker's own words.")
    return engine


def test_what_was_pushed_runs_by_digest_within_its_limits_and_goes_again(docker, tmp_path):
    app = tmp_path / "activity"
    shutil.copytree(EXAMPLE, app, ignore=shutil.ignore_patterns(".matinee", "__pycache__"))
    (app / "story.py").write_text(STORY)
    command = [sys.executable, "-m", "matinee.cli.main", "rehearse", "--images", "--script", "story.py"]
    done = subprocess.run(command, cwd=app, capture_output=True, text=True, timeout=550, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    told = json.loads((app / "told.json").read_text())
    assert told["statuses"] == ["succeeded", "succeeded"]
    registry = told["endpoint"].removeprefix("http://")
    assert all(image.startswith(f"{registry}/matinee-activity-dev@sha256:") for image in told["images"])
    assert all(told["read_only"])
    assert "root" not in told["users"]
    assert "" not in told["users"]
    assert 512 in told["memory_mb"]
    assert not docker.run("ps", "--all", "--quiet", "--filter", f"label={LABEL}").stdout.strip()
    assert registry not in docker.run("images", "--format", "{{.Repository}}").stdout
