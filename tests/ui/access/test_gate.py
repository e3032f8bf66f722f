"""Before all of Streamlit: what is reached signed out, signed in, with a forged or an expired cookie."""

from __future__ import annotations

import functools
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import httpx
import pytest
from streamlit.file_util import get_static_dir

pytestmark = pytest.mark.slow
COOKIE = "matinee-tiny"
REACHED = (
    "/",
    "/index.html",
    "/run?id=1",
    "/history",
    "/static/js/index.js",
    "/media/1.png",
    "/component/x/index.html",
    "/_stcore/host-config",
    "/_stcore/metrics",
    "/_stcore/health/",
    "/_stcore/healthz",
    "//_stcore/health",
    "/_stcore/../",
    "/_stcore/upload_file/a/b",
    "/auth/login",
    "/oauth2callback",
    "/api/v1/../../",
    "/favicon.png",
)


def test_signed_out_nothing_of_the_app_is_reached_but_the_sign_in_page(password_server):
    with password_server.browser() as browser:
        for path in REACHED:
            for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"):
                answer = browser.request(method, path)
                assert answer.status_code == 401, (method, path, answer.status_code)
                assert "streamlit" not in answer.text.lower()
        assert browser.get("/_stcore/health").text == "ok", "load balancers ask for it"
    assert not password_server.opens_websocket()


def test_streamlit_s_own_files_are_anybody_s_so_that_a_cdn_keeps_them_for_all(password_server):
    name = next((Path(get_static_dir()) / "static" / "js").glob("*.js")).name
    with password_server.browser() as browser:
        answer = browser.get(f"/static/js/{name}")
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert "set-cookie" not in answer.headers
        assert browser.get("/static/js/../../index.html").status_code == 401


def test_the_page_asks_for_name_and_password_and_needs_nothing_from_elsewhere(password_server):
    with password_server.browser() as browser:
        answer = browser.get("/run?id=abc&x=1")
    page = answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert 'value="/run?id=abc&amp;x=1"' in page, "where they were going"
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


def test_who_is_signed_in_reaches_the_app_again_and_again_until_signing_out(password_server):
    with password_server.browser() as browser:
        answer = password_server.sign_in(browser, "Ada", "open sesame", after="/run?id=7")
        assert (answer.status_code, answer.headers["location"]) == (303, "/run?id=7")
        assert [browser.get("/").status_code for _ in range(3)] == [200, 200, 200]
        assert browser.get("/sign-in").headers["location"] == "/"
        assert password_server.opens_websocket(browser)
        copied = dict(browser.cookies)
        assert "ada" in browser.get("/sign-out").text, "it asks first"
        assert browser.get("/").status_code == 200
        assert browser.post("/sign-out").status_code == 303
        assert browser.get("/").status_code == 401
        assert not password_server.opens_websocket(browser)
        browser.cookies.update(copied)
        assert browser.get("/").status_code == 401, "a copy is good for nothing either"


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(password_server):
    with password_server.browser() as browser:
        answer = password_server.sign_in(browser, "Ada", "open sesame")
        (cookie,) = [c for c in answer.headers.get_list("set-cookie") if c.startswith(COOKIE + "=")]
        attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"httponly", "samesite=lax", "path=/", "max-age=604800"} <= attributes
        assert "secure" not in attributes, "the address is plain http"
        assert "open sesame" not in cookie


@pytest.mark.parametrize("trusted", [True, False])
def test_only_a_trusted_proxy_is_believed_that_the_address_is_https(start, trusted):
    variables = {"MATINEE_TRUSTED_PROXIES": "127.0.0.1"} if trusted else {}
    server = start({"mode": "password"}, MATINEE_PASSWORD="open sesame", **variables)
    proxied = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}
    with server.browser() as browser:
        answer = server.sign_in(browser, "Ada", "open sesame", **proxied)
        cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith(COOKIE + "="))
        assert ("secure" in cookie.lower()) is trusted


def test_a_changed_or_made_up_cookie_is_no_cookie(password_server):
    with password_server.signed_in("Ada", "open sesame") as browser:
        value = browser.cookies[COOKIE]
    body, _, signature = value.rpartition(".")
    forged = [value[:-2] + "AA", body, f"x{value}", f"{body}.{signature[::-1]}", "1", "", "a" * 5000]
    for cookie in forged:
        with password_server.browser(cookies={COOKIE: cookie}) as browser:
            assert browser.get("/").status_code == 401, cookie
            assert not password_server.opens_websocket(browser)


def test_an_expired_cookie_leads_to_the_sign_in_page(start):
    server = start({"mode": "password", "days": 2 / 86_400}, MATINEE_PASSWORD="open sesame")
    with server.signed_in("Ada", "open sesame") as browser:
        value = browser.cookies[COOKIE]
        assert browser.get("/").status_code == 200
        deadline = time.monotonic() + 10
        while (answer := browser.get("/", headers={"Cookie": f"{COOKIE}={value}"})).status_code == 200:
            assert time.monotonic() < deadline
        assert answer.status_code == 401
        assert "Sign in" in answer.text


def test_a_restart_keeps_people_signed_in_and_a_new_password_signs_them_out(start):
    first = start({"mode": "password"}, MATINEE_PASSWORD="open sesame")
    with first.signed_in("Ada", "open sesame") as browser:
        cookie = {"Cookie": f"{COOKIE}={browser.cookies[COOKIE]}"}
    again = start({"mode": "password"}, MATINEE_PASSWORD="open sesame")
    changed = start({"mode": "password"}, MATINEE_PASSWORD="another one")
    other_secret = start(
        {"mode": "password"}, MATINEE_PASSWORD="open sesame", MATINEE_COOKIE_SECRET="a secret of its own"
    )
    answers = [httpx.get(s.address, headers=cookie, trust_env=False) for s in (again, changed, other_secret)]
    assert [answer.status_code for answer in answers] == [200, 401, 401]


def test_the_form_of_another_site_is_refused(password_server):
    with password_server.browser() as browser:
        form = {"name": "eve", "password": "open sesame", "token": "made-up"}
        assert browser.post("/sign-in", data=form).status_code == 403, "no token"
        page = browser.get("/sign-in").text
        form["token"] = page.partition('name="token" value="')[2].partition('"')[0]
        cross = browser.post("/sign-in", data=form, headers={"Sec-Fetch-Site": "cross-site"})
        assert cross.status_code == 403
        with password_server.browser() as other:
            assert other.post("/sign-in", data=form).status_code == 403, "the token of another browser"
        assert browser.post("/sign-in", data=form).status_code == 303


def test_wrong_is_said_and_then_costs_a_growing_wait_whatever_the_proxy_claims(password_server):
    with password_server.browser() as browser:
        started = time.monotonic()
        for number in range(5):
            answer = password_server.sign_in(browser, "<b>Eve", "wrong", **{"X-Forwarded-For": f"203.0.113.{number}"})
            assert answer.status_code == 401
        assert time.monotonic() - started >= 1
        assert "&lt;b&gt;Eve" in answer.text
        assert password_server.sign_in(browser, "Ada", "open sesame").status_code == 303, "slowed down, not refused"


def test_who_guesses_at_once_is_refused_with_the_seconds_and_who_is_known_comes_in(password_server):
    with password_server.signed_in("Ada", "open sesame") as known, password_server.browser() as eve:
        known.post("/sign-out")
        token = eve.get("/sign-in").text.partition('name="token" value="')[2].partition('"')[0]
        form = {"name": "ada", "password": "wrong", "token": token}
        with ThreadPoolExecutor(20) as threads:
            guess = functools.partial(eve.post, "/sign-in", data=form, timeout=60)
            guesses = [threads.submit(guess) for _ in range(20)]
            refused = next(done.result() for done in as_completed(guesses) if done.result().status_code == 429)
            assert "Try again in" in refused.text
            assert int(refused.headers["retry-after"]) >= 1
            started = time.monotonic()
            assert password_server.sign_in(known, "Ada", "open sesame").status_code == 303
            assert time.monotonic() - started < 5
            password_server.process.kill()  # what still waits is of no interest


def test_behind_a_trusted_proxy_each_person_waits_for_their_own_mistakes(start):
    server = start({"mode": "password"}, MATINEE_PASSWORD="open sesame", MATINEE_TRUSTED_PROXIES="127.0.0.1")
    with server.browser() as eve:
        for _ in range(4):
            server.sign_in(eve, "eve", "wrong", **{"X-Forwarded-For": "203.0.113.7"})
    waited = []
    for address in ("203.0.113.7", "203.0.113.8"):
        with server.browser() as browser:
            started = time.monotonic()
            assert server.sign_in(browser, "ada", "open sesame", **{"X-Forwarded-For": address}).status_code == 303
            waited.append(time.monotonic() - started)
    assert waited[0] >= 0.5
    assert waited[1] < waited[0], "whoever comes from elsewhere does not wait"


@pytest.mark.parametrize(
    "after", ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil", "/sign-out"]
)
def test_nobody_is_led_to_another_site(password_server, after):
    with password_server.browser() as browser:
        assert password_server.sign_in(browser, "Ada", "open sesame", after=after).headers["location"] == "/"


@pytest.mark.parametrize("name", ["", "x" * 65, "local", "a\u0007b"])
def test_a_name_that_cannot_be_is_said(password_server, name):
    with password_server.browser() as browser:
        answer = password_server.sign_in(browser, name, "open sesame")
        assert answer.status_code in (400, 401)
        assert 'role="alert"' in answer.text


def test_a_huge_or_broken_form_is_refused(password_server):
    with password_server.browser() as browser:
        assert browser.post("/sign-in", content=b"x" * 100_000).status_code == 403
        assert browser.post("/sign-in", content=b"\xff\xfe=%zz&" * 5).status_code == 403
        assert browser.request("PATCH", "/sign-in").status_code == 405


@pytest.mark.parametrize(
    ("auth", "variables", "words"),
    [
        ({"mode": "none"}, {}, "it has no sign-in"),
        ({"mode": "password"}, {}, "needs the environment variable MATINEE_PASSWORD"),
        ({"mode": "password"}, {"MATINEE_PASSWORD": "a", "MATINEE_OWNER_PASSWORD": "a"}, "are the same"),
        ({"mode": "oidc"}, {"MATINEE_OIDC_CLIENT_ID": "x"}, "MATINEE_OIDC_CLIENT_SECRET"),
        ({"mode": "users"}, {"MATINEE_COOKIE_SECRET": "short"}, "shorter than 16"),
    ],
)
def test_what_would_be_open_or_shut_for_all_does_not_start(tmp_path, auth, variables, words):
    import json
    import os

    told = {**os.environ, "MATINEE_DATA": str(tmp_path), "MATINEE_AUTH": json.dumps(auth), **variables}
    command = [sys.executable, "-m", "matinee.ui.serve", "--host", "0.0.0.0", "--port", "0"]
    ended = subprocess.run(command, env=told, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
