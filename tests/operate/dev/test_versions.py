"""A version's number names one content: runs carry the version that computed them, and nothing else makes one."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import matinee
from matinee.client.core import Client
from matinee.client.host import LocalHost
from matinee.project.load import load
from matinee.testing.harness import running_app, wait_until

pytestmark = pytest.mark.slow

NUMBERED = """
from matinee import realtime
from helpers import NUMBER

@realtime
def number() -> list[int]:
    return [{number}, NUMBER]
"""


def save(folder: Path, number: int) -> None:
    (folder / "main.py").write_text(NUMBERED.format(number=number))


@pytest.fixture
def app_folder(tmp_path: Path) -> Path:
    (tmp_path / "matinee.toml").write_text('name = "numbers"\ncomponents = ["main.py"]\n')
    (tmp_path / "helpers.py").write_text("NUMBER = 0\n")
    save(tmp_path, 0)
    return tmp_path


def test_every_result_is_labelled_with_the_version_that_computed_it(app_folder):
    answers: list[list[int]] = []
    with running_app(app_folder, "--no-ui"), matinee.connect(app_folder) as app:
        for n in range(1, 13):
            save(app_folder, n)
            until = time.monotonic() + 0.3
            while time.monotonic() < until:
                answers.append(app.number())
        wait_until(lambda: app.number() == [12, 0])
        runs = [view.run for view in app.runs("number", limit=1000)]
    content_of: dict[str, set[str]] = {}
    for run in runs:
        content_of.setdefault(run.version, set()).add(str(run.result))
    assert len(content_of) > 1
    assert all(len(contents) == 1 for contents in content_of.values()), content_of


def test_a_module_beside_is_live_when_it_is_saved(app_folder):
    with running_app(app_folder, "--no-ui"), matinee.connect(app_folder) as app:
        assert app.number() == [0, 0]
        (app_folder / "helpers.py").write_text("NUMBER = 7\n")
        wait_until(lambda: app.number() == [0, 7])
        assert app.runs("number")[0].run.version == "v2"


def test_content_that_returns_has_its_old_number(app_folder):
    with LocalHost(load(app_folder)) as host:
        labels = []
        for n in (0, 1, 0, 2):
            save(app_folder, n)
            labels.append(host.reload(load(app_folder)).components[0].label)
    assert labels == ["v1", "v2", "v1", "v3"]


def test_a_process_that_starts_after_a_save_runs_the_released_version(app_folder):
    with LocalHost(load(app_folder)) as host:
        host.reload(load(app_folder))
        save(app_folder, 1)
        assert Client(host.backend, host.settings, "ada").predict("number", {}).result == [0, 0]


def test_what_is_written_into_the_folder_makes_no_release(app_folder):
    code = (app_folder / "main.py").read_text()
    writing = "import os\nfrom pathlib import Path\nPath(__file__).with_name('cache').write_text(str(os.getpid()))\n"
    (app_folder / "main.py").write_text(writing + code)
    with running_app(app_folder, "--no-ui") as dev, matinee.connect(app_folder) as app:
        assert app.number() == [0, 0]
        before = app.client.release().number
        for n in range(20):
            (app_folder / "dev.log").write_text("line\n" * n)
            (app_folder / f"cache-{n}.json").write_text("{}")
            app.number()
        (app_folder / "helpers.py").write_text("NUMBER = 1\n")  # what is seen after all of them
        wait_until(lambda: app.number() == [0, 1])
        wait_until(lambda: app.client.release().number == before + 1)
        assert "v3" not in dev.text


def test_a_component_that_fails_is_tried_again_when_something_that_matters_changes(app_folder):
    save(app_folder, 0)
    (app_folder / "helpers.py").write_text("NUMBER = 1 / 0\n")
    (app_folder / "dev.log").write_text("")
    with running_app(app_folder, "--no-ui") as dev, matinee.connect(app_folder) as app:
        wait_until(lambda: "division by zero" in dev.text)
        for n in range(20):
            (app_folder / "dev.log").write_text("line\n" * n)
        (app_folder / "helpers.py").write_text("NUMBER = 2\n")
        wait_until(lambda: app.client.release().predictor("number"))
        assert app.number() == [0, 2]
        assert dev.text.count("division by zero") == 1


def test_logs_and_tracebacks_name_the_users_own_file(app_folder):
    (app_folder / "helpers.py").write_text("NUMBER = 0\ndef fail():\n    print('from', __file__)\n    return 1 / 0\n")
    (app_folder / "main.py").write_text(
        "from matinee import batch, realtime\nimport helpers\n"
        "@realtime\ndef now() -> int:\n    return helpers.fail()\n"
        "@batch(retries=0)\ndef later() -> int:\n    return helpers.fail()\n"
    )
    lines: list[str] = []
    with LocalHost(load(app_folder), lambda _component, line: lines.append(line)) as host:
        host.reload(load(app_folder))
        client = Client(host.backend, host.settings, "ada")
        failed = [client.predict("now", {}), client.wait(client.submit("later", {}).id, timeout_s=30)]
    own = f'File "{app_folder / "helpers.py"}", line 4'
    assert [run.status for run in failed] == ["failed", "failed"]
    assert sum(own in line for line in lines) >= 1
    assert lines.count(f"from {app_folder / 'helpers.py'}") == 2
    assert "snapshots" not in str((lines, failed))
