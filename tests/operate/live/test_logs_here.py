"""`matinee logs`, `status` and `open` on the app here."""

from __future__ import annotations

import json
import time

import pytest

import matinee
from matinee.cli import main
from matinee.operate.logs import POLL_HERE_S, Which, read_logs
from matinee.operate.status import open_app
from matinee.testing.harness import running_app, wait_until


@pytest.fixture
def said(greeting_app, capsys):
    def run(*words):
        capsys.readouterr()
        code = main.run([*words, "--app", str(greeting_app)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_the_lines_of_all_runs_by_time_each_with_its_predictor(greeting_app, said):
    with matinee.connect(greeting_app) as app:
        app.greet(name="Ada")
        app.greet_all(names=["Eve"])
        run = app.greet_all.submit(names=["Kim", "Lee"])
        run.result(timeout_s=30)
    code, out, _ = said("logs")
    assert code == 0
    told = [line.split(maxsplit=3)[1:] for line in out.splitlines()]
    assert [line for line in told if line[0] == "greet"] == [
        ["greet", "INFO", f"greeting {n}"] for n in ("Ada", "Eve", "Kim", "Lee")
    ]
    assert [line[2] for line in told if line[0] == "greet_all"] == [
        "greeting 1 in attempt 1",
        "greeting 2 in attempt 1",
    ]
    assert told[0] == ["greet", "INFO", "greeting Ada"]
    _, out, _ = said("logs", "greeting_all", "--json")  # a component: its predictors
    assert [json.loads(line)["message"] for line in out.splitlines()] == [
        line[2] for line in told if line[0] == "greet_all"
    ]
    assert "greeting 2 in attempt 1" in said("logs", "--run", run.id)[1]
    assert said("logs", "greet", "--since", "2099-01-01")[1] == ""


def test_following_goes_on_with_what_is_written_meanwhile(greeting_app):
    messages, looks = [], []
    with matinee.connect(greeting_app) as app:
        app.greet(name="Ada")

        def wait(seconds):
            assert seconds == POLL_HERE_S
            looks.append(seconds)
            if len(looks) == 1:
                app.greet(name="Eve")
                path = greeting_app / ".matinee" / "logs" / "runs"
                wait_until(lambda: any("Eve" in file.read_text() for file in path.glob("*")))
            elif len(looks) == 3:
                raise KeyboardInterrupt

        wait_until(lambda: any((greeting_app / ".matinee" / "logs" / "runs").glob("*")))
        which = Which(since=time.time() - 60, follow=True, wait=wait)
        with pytest.raises(KeyboardInterrupt):
            messages.extend(line.message for line in read_logs(greeting_app, which))
    assert messages == ["greeting Ada", "greeting Eve"]


def test_before_anything_ran_it_says_so(greeting_app, said):
    code, _, err = said("logs")
    assert (code, "This app has written nothing yet." in err) == (2, True)
    code, out, _ = said("status")
    assert (code, "nothing is live" in out, "`matinee dev` does not run" in out) == (0, True, True)
    code, _, err = said("open")
    assert (code, "`matinee dev` does not run on this app." in err) == (2, True)


def test_a_running_app_is_well_and_a_broken_component_is_down(greeting_app, said):
    with running_app(greeting_app, "--port", "8861") as dev, matinee.connect(greeting_app) as app:
        code, out, _ = said("status")
        assert (code, dev.url in out, "greet_all" in out) == (0, True, True)
        assert open_app(greeting_app, start=lambda url: url == dev.url).in_browser
        app.greet_all.submit(names=["trouble"])
        wait_until(lambda: app.runs("greet_all", status="failed"))
        code, out, err = said("status")
        assert (code, "I do not greet trouble" in out, "matinee logs --run" in err) == (0, True, True)
        (greeting_app / "greeting.py").write_text("def broken(:\n")
        wait_until(lambda: said("status")[0] == 1)
        code, out, _ = said("status", "--json")
        assert [p["name"] for p in json.loads(out)["parts"] if p["state"] == "down"] == ["greeting"]
