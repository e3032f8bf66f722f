"""OpenID Connect through Streamlit's own route, against a small provider on this machine."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

pytestmark = pytest.mark.slow
COOKIE = "matinee-tiny"


class Provider:
    """Signs in whoever `claims` says. Checks the client's secret and PKCE, as a real one does."""

    def __init__(self) -> None:
        self.claims: dict[str, Any] = {"email": "ada@example.org", "email_verified": True}
        self.key = RSAKey.generate_key(2048, parameters={"kid": "1", "use": "sig", "alg": "RS256"})
        self.asked: dict[str, dict[str, str]] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.get(self)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                provider.answer(self, provider.token({k: v[0] for k, v in parse_qs(body).items()}, self.headers))

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, handler: BaseHTTPRequestHandler, value: Any) -> None:
        body = json.dumps(value).encode()
        handler.send_response(200)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def get(self, handler: BaseHTTPRequestHandler) -> None:
        path, query = urlsplit(handler.path).path, urlsplit(handler.path).query
        if path == "/authorize":
            asked = {name: values[0] for name, values in parse_qs(query).items()}
            code = secrets.token_hex(8)
            self.asked[code] = asked
            handler.send_response(302)
            back = urlencode({"code": code, "state": asked["state"]})
            handler.send_header("location", f"{asked['redirect_uri']}?{back}")
            handler.end_headers()
        elif path == "/jwks":
            self.answer(handler, {"keys": [self.key.as_dict(private=False)]})
        else:
            self.answer(
                handler,
                {
                    "issuer": self.issuer,
                    "authorization_endpoint": f"{self.issuer}/authorize",
                    "token_endpoint": f"{self.issuer}/token",
                    "jwks_uri": f"{self.issuer}/jwks",
                    "code_challenge_methods_supported": ["S256"],
                    "id_token_signing_alg_values_supported": ["RS256"],
                },
            )

    def token(self, form: dict[str, str], headers: Any) -> Any:
        asked = self.asked.pop(form["code"])
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
        assert challenge.decode() == asked["code_challenge"]
        assert base64.b64decode(headers["authorization"].split()[1]) == b"client:hush"
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": "client", "sub": "1", "iat": now, "exp": now + 60, "nonce": asked["nonce"]}
        id_token = jwt.encode({"alg": "RS256", "kid": "1"}, {**claims, **self.claims}, self.key)
        return {"access_token": "x", "token_type": "Bearer", "expires_in": 60, "id_token": id_token}


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def server(start: Callable[..., Any], provider: Provider, free_port: int) -> Any:
    return start(
        {"mode": "oidc", "owners": ["olga@example.org"], "allow": ["@example.org"]},
        port=free_port,
        **variables_of(provider, free_port),
    )


def variables_of(provider: Provider, port: int) -> dict[str, str]:
    return {
        "MATINEE_OIDC_CLIENT_ID": "client",
        "MATINEE_OIDC_CLIENT_SECRET": "hush",
        "MATINEE_OIDC_METADATA_URL": f"{provider.issuer}/.well-known/openid-configuration",
        "MATINEE_OIDC_REDIRECT_URI": f"http://127.0.0.1:{port}/oauth2callback",
    }


def test_a_provider_without_e_mail_addresses_names_people_by_the_claim_that_is_set(start, provider, free_port):
    provider.claims = {"preferred_username": "Ada@example.org", "name": "Ada", "groups": ["g-owners"]}
    named = {"name_claim": "preferred_username", "allow": ["@example.org"], "owner_groups": ["g-owners"]}
    server = start({"mode": "oidc", **named}, port=free_port, **variables_of(provider, free_port))
    with server.browser() as browser:
        assert through(browser).status_code == 200
        assert "ada@example.org" in browser.get("/sign-out").text
        assert browser.get("/export?format=jsonl").status_code == 200, "a group makes her an owner"


def through(browser: Any) -> Any:
    """Click the button, and follow the way to the provider and back."""
    page = browser.get("/").text
    way = page.partition('class="button" href="')[2].partition('"')[0].replace("&amp;", "&")
    return browser.get(way, follow_redirects=True)


def test_who_signed_in_at_the_provider_is_in_and_stays_in(server, provider):
    with server.browser() as browser:
        refused = browser.get("/")
        assert refused.status_code == 401
        assert "password" not in refused.text.lower()
        assert not server.opens_websocket(browser)
        assert through(browser).status_code == 200
        assert browser.get("/").status_code == 200
        assert server.opens_websocket(browser)
        assert "ada@example.org" in browser.get("/sign-out").text
        gone = browser.post("/sign-out")
        assert gone.headers["location"] == "/auth/logout"
        browser.get("/auth/logout")
        assert browser.get("/").status_code == 401


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"email": "eve@elsewhere.org"}, "eve@elsewhere.org may not use this app"),
        ({"email": "olga@example.org", "email_verified": False}, "has not verified"),
        ({"name": "Ada"}, "did not tell your e-mail address"),
    ],
)
def test_whom_the_app_does_not_let_in_is_told_so(server, provider, claims, words):
    provider.claims = claims
    with server.browser() as browser:
        answer = through(browser)
        assert answer.status_code == 403
        assert words in answer.text
        assert COOKIE not in browser.cookies
        assert "_streamlit_user" not in browser.cookies
        assert browser.get("/").status_code == 401


def test_a_made_up_return_from_the_provider_signs_nobody_in(server):
    with server.browser() as browser:
        assert browser.get("/oauth2callback?code=1&state=2").status_code in (302, 400)
        assert browser.get("/auth/login?provider=x").status_code in (302, 400)
        assert browser.get("/").status_code == 401
        browser.cookies.set("_streamlit_user", "eyJlbWFpbCI6Im9sZ2FAZXhhbXBsZS5vcmcifQ")
        assert browser.get("/").status_code == 401
        assert browser.post("/sign-in", data={"name": "x", "password": ""}).status_code == 405
