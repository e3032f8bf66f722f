"""The process launcher: one worker per token, known to be alive or ended by every launcher on the folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from matinee.backends.local import launcher as local_launcher
from matinee.backends.local.launcher import LaunchCommand, ProcessLauncher
from matinee.errors import BackendError
from matinee.runs import Slot

MakeLauncher = Callable[..., ProcessLauncher]
SLEEP = "import time; open('began', 'a').write('x'); time.sleep(60)"


def slot(token: str = "token") -> Slot:
    return Slot("work", 0, token, "hash", time.time())


def ended(launcher: ProcessLauncher, token: str = "token") -> bool:
    return launcher.status([slot(token)])[token].ended


def wait_until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[MakeLauncher]:
    """Return a function that makes a launcher of Python code; all their workers end with the test."""
    made: list[ProcessLauncher] = []

    def launcher(code: str = SLEEP, command: list[str] | None = None, **options: object) -> ProcessLauncher:
        run = LaunchCommand(command or [sys.executable, "-c", code], dict(os.environ), str(tmp_path))
        made.append(ProcessLauncher(lambda _: run, tmp_path, **options))  # type: ignore[arg-type]
        return made[-1]

    yield launcher
    for each in made:
        each.stop_all()


def test_a_token_launches_one_worker_however_often_and_by_whom_it_is_asked(make: MakeLauncher, tmp_path: Path) -> None:
    launchers = [make(), make(), make()]
    handles: list[str] = []
    threads = [threading.Thread(target=lambda each=each: handles.append(each.launch(slot()))) for each in launchers * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(handles)) == 1
    wait_until(lambda: (tmp_path / "began").exists() and (tmp_path / "began").read_text() == "x")
    assert len(handles) == 12


def test_a_token_whose_worker_has_ended_is_not_launched_again(make: MakeLauncher, tmp_path: Path) -> None:
    launcher = make("open('began', 'a').write('x')")
    handle = launcher.launch(slot())
    wait_until(lambda: ended(launcher))
    assert launcher.launch(slot()) == handle
    assert ended(launcher)
    assert (tmp_path / "began").read_text() == "x"


def test_every_launcher_on_the_folder_sees_whether_a_worker_lives(make: MakeLauncher) -> None:
    mine, other = make(), make()
    assert ended(other)
    mine.launch(slot())
    assert not ended(other)
    other.stop(slot())
    wait_until(lambda: ended(mine))
    assert "SIGTERM" in _reason(mine)
    assert "SIGTERM" in _reason(other)


def test_a_worker_lives_on_without_its_launcher_and_its_end_is_seen(make: MakeLauncher, tmp_path: Path) -> None:
    script = f"""
import os, sys, time
from pathlib import Path
from matinee.backends.local.launcher import LaunchCommand, ProcessLauncher
from matinee.runs import Slot
command = LaunchCommand([sys.executable, "-c", {SLEEP!r}], dict(os.environ), {str(tmp_path)!r})
ProcessLauncher(lambda _: command, Path({str(tmp_path)!r})).launch(Slot("work", 0, "token", "hash", 0.0))
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=20)
    launcher = make()
    assert not ended(launcher)
    launcher.stop(slot())
    wait_until(lambda: ended(launcher))
    assert _reason(launcher) == "It ended without saying why."


def test_the_lock_is_the_workers_alone_and_not_its_childrens(make: MakeLauncher, tmp_path: Path) -> None:
    code = """
import subprocess, sys
from pathlib import Path
child = subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL)
Path("child").write_text(str(child.pid))
"""
    launcher = make(code)
    launcher.launch(slot())
    wait_until(lambda: ended(launcher))
    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


def test_the_reason_is_the_exit_code_and_the_last_line(make: MakeLauncher, tmp_path: Path) -> None:
    heard: list[Slot] = []
    launcher = make("import sys; print('first'); sys.exit('no such manifest')", on_exit=heard.append)
    launcher.launch(slot())
    wait_until(lambda: heard)
    assert _reason(launcher) == "The worker ended with exit code 1: no such manifest"
    assert [each.token for each in heard] == ["token"]
    assert "first" in (tmp_path / "logs" / "workers" / "token.log").read_text()


def test_what_cannot_start_says_why_and_leaves_nothing(make: MakeLauncher) -> None:
    launcher = make(command=["/no/such/python"])
    with pytest.raises(BackendError, match="No such file"):
        launcher.launch(slot())
    assert _reason(launcher) == "It was never started on this machine."


def test_stop_all_ends_also_a_worker_that_does_not_listen(make: MakeLauncher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_launcher, "STOP_S", 0.3)
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); open('began', 'w').write('x'); time.sleep(60)"
    launcher = make(code)
    launcher.launch(slot())
    wait_until(lambda: Path(launcher._workers.parent / "began").exists())
    launcher.stop_all()
    assert ended(launcher)


def test_old_files_of_ended_workers_are_forgotten_and_those_of_living_ones_kept(
    make: MakeLauncher, tmp_path: Path
) -> None:
    launcher = make()
    launcher.launch(slot("living"))
    (tmp_path / "workers" / "dead.lock").touch()
    for name in ("living", "dead"):
        os.utime(tmp_path / "workers" / f"{name}.lock", (0, 0))
    make()
    assert {path.name for path in (tmp_path / "workers").glob("*.lock")} == {"living.lock"}


def _reason(launcher: ProcessLauncher) -> str:
    wait_until(lambda: not launcher._started)
    return launcher.status([slot()])["token"].reason
