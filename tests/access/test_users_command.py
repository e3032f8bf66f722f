"""`matinee users` as its user types it; passwords come by stdin, never as an argument."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from matinee.access.modes import make_sign_in
from matinee.access.people import Users
from matinee.access.tokens import find_token_person
from matinee.client.connect import open_store_of
from matinee.operate import access
from matinee.project.load import load

pytestmark = pytest.mark.slow


@pytest.fixture
def users(greeting_app: Path):
    def run(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "matinee.cli.main", "users", *words, "--app", str(greeting_app)]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)

    return run


def test_users_are_added_listed_changed_and_removed(users, greeting_app):
    added = users("add", "Ada", stdin="correct horse\n")
    assert (added.returncode, added.stdout) == (0, "ada\n")
    assert 'mode = "users"' in added.stderr, "what is still to do"
    assert users("add", "Olga", "--owner", stdin="correct horse\n").returncode == 0
    listed = json.loads(users("list", "--json").stdout)
    assert [(user["name"], user["role"]) for user in listed] == [("ada", "user"), ("olga", "owner")]
    assert "hash" not in listed[0]
    assert users("password", "ada", stdin="battery staple\n").returncode == 0
    assert users("remove", "ADA").stdout == "ada\n"
    assert "ada" not in users("list").stdout
    assert b"correct horse" not in (greeting_app / ".matinee" / "state.db").read_bytes()


def test_who_is_removed_cannot_go_on_by_a_token(users, greeting_app):
    users("add", "Ada", stdin="correct horse\n")
    of_ada = [access.create_token(greeting_app, name).secret for name in ("ada", "Ada")]
    of_ben = access.create_token(greeting_app, "ben").secret
    removed = users("remove", "ada")
    assert removed.returncode == 0
    assert "2 tokens revoked" in removed.stderr
    with open_store_of(load(greeting_app), "") as store:
        mode = make_sign_in(load(greeting_app).auth, {}, lambda: Users(store))
        assert [find_token_person(store, mode, secret, time.time()) for secret in of_ada] == [None, None]
        assert find_token_person(store, mode, of_ben, time.time()) is not None


@pytest.mark.parametrize(
    ("words", "stdin", "said"),
    [
        (("add", "ada"), "", "fewer than 8 characters"),
        (("add", "ada"), "short\n", "fewer than 8 characters"),
        (("add", " "), "correct horse\n", "The name is empty"),
        (("remove", "nobody"), "", "There is no user 'nobody'"),
        (("password", "nobody"), "correct horse\n", "There is no user 'nobody'"),
    ],
)
def test_bad_input_is_one_sentence(users, words, stdin, said):
    ended = users(*words, stdin=stdin)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
