"""Bearer tokens, and who needs none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from matinee.access import tokens
from matinee.access.modes import make_sign_in
from matinee.access.people import Users
from matinee.api.routes import routes
from matinee.backends.factory import open_backend
from matinee.backends.local.store import SqliteStore
from matinee.cli.main import run
from matinee.client.core import Client
from matinee.errors import NotFoundError, UsageError
from matinee.settings import Settings

NOW = 1_800_000_000.0
DAY = 86_400.0


def no_users() -> Users:
    raise AssertionError("nobody is asked for")


OPEN = make_sign_in({}, {}, no_users)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "state.db")
    yield store
    store.close()


def test_a_token_speaks_for_its_person_until_it_is_revoked(store):
    token, secret = tokens.create_token(store, OPEN, " Ada  Byron ", owner=True, now=NOW)
    person = tokens.find_token_person(store, OPEN, secret, NOW)
    assert (person.name, person.is_owner, secret[:4]) == ("ada byron", True, "mat_")
    assert tokens.revoke_tokens(store, token.id) == [replace(token, last_used_at=NOW - NOW % DAY)]
    assert tokens.find_token_person(store, OPEN, secret, NOW) is None
    with pytest.raises(NotFoundError):
        tokens.revoke_tokens(store, token.id)


def test_a_token_is_kept_as_its_hash_alone(store, tmp_path: Path):
    _, secret = tokens.create_token(store, OPEN, "ada", now=NOW)
    store.close()
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert secret.encode() not in kept
    assert b"ada" in kept


def test_a_token_ends_with_its_days(store):
    _, secret = tokens.create_token(store, OPEN, "ada", days=2, now=NOW)
    assert tokens.find_token_person(store, OPEN, secret, NOW + 2 * DAY - 1)
    assert tokens.find_token_person(store, OPEN, secret, NOW + 2 * DAY) is None


def test_the_last_use_is_kept_to_the_day(store):
    _, secret = tokens.create_token(store, OPEN, "ada", now=NOW)
    assert tokens.list_tokens(store)[0].last_used_at is None
    for at in (NOW, NOW + 60):
        tokens.find_token_person(store, OPEN, secret, at)
    assert tokens.list_tokens(store)[0].last_used_at == NOW - NOW % DAY


def test_all_tokens_of_a_person_are_revoked_by_name(store):
    secrets = [tokens.create_token(store, OPEN, name, now=NOW)[1] for name in ("ada", "ada", "bo")]
    assert len(tokens.revoke_tokens(store, "Ada")) == 2
    assert [bool(tokens.find_token_person(store, OPEN, secret, NOW)) for secret in secrets] == [False, False, True]


@pytest.mark.parametrize(("name", "days"), [("", None), ("x" * 65, None), ("a\nb\x00", None), ("a", 0), ("a", 10**6)])
def test_a_name_or_time_that_cannot_be_is_refused(store, name, days):
    with pytest.raises(UsageError):
        tokens.create_token(store, OPEN, name, days=days, now=NOW)
    assert tokens.list_tokens(store) == []


@pytest.mark.parametrize("header", ["Bearer mat_wrong", "Bearer", "Basic {}", "{}", "Bearer x{}", "Bearer {}x"])
def test_anything_but_a_valid_token_is_refused_on_this_machine_too(served, header):
    headers = {"Authorization": header.format(served.token("ada"))}
    answer = served.here.get("/runs", headers=headers)
    assert (answer.status_code, 'error="invalid_token"' in answer.headers["www-authenticate"]) == (401, True)


def test_without_sign_in_a_program_on_this_machine_is_the_owner(served):
    assert served.here.get("/predictors").json()["role"] == "owner"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:8501"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"X-Forwarded-For": "192.0.2.1"},
        {"Forwarded": "for=192.0.2.1"},
    ],
)
def test_a_page_of_another_site_or_somebody_behind_a_proxy_is_nobody(served, headers):
    assert served.here.get("/runs", headers=headers).status_code == 401


def test_with_sign_in_nobody_is_let_in_without_a_token(served, host):
    live = host.backend.store.release()
    host.publish(replace(live, details={**live.details, "auth": {"mode": "password"}}))
    try:
        assert served.here.get("/runs").status_code == 401
        assert served.as_("ada").get("/runs").status_code == 200
    finally:
        host.publish(live)


def test_other_sites_are_told_nothing(served):
    answer = served.as_("ada").options(
        "/runs", headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "GET"}
    )
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_before_anything_is_live_the_api_says_to_wait(tmp_path: Path):
    settings = Settings(data=tmp_path / "empty")
    backend = open_backend(settings)
    app = Starlette(routes=routes(lambda person: Client(backend, settings, person.name)))
    answer = TestClient(app, "http://127.0.0.1/api/v1", client=("127.0.0.1", 1)).get("/runs")
    backend.store.close()
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert answer.headers["retry-after"]


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_makes_lists_and_revokes_tokens(tmp_path: Path, capsys):
    (tmp_path / "one.py").write_text("from matinee import realtime\n@realtime\ndef f(a: int) -> int:\n    return a\n")

    def matinee_token(*words: str) -> tuple[int, str]:
        code = run(["token", *words, "--app", str(tmp_path / "one.py")])
        return code, capsys.readouterr().out

    code, out = matinee_token("create", "Ada", "--owner", "--days", "3")
    secret = out.strip()
    assert (code, secret.startswith("mat_")) == (0, True)
    (listed,) = json.loads(matinee_token("list", "--json")[1])
    assert (listed["name"], listed["role"], listed["last_used_at"]) == ("ada", "owner", None)
    assert secret not in matinee_token("list")[1]
    assert matinee_token("revoke", listed["id"]) == (0, listed["id"] + "\n")
    assert matinee_token("revoke", listed["id"])[0] == 2
    assert matinee_token("create", " ")[0] == 2
