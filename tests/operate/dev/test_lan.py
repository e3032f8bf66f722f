"""`matinee dev --lan`: others see the app, and only behind a sign-in."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from matinee.errors import UsageError
from matinee.operate.dev import qr_code, reach_of
from matinee.project.sections import Auth
from matinee.testing.harness import running_app, wait_until


def test_what_is_open_to_others_always_asks_who_they_are():
    reach = reach_of(Auth(), {}, host="127.0.0.1", lan=True)
    assert (reach.host, reach.auth.mode, reach.own_host) == ("0.0.0.0", "password", "127.0.0.1")
    assert set(reach.made) == {"MATINEE_PASSWORD", "MATINEE_OWNER_PASSWORD"}
    assert len(set(reach.made.values())) == 2
    assert "MATINEE_PASSWORD" not in repr(reach), "no password in a log"


def test_an_app_with_sign_in_of_its_own_keeps_it():
    given = {"MATINEE_PASSWORD": "open sesame"}
    assert reach_of(Auth("password"), given, host="127.0.0.1", lan=True).made == {}
    assert set(reach_of(Auth(), given, host="127.0.0.1", lan=True).made) == {"MATINEE_OWNER_PASSWORD"}
    assert reach_of(Auth("users"), {}, host="192.0.2.7", lan=True).host == "192.0.2.7"


@pytest.mark.parametrize(
    ("auth", "asked"),
    [
        (Auth(), {"host": "0.0.0.0"}),
        (Auth(), {"host": "192.0.2.7"}),
        (Auth("password"), {"host": "127.0.0.1"}),
        (Auth(), {"host": "127.0.0.1", "lan": True, "without_sign_in": True}),
    ],
)
def test_what_would_be_open_or_shut_for_all_is_refused(auth, asked):
    with pytest.raises(UsageError):
        reach_of(auth, {}, **asked)


def test_it_may_be_said_that_nobody_signs_in():
    assert reach_of(Auth(), {}, host="0.0.0.0", without_sign_in=True).auth.mode == "none"


def test_the_qr_code_is_drawn_in_lines_of_one_length():
    lines = qr_code("http://192.0.2.7:8501").splitlines()
    assert len({len(line) for line in lines}) == 1
    assert set("".join(lines)) <= set(" █▀▄")


@pytest.mark.slow
def test_a_host_beyond_this_machine_without_sign_in_is_refused_by_the_command(greeting_app):
    command = [sys.executable, "-m", "matinee.cli.main", "dev", "--app", str(greeting_app), "--host", "0.0.0.0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "it has no sign-in" in ended.stderr
    assert "--lan" in ended.stderr


@pytest.mark.slow
def test_lan_prints_passwords_that_let_in_and_nothing_else_does(greeting_app):
    with running_app(greeting_app, "--lan", "--port", "8950") as dev:
        wait_until(lambda: "In your network" in dev.text or "no address" in dev.text)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(dev.url, timeout=10)
        assert refused.value.code == 401
        if "no address" not in dev.text:
            passwords = re.findall(r"Password for .*: (\S+)", dev.text)
            assert len(set(passwords)) == 2
            assert "█" in dev.text
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{dev.url}/api/v1/predictors", timeout=10).read()
        assert json.loads(refused.value.read())["status"] == 401, "no program comes in without a token"
