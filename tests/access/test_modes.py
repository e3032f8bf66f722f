"""Ways to sign in: a provider that names people otherwise, when cookies and tokens end, a new one in two places."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from matinee.access import modes
from matinee.access.gate import Gate, open_gate
from matinee.access.modes import NAME, Question, SignIn, make_sign_in
from matinee.access.people import Person, Users, clean_name, is_same_secret
from matinee.access.tokens import Cookies, create_token, find_token_person, list_tokens
from matinee.backends.local.store import SqliteStore
from matinee.errors import AccessError, NotFoundError, ProjectError, UsageError
from matinee.images.ui_image import ui_requirements
from matinee.names import Names
from matinee.project import sections
from matinee.project.load import load
from matinee.project.sections import Auth, SignInMode
from matinee.stack.blueprint import Blueprint, is_password_in_secrets_manager
from matinee.ui.sign_in import SignInMiddleware

ONE = "from matinee import realtime\n\n@realtime\ndef one() -> int:\n    return 1\n"
# What Microsoft Entra says of an account without a mailbox.
ENTRA = {"sub": "AAAA-bbbb", "preferred_username": "Ada@Example.org", "name": "Ada", "groups": ["staff", "g-owners"]}


@pytest.fixture
def store(tmp_path: Path):
    store = SqliteStore(tmp_path / "state.db")
    yield store
    store.close()


def way(store=None, *, environ=None, clock=time.monotonic, **auth) -> SignIn:
    return make_sign_in(auth, environ or {"MATINEE_OIDC_CLIENT_ID": "client"}, lambda: Users(store), clock=clock)


def gate_of(mode: SignIn) -> Gate:
    return Gate(mode, Cookies("s" * 32, "tiny", 60))


def who(gate: Gate, cookie: str) -> Person | None:
    return gate.person({gate.cookies.name: cookie})


# --- a provider whose tokens lack an e-mail address ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("auth", "person"),
    [
        ({"name_claim": "preferred_username"}, Person("ada@example.org")),
        ({"name_claim": "preferred_username", "allow": ["@example.org"]}, Person("ada@example.org")),
        ({"name_claim": "preferred_username", "owners": ["ADA@example.org"]}, Person("ada@example.org", "owner")),
        ({"name_claim": "sub"}, Person("aaaa-bbbb")),
        ({"name_claim": "sub", "allow": ["AAAA-bbbb"]}, Person("aaaa-bbbb")),
        ({"name_claim": "sub", "owner_groups": ["g-owners"]}, Person("aaaa-bbbb", "owner")),
        ({"name_claim": "sub", "owner_groups": ["others"]}, Person("aaaa-bbbb")),
        ({"name_claim": "sub", "groups_claim": "roles", "owner_groups": ["g-owners"]}, Person("aaaa-bbbb")),
    ],
)
def test_the_claim_that_names_people_and_the_groups_of_owners_are_settings(auth, person):
    gate = gate_of(way(mode="oidc", **auth))
    assert gate.mode.admit(ENTRA) == person
    assert who(gate, gate.cookie_of(person)) == person


@pytest.mark.parametrize(
    ("auth", "claims", "words"),
    [
        ({}, ENTRA, "did not tell your e-mail address"),
        ({"name_claim": "upn"}, ENTRA, "did not tell your upn"),
        ({"name_claim": "sub", "allow": ["@example.org"]}, ENTRA, "may not use this app"),
        ({"name_claim": "preferred_username"}, {"preferred_username": "local"}, "may not use this app"),
        ({"name_claim": "preferred_username"}, {"preferred_username": ["ada"]}, "did not tell"),
        ({"name_claim": "preferred_username"}, {"preferred_username": "  "}, "did not tell"),
    ],
)
def test_whom_the_claim_does_not_name_is_not_let_in(auth, claims, words):
    with pytest.raises(AccessError, match=words) as error:
        way(mode="oidc", **auth).admit(claims)
    assert error.value.hint


def test_a_claim_that_is_missing_says_which_setting_names_another():
    with pytest.raises(AccessError) as error:
        way(mode="oidc").admit(ENTRA)
    assert "name_claim" in error.value.hint


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"allow": ["@example.org"]}, {"allow": ["@elsewhere.org"]}),
        ({}, {"name_claim": "sub"}),
        ({"owner_groups": ["g-owners"]}, {"owner_groups": ["others"]}),
    ],
    ids=["left allow", "another claim", "other groups"],
)
def test_a_cookie_ends_when_what_let_its_person_in_is_changed(before, after):
    named = {"mode": "oidc", "name_claim": "preferred_username"}
    first, then = gate_of(way(**named | before)), gate_of(way(**named | after))
    cookie = first.cookie_of(first.mode.admit(ENTRA))
    assert who(first, cookie)
    assert who(then, cookie) is None


def test_who_is_no_owner_any_more_is_none_by_an_old_cookie():
    named = {"mode": "oidc", "name_claim": "preferred_username", "owner_groups": ["nobody's"]}
    first, then = gate_of(way(**named, owners=["ada@example.org"])), gate_of(way(**named))
    cookie = first.cookie_of(first.mode.admit(ENTRA))
    assert who(first, cookie).is_owner
    assert not who(then, cookie).is_owner


@pytest.mark.parametrize("line", ['name_claim = ""', 'name_claim = "a b"', "name_claim = 1", 'owner_groups = "x"'])
def test_a_wrong_claim_is_refused_with_its_line(write_app, line):
    with pytest.raises(ProjectError, match="line 4"):
        load(write_app(f"[auth]\n{line}\n", one=ONE))


# --- tokens -------------------------------------------------------------------------------------------------------


def test_a_token_ends_with_the_password_or_the_removal_of_its_person_by_whatever_door(store):
    users, clock = Users(store), [0.0]
    mode = way(store, mode="users", clock=lambda: clock[0])
    users.add("ada", "correct horse")
    _, secret = create_token(store, mode, "Ada", now=1.0)
    assert find_token_person(store, mode, secret, 2.0) == Person("ada")
    users.change_password("ada", "battery staple")
    clock[0] += 3
    assert find_token_person(store, mode, secret, 2.0) is None
    _, secret = create_token(store, mode, "ada", now=1.0)
    users.remove("ada")
    clock[0] += 3
    assert find_token_person(store, mode, secret, 2.0) is None
    users.add("ada", "battery staple")
    clock[0] += 3
    assert find_token_person(store, mode, secret, 2.0) is None, "a new ada is somebody else"


def test_a_token_is_made_only_for_who_could_sign_in(store):
    Users(store).add("ada", "correct horse")
    for mode, name in ((way(store, mode="users"), "nobody"), (way(mode="oidc", allow=["@x.org"]), "eve@y.org")):
        with pytest.raises(NotFoundError):
            create_token(store, mode, name, now=1.0)
    with pytest.raises(UsageError, match="does not own the app"):
        create_token(store, way(store, mode="users"), "ada", owner=True, now=1.0)
    assert list_tokens(store) == []


def test_a_token_ends_when_its_person_leaves_allow(store):
    _, secret = create_token(store, way(mode="oidc", allow=["@x.org"]), "ada@x.org", now=1.0)
    assert find_token_person(store, way(mode="oidc", allow=["ada@x.org"]), secret, 2.0) == Person("ada@x.org")
    assert find_token_person(store, way(mode="oidc", allow=["ben@x.org"]), secret, 2.0) is None


def test_a_token_is_never_more_than_its_user(store):
    users, clock = Users(store), [0.0]
    users.add("olga", "correct horse")
    owning = way(store, mode="users", owners=["olga"])
    _, secret = create_token(store, owning, "olga", owner=True, now=1.0)
    assert find_token_person(store, owning, secret, 2.0).is_owner
    assert not find_token_person(store, way(store, mode="users", clock=lambda: clock[0]), secret, 2.0).is_owner


def test_a_token_of_an_older_version_is_good_until_the_password_changes(store):
    user = Users(store).add("ada", "correct horse")
    mode = way(store, mode="users")
    for made_at, is_good in ((user.changed_at + 1, True), (user.changed_at - 1, False)):
        _, secret = create_token(store, mode, "ada", now=made_at)
        for key, data in store.documents("token").items():
            store.put_document("token", key, {name: value for name, value in data.items() if name != "account"})
        assert bool(find_token_person(store, mode, secret, made_at)) is is_good


# --- a new way to sign in: a row and a class, and nothing else -----------------------------------------------------

INVITE = "MATINEE_INVITE_CODE"


class ByInvitation(SignIn):
    """Who has the code of the invitation comes in."""

    name = "invitation"
    questions = (NAME, Question("code", "Code of your invitation", is_secret=True))

    def sign_in(self, answers):
        if not is_same_secret(answers.get("code", ""), self.secrets[INVITE]):
            raise AccessError("This is no code of an invitation.", signed_in=False)
        return Person(clean_name(answers.get("name", "")))

    def cookie_proof(self, person):
        return self.secrets[INVITE]


@pytest.fixture
def invitation(monkeypatch):
    row = SignInMode("invitation", "People have the code on {stage}.", (INVITE,), generated=(INVITE,), extra="mcp")
    monkeypatch.setitem(sections.SIGN_IN_MODES, row.name, row)
    monkeypatch.setitem(modes.MODES, row.name, ByInvitation)
    return row


def test_a_new_way_is_read_started_and_deployed(invitation, write_app, tmp_path):
    project = load(write_app('[auth]\nmode = "invitation"\n', one=ONE))
    assert make_sign_in(json.loads(json.dumps(vars(project.auth))), {INVITE: "x"}, lambda: None).name == "invitation"
    with pytest.raises(UsageError, match=INVITE):
        open_gate(way(mode="invitation"), app="tiny", data=tmp_path, environ={})
    blueprint = Blueprint(Names("tiny", "dev"), "Tiny", (), auth=project.auth)
    assert blueprint.ui_secrets == (INVITE, "MATINEE_COOKIE_SECRET")
    assert not is_password_in_secrets_manager(blueprint)
    plain = ui_requirements(replace(project, auth=Auth()))
    assert set(ui_requirements(project)) > set(plain), "the packages it needs go into the image of the UI"


def test_a_new_way_has_a_page_lets_people_in_and_ends_its_cookies(invitation, tmp_path):
    def app_with(code: str) -> TestClient:
        gate = open_gate(way(mode="invitation", environ={INVITE: code}), app="tiny", data=tmp_path, environ={})
        inner = Starlette(routes=[Route("/", lambda _: PlainTextResponse("inside"))])
        return TestClient(
            SignInMiddleware(inner, gate, lambda: "Tiny"), headers={"accept": "text/html"}, follow_redirects=False
        )

    browser = app_with("open")
    page = browser.get("/").text
    assert "Code of your invitation" in page
    token = page.partition('name="token" value="')[2].partition('"')[0]
    wrong = browser.post("/sign-in", data={"name": "Ada", "code": "shut", "token": token})
    assert (wrong.status_code, "no code of an invitation" in wrong.text) == (401, True)
    assert browser.post("/sign-in", data={"name": "Ada", "code": "open", "token": token}).status_code == 303
    assert browser.get("/").text == "inside"
    changed = app_with("another")
    changed.cookies.update(browser.cookies)
    assert changed.get("/").status_code == 401


def test_every_row_has_its_class_and_every_class_its_row():
    assert list(sections.SIGN_IN_MODES) == list(modes.MODES)
