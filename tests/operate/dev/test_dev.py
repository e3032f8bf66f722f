"""`matinee dev` as its user meets it: reload on save, signals, kills, and that it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from subprocess import DEVNULL, Popen, run
from sys import executable

import pytest

import matinee
from matinee.client.host import open_client
from matinee.project.load import load
from matinee.runs import Status
from matinee.testing.harness import running_app, wait_until

pytestmark = pytest.mark.slow


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z" if Path(f"/proc/{pid}").exists() else False


def processes_of(folder: Path) -> list[int]:
    """Every process that was told of this app's data folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if f"MATINEE_DATA={folder.resolve()}/.matinee".encode() in environment and alive(int(entry.name)):
                found.append(int(entry.name))
    return found


def test_a_changed_component_is_live_within_a_second_and_others_keep_their_processes(greeting_app):
    (greeting_app / "other.py").write_text(
        "import os\nfrom matinee import realtime\n\n@realtime\ndef pid() -> int:\n    return os.getpid()\n"
    )
    toml = greeting_app / "matinee.toml"
    toml.write_text(toml.read_text().replace('"greeting.py"', '"greeting.py", "other.py"'))
    with running_app(greeting_app, "--no-ui"), matinee.connect(greeting_app) as app:
        kept = app.pid()
        assert app.greet(name="Ada").text == "Hello, Ada!"
        source = greeting_app / "greeting.py"
        saved = time.monotonic()
        source.write_text(source.read_text().replace('"Hello"', '"Good morning"'))
        wait_until(lambda: app.greet(name="Ada").text == "Good morning, Ada!", timeout_s=10)
        assert time.monotonic() - saved < 5, "the promise is a second on an idle machine"
        assert app.pid() == kept
        assert app.runs("greet")[0].run.version == "v2"


def test_a_syntax_error_is_shown_with_file_and_line_and_mended_by_saving(greeting_app):
    with running_app(greeting_app, "--no-ui") as dev, matinee.connect(greeting_app) as app:
        source = greeting_app / "greeting_all.py"
        good = source.read_text()
        source.write_text("def broken(:\n")
        broken = wait_until(lambda: [c.trouble for c in app.client.release().components if c.trouble])
        assert (Path(broken[0].file).name, broken[0].line) == ("greeting_all.py", 1)
        assert app.greet(name="Ada").text == "Hello, Ada!", "the others keep working"
        wait_until(lambda: "greeting_all.py" in dev.text)
        source.write_text(good)
        wait_until(lambda: app.client.release().predictor("greet_all"))
        assert app.greet_all(names=["Ada"])


def test_a_running_batch_run_finishes_on_the_old_version(greeting_app):
    with running_app(greeting_app, "--no-ui") as dev, matinee.connect(greeting_app) as app:
        run = app.greet_all.submit(names=["Ada"] * 8, seconds_each=0.25)
        wait_until(lambda: run.progress.fraction)
        wait_until(lambda: "greeting 8 in attempt 1" in dev.text and "greeting Ada" in dev.text, what="the log lines")
        source = greeting_app / "greeting_all.py"
        source.write_text(source.read_text().replace("greet(name=name).text", "'changed'"))
        wait_until(lambda: app.client.release().component_of("greet_all").label == "v2")
        assert run.status == "running"
        assert run.result(timeout_s=30) == {"Ada": "Hello, Ada!"}
        assert (run.run.attempt, run.run.version) == (1, "v1")
        assert app.greet_all(names=["Ada"]) == {"Ada": "changed"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything_it_started_and_gives_runs_back(greeting_app, number):
    with running_app(greeting_app, "--port", "8790") as dev:
        with matinee.connect(greeting_app) as app:
            app.greet(name="Ada")
            run = app.greet_all.submit(names=["Ada"] * 100, seconds_each=0.2)
            wait_until(lambda: run.status == "running")
        assert len(processes_of(greeting_app)) >= 3
        dev.signal(number)
    wait_until(lambda: not processes_of(greeting_app), what="the end of all processes")
    assert dev.process.returncode in (0, 130)


@pytest.mark.parametrize("at", ["start", "reload"])
def test_ctrl_c_during_a_slow_import_ends_everything_at_once(write_app, tmp_path, at):
    importing = tmp_path / "importing"
    fast = "from matinee import realtime\n\n@realtime\ndef one() -> int:\n    return 1\n"
    slow = f"import time, pathlib\npathlib.Path({str(importing)!r}).touch()\ntime.sleep(600)\n{fast}"
    folder = write_app(one=slow if at == "start" else fast)
    command = [executable, "-m", "matinee.cli.main", "dev", "--app", str(folder), "--no-ui"]
    output = tmp_path / "output"
    with output.open("wb") as log:
        dev = Popen(command, stdout=log, stderr=log, stdin=DEVNULL, start_new_session=True)
    try:
        if at == "reload":
            wait_until(lambda: "Ready" in output.read_text(), what="the start", timeout_s=60)
            (folder / "one.py").write_text(slow)
        wait_until(importing.exists, what="the import", timeout_s=60)
    finally:
        dev.send_signal(signal.SIGINT)
        began = time.monotonic()
        code = dev.wait(30)
    assert code in (0, 130)
    assert time.monotonic() - began < 5, "a second on an idle machine"
    assert "Traceback" not in output.read_text()
    assert "Everything has ended (SIGINT)." in output.read_text()
    wait_until(lambda: not processes_of(folder), what="the end of all processes")


def test_after_a_kill_of_dev_everything_queued_finishes_by_connect_alone(greeting_app):
    with running_app(greeting_app, "--no-ui") as dev:
        with matinee.connect(greeting_app) as app:
            ids = [r.id for r in app.greet_all.submit_many([{"names": ["Ada"], "seconds_each": 0.1}] * 12)]
            wait_until(lambda: app.runs(status="running"))
        dev.signal(signal.SIGKILL)
    with open_client(load(greeting_app)) as client:
        runs = [client.wait(run_id, timeout_s=60) for run_id in ids]
    assert {run.status for run in runs} == {Status.SUCCEEDED}
    wait_until(lambda: not processes_of(greeting_app), what="the end of all processes")


def test_a_second_dev_on_the_same_app_is_refused_and_a_taken_port_is_passed_over(greeting_app, write_app, tmp_path):

    with running_app(greeting_app, "--port", "8795") as dev:
        second = run(
            [executable, "-m", "matinee.cli.main", "dev", "--app", str(greeting_app)], capture_output=True, text=True
        )
        assert second.returncode != 0
        assert "already runs on this app" in second.stderr
        other = tmp_path / "other.py"
        other.write_text("from matinee import realtime\n\n@realtime\ndef one() -> int:\n    return 1\n")
        with running_app(other, "--port", dev.url.rsplit(":", 1)[1]) as next_one:
            assert next_one.url != dev.url
            assert "in use" in next_one.text


def test_a_scheduled_predictor_is_announced_and_nonsense_is_shown_with_its_line(write_app):
    source = """
        from matinee import batch

        @batch(schedule="cron(0 9 1 JAN ? 2199)")
        def report(days: int = 7) -> int:
            return days
    """
    folder = write_app(report=source)
    with running_app(folder, "--no-ui") as dev, matinee.connect(folder) as app:
        assert "report runs by itself, cron(0 9 1 JAN ? 2199): next at 2199-01-01 09:00 UTC." in dev.text
        (folder / "report.py").write_text((folder / "report.py").read_text().replace("2199", "1969"))
        broken = wait_until(lambda: [c.trouble for c in app.client.release().components if c.trouble])
    assert broken[0].message == "'cron(0 9 1 JAN ? 1969)' has no valid year: '1969'."
    assert (Path(broken[0].file).name, broken[0].line) == ("report.py", 4)
