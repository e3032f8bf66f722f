"""Passwords, cookies, throttle and policies by themselves."""

from __future__ import annotations

import ast
import stat
from pathlib import Path

import pytest

from matinee.access import people
from matinee.access.gate import FREE, LONGEST_QUEUE_S, LONGEST_S, Gate, Throttle
from matinee.access.modes import make_sign_in
from matinee.access.people import Person, Users, clean_name, generate_password
from matinee.access.reach import check_reach
from matinee.access.tokens import Cookies, read_cookie_secret
from matinee.backends.local.store import SqliteStore
from matinee.errors import AccessError, ConflictError, NotFoundError, ProjectError, RateError, UsageError
from matinee.project.load import load

ACCESS = Path(people.__file__).parent


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def users(tmp_path: Path) -> Users:
    return Users(SqliteStore(tmp_path / "state.db"))


def gate_of(clock: Clock, users: Users | None = None, *, password: str = "", owner: str = "", **auth: object) -> Gate:
    environ = {"MATINEE_PASSWORD": password, "MATINEE_OWNER_PASSWORD": owner, "MATINEE_OIDC_CLIENT_ID": "client"}
    mode = make_sign_in(auth, environ, lambda: users, clock=clock)  # type: ignore[arg-type,return-value]
    return Gate(mode, Cookies("s" * 32, "tiny", 60), clock=clock)


def sign_in(gate: Gate, name: str, password: str, address: str = "1") -> Person:
    return gate.sign_in({"name": name, "password": password}, gate.begin_attempt(name, address))


def kept(gate: Gate, person: Person) -> dict[str, str]:
    return {gate.cookies.name: gate.cookie_of(person)}


# --- passwords --------------------------------------------------------------------------------------------------


def test_secrets_are_compared_by_compare_digest_alone():
    secret = ("password", "proof", "token", "secret")
    compared = []
    for file in ACCESS.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq | ast.In) for op in node.ops):
                is_word = isinstance(node.comparators[0], ast.Constant)  # as in mode == "password"
                if not is_word and any(word in ast.unparse(node).lower() for word in secret):
                    compared.append(ast.unparse(node))
    assert compared == []
    assert "hmac.compare_digest" in Path(people.__file__).read_text()


def test_only_an_argon2_hash_is_kept_of_a_password(users):
    user = users.add("Ada", "correct horse")
    assert user.hash.startswith("$argon2id$")
    assert users.check_password("ada", "correct horse") == user
    assert users.check_password("ada", "Correct horse") is None
    assert users.check_password("nobody", "correct horse") is None


@pytest.mark.parametrize("password", ["", "short", "x" * 1025])
def test_a_password_has_a_length(users, password):
    with pytest.raises(UsageError, match="characters"):
        users.add("ada", password)
    assert users.list_all() == []


def test_users_are_added_once_changed_and_removed(users):
    users.add("Ada", "correct horse", owner=True)
    with pytest.raises(ConflictError):
        users.add("ADA ", "correct horse")
    users.change_password("ada", "battery staple")
    assert users.check_password("ada", "battery staple").role == "owner"
    users.remove("Ada")
    for attempt in (users.remove, lambda name: users.change_password(name, "battery staple")):
        with pytest.raises(NotFoundError):
            attempt("ada")


def test_a_generated_password_can_be_read_out():
    made = {generate_password() for _ in range(50)}
    assert len(made) == 50
    assert all(len(one) == 14 and not set(one) & set("01ilo") for one in made)


@pytest.mark.parametrize(("typed", "name"), [("  Ada  B. ", "ada b."), ("ÅSA", "åsa"), ("ﬁn", "fin")])
def test_a_name_is_the_same_however_it_is_typed(typed, name):
    assert clean_name(typed) == name


# --- the gate ---------------------------------------------------------------------------------------------------


def test_the_password_decides_the_role_and_an_owners_name_needs_the_owners(clock):
    gate = gate_of(clock, mode="password", password="all", owner="mine", owners=["olga"])
    assert sign_in(gate, "Ada", "all", "1") == Person("ada", "user")
    assert sign_in(gate, "Ada", "mine", "1") == Person("ada", "owner")
    assert sign_in(gate, "Olga", "mine", "1").is_owner
    for name, password in (("Olga", "all"), ("local", "all"), ("ada", ""), ("ada", "ALL")):
        with pytest.raises(AccessError):
            sign_in(gate, name, password, f"address of {name}{password}")


def test_without_an_owners_password_an_empty_one_is_nobodys(clock):
    gate = gate_of(clock, mode="password", password="all")
    with pytest.raises(AccessError):
        sign_in(gate, "ada", "", "1")
    forged = gate.cookie_of(Person("ada", "owner"))
    assert gate.person({gate.cookies.name: forged}) is None, "nobody can be an owner"


def test_a_new_password_ends_all_cookies_of_its_user_at_once(clock, users):
    users.add("ada", "correct horse")
    users.add("ben", "correct horse")
    gate = gate_of(clock, users, mode="users")
    ada, ben = (kept(gate, sign_in(gate, name, "correct horse", name)) for name in ("ada", "ben"))
    assert gate.person(ada) == Person("ada")
    users.change_password("ada", "battery staple")
    clock.now += 3
    assert gate.person(ada) is None
    assert gate.person(ben) == Person("ben")
    users.remove("ben")
    clock.now += 3
    assert gate.person(ben) is None


def test_a_role_is_what_it_is_now(clock, users):
    users.add("ada", "correct horse")
    gate = gate_of(clock, users, mode="users", owners=["ada"])
    assert sign_in(gate, "ada", "correct horse", "1").is_owner
    demoted = gate_of(clock, users, mode="users")
    assert not demoted.person(kept(gate, Person("ada", "owner"))).is_owner


def test_a_cookie_of_another_app_mode_or_secret_is_none(clock):
    gate = gate_of(clock, mode="password", password="all")
    cookie = gate.cookie_of(Person("ada"))
    assert gate.person({gate.cookies.name: cookie}) == Person("ada")
    others = [Cookies("s" * 32, "other", 60), Cookies("t" * 32, "tiny", 60)]
    assert [other.read(cookie) for other in others] == [None, None]
    assert gate_of(clock, mode="oidc").person({gate.cookies.name: cookie}) is None


def test_without_sign_in_everybody_is_the_owner(clock):
    assert gate_of(clock).person({}) == Person("local", "owner")


@pytest.mark.parametrize(
    ("claims", "allow", "person"),
    [
        ({"email": "Ada@x.org", "email_verified": True}, (), Person("ada@x.org")),
        ({"email": "olga@x.org"}, ("@y.org",), Person("olga@x.org", "owner")),
        ({"email": "ada@x.org"}, ("@x.org",), Person("ada@x.org")),
        ({"email": "ada@x.org"}, ("ada@x.org",), Person("ada@x.org")),
        ({"email": "ada@x.org"}, ("@y.org",), None),
        ({"email": "ada@evil-x.org"}, ("@x.org",), None),
        ({"email": "olga@x.org", "email_verified": False}, (), None),
        ({"sub": "1"}, (), None),
        ({"email": ["olga@x.org"]}, (), None),
        ({"email": "local"}, (), None),
    ],
)
def test_whom_a_provider_brings_is_let_in_by_e_mail(clock, claims, allow, person):
    gate = gate_of(clock, mode="oidc", owners=["olga@x.org"], allow=allow)
    if person is None:
        with pytest.raises(AccessError):
            gate.mode.admit(claims)
    else:
        assert gate.mode.admit(claims) == person
        assert gate.person(kept(gate, person)) == person


# --- throttle ---------------------------------------------------------------------------------------------------


def test_guesses_are_slowed_down_one_after_the_other_and_forgotten_after_quiet(clock):
    throttle = Throttle(clock)
    assert [throttle.begin("a") for _ in range(FREE)] == [0.0] * FREE
    waits = []
    for _ in range(8):
        waits.append(throttle.begin("a"))
        clock.now += waits[-1]
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-1] == LONGEST_S
    assert throttle.begin("b") == 0.0, "others do not wait"
    clock.now += 1000
    assert throttle.begin("a") == 0.0


def test_many_guesses_of_one_address_at_once_are_refused_and_nobody_elses(clock):
    throttle = Throttle(clock)
    with pytest.raises(RateError, match=r"Try again in \d+ seconds") as error:
        for _ in range(1000):
            throttle.begin("a")
    assert LONGEST_QUEUE_S < error.value.retry_after_s <= LONGEST_QUEUE_S + LONGEST_S
    assert throttle.begin("b") == 0.0


def test_guesses_from_many_addresses_lock_nobody_out(clock):
    """The right password works all the while, for a newcomer after a moment and for who is known at once."""
    gate = gate_of(clock, mode="password", password="all")
    device = gate.cookies.make_device("ada")
    for number in range(5000):
        gate.begin_attempt("ada", f"10.{number // 65536}.{number // 256 % 256}.{number % 256}")
        clock.now += 0.01
    newcomer = gate.begin_attempt("Ada", "192.0.2.1")
    assert 0 < newcomer.wait_s <= LONGEST_S
    assert gate.sign_in({"name": "Ada", "password": "all"}, newcomer) == Person("ada")
    known = gate.begin_attempt(" ADA ", "192.0.2.2", device)
    assert known.wait_s == 0.0
    assert gate.begin_attempt("ben", "192.0.2.3").wait_s == 0.0, "another name is not slowed down either"


def test_a_guesser_in_the_same_office_does_not_hold_up_who_is_known(clock):
    gate = gate_of(clock, mode="password", password="all")
    with pytest.raises(RateError):
        for _ in range(1000):
            gate.begin_attempt("eve", "1")
    assert gate.begin_attempt("ada", "1", gate.cookies.make_device("ada")).wait_s == 0.0
    for mark in (gate.cookies.make_device("eve"), "made up", Cookies("t" * 32, "tiny", 60).make_device("ada")):
        with pytest.raises(RateError):
            gate.begin_attempt("ada", "1", mark)


def test_who_is_known_may_not_guess_for_ever_either(clock):
    gate = gate_of(clock, mode="password", password="all", owner="mine")
    attempts = [gate.begin_attempt(f"n{n}", "1", gate.cookies.make_device(f"n{n}")) for n in range(FREE + 1)]
    assert attempts[-1].wait_s > 0, "by as many marks as they please"


def test_the_mark_of_a_browser_lets_nobody_in(clock):
    gate = gate_of(clock, mode="password", password="all")
    assert gate.person({gate.cookies.name: gate.cookies.make_device("ada")}) is None


def test_one_network_of_ipv6_is_one_guesser(clock):
    throttle = Throttle(clock)
    waits = [throttle.begin(f"2001:db8::{n:x}") for n in range(FREE + 1)]
    assert waits[-1] > 0
    assert throttle.begin("2001:db8:0:1::1") == 0.0


def test_a_right_password_does_not_buy_further_guesses(clock):
    throttle = Throttle(clock)
    waits = []
    for _ in range(6):
        waits.append(throttle.begin("a"))  # a guess
        waits.append(throttle.begin("a"))  # one's own password
        throttle.take_back("a")
    assert max(waits) > 0


# --- secrets and starts ------------------------------------------------------------------------------------------


def test_the_cookies_secret_is_made_once_and_is_its_owners_alone(tmp_path):
    first, again = read_cookie_secret(tmp_path, {}), read_cookie_secret(tmp_path, {})
    file = tmp_path / "cookie.secret"
    assert first == again
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o644)
    read_cookie_secret(tmp_path, {})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_cookie_secret(tmp_path, {"MATINEE_COOKIE_SECRET": "from the environment"}) == "from the environment"
    assert [path.name for path in tmp_path.iterdir()] == ["cookie.secret"]


def test_no_secret_is_shown_by_a_way_to_sign_in():
    mode = make_sign_in({"mode": "password"}, {"MATINEE_PASSWORD": "open sesame"}, lambda: None)
    shown = repr(mode) + str(mode)
    assert "sesame" not in shown


@pytest.mark.parametrize(
    ("host", "mode", "said", "refused"),
    [
        ("127.0.0.1", "none", False, False),
        ("127.8.8.8", "none", False, False),
        ("localhost", "none", False, False),
        ("::1", "none", False, False),
        ("0.0.0.0", "none", False, True),
        ("192.0.2.7", "none", False, True),
        ("example.org", "none", False, True),
        ("", "none", False, True),
        ("0.0.0.0", "none", True, False),
        ("0.0.0.0", "password", False, False),
    ],
)
def test_without_sign_in_only_this_machine_is_served_unless_said(host, mode, said, refused):
    way = make_sign_in({"mode": mode}, {}, lambda: None)
    if refused:
        with pytest.raises(UsageError, match="no sign-in"):
            check_reach(way, host, without_sign_in=said)
    else:
        check_reach(way, host, without_sign_in=said)


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ('[auth]\nmode = "passwort"', "auth.mode must be one of"),
        ('[auth]\nmode = "password"\npassword = "secret"', "auth.password is a secret"),
        ('[auth]\nclient_secret = "x"', "MATINEE_OIDC_CLIENT_SECRET"),
        ('[stages.prod.auth]\npassword = "x"', "stages.prod.auth.password is a secret"),
        ("[auth]\nowners = 'olga'", "auth.owners must be a list of texts"),
        ("[auth]\ndays = 0", "at least"),
        ("[auth]\nuser = 'x'", "unknown key 'user'"),
    ],
)
def test_a_wrong_auth_table_is_one_sentence_with_its_line(write_app, toml, words):
    folder = write_app(toml, one="from matinee import realtime\n\n@realtime\ndef one() -> int:\n    return 1\n")
    with pytest.raises(ProjectError, match=r"matinee\.toml, line") as error:
        load(folder)
    assert words in str(error.value)


def test_a_stage_has_sign_in_of_its_own(write_app):
    toml = '[auth]\nowners = ["olga"]\n[stages.prod.auth]\nmode = "oidc"\nallow = ["@x.org"]\n'
    project = load(write_app(toml, one="from matinee import realtime\n\n@realtime\ndef one() -> int:\n    return 1\n"))
    assert (project.auth.mode, project.auth.owners) == ("none", ("olga",))
    prod = project.for_stage("prod").auth
    assert (prod.mode, prod.owners, prod.allow, prod.days) == ("oidc", ("olga",), ("@x.org",), 7.0)
