"""`matinee rehearse` as a person runs it: a story, bad input, Ctrl-C, kill -9; and nothing is left behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from matinee.rehearsal.world import ministack
from matinee.testing.harness import wait_until
from support.emulators import skip_if_unavailable

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "activity"
STORY = """
def story(stage):
    client = stage.connect("ada")
    run = client.predict("recommend", {"gender": "female"})
    open("told.txt", "w").write(f"{stage.world.endpoint} {stage.url} {run.status.value}")
"""


@pytest.fixture(scope="module", autouse=True)
def _needs_an_emulator():
    with skip_if_unavailable(), ministack():
        pass


@pytest.fixture
def app(tmp_path):
    folder = tmp_path / "activity"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".matinee", "__pycache__"))
    return folder


@pytest.fixture
def rehearse(app):
    started = []

    def start(*options):
        log = (app / "out.txt").open("wb")
        command = [sys.executable, "-m", "matinee.cli.main", "rehearse", *options]
        process = subprocess.Popen(
            command, cwd=app, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def output(app):
    return (app / "out.txt").read_text()


def processes_of(app):
    """Return the processes that were started for this app: its folder is in what they were told."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                told = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
            except OSError:
                continue
            if f"{app}/.matinee".encode() in told:
                found.append(process.name)
    return found


def is_open(address):
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", int(address.rpartition(":")[2]))) == 0


def test_a_story_is_played_and_nothing_is_left(app, rehearse):
    (app / "story.py").write_text(STORY)
    assert rehearse("--script", "story.py").wait(240) == 0, output(app)
    endpoint, url, status = (app / "told.txt").read_text().split()
    assert status == "succeeded"
    assert "emulated" in output(app)
    assert "checked as template only" in output(app)
    assert not processes_of(app)
    assert not is_open(endpoint)
    assert not is_open(url)
    assert not (app / ".matinee" / "rehearsal").exists()


def test_a_story_that_goes_otherwise_is_told_by_its_line(app, rehearse):
    (app / "story.py").write_text("def story(stage):\n    assert stage.url == 'elsewhere', 'not there'\n")
    assert rehearse("--script", "story.py").wait(240) == 1
    assert "The story of story.py went otherwise: AssertionError: not there (line 2)" in output(app)
    assert not processes_of(app)


def test_kill_9_leaves_no_process_either(app, rehearse):
    process = rehearse("--keep")
    wait_until(lambda: process.poll() is not None or "Ready after" in output(app), timeout_s=240, what="the page")
    (url,) = (word for word in output(app).split() if word.startswith("http://127"))
    assert urllib.request.urlopen(url, timeout=10).status == 200
    second = subprocess.run(process.args, cwd=app, capture_output=True, text=True, timeout=60, check=False)
    assert (second.returncode, "This app is being rehearsed already." in second.stderr) == (2, True), second.stderr
    assert processes_of(app)
    process.kill()
    wait_until(lambda: not processes_of(app), what="the end of its processes")
    assert (app / ".matinee" / "rehearsal").exists(), "data is kept when that is asked for"


def test_ctrl_c_ends_it_clean(app, rehearse):
    process = rehearse()
    wait_until(lambda: process.poll() is not None or "Ready after" in output(app), timeout_s=240, what="the page")
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 0, output(app)
    assert not processes_of(app)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--break", "earthquake"), "There is no kind of failure 'earthquake'."),
        (("--script", "missing.py"), "There is no story"),
        (("--stage", "dev-data"), "There can be no stage 'dev-data'"),
        (("--app", "nowhere"), "nowhere"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(app, rehearse, options, said):
    assert rehearse(*options).wait(60) == 2
    assert said in output(app)
    assert "Traceback" not in output(app)
