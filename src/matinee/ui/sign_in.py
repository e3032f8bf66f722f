"""The gate as ASGI: it stands before all of Streamlit, HTTP and WebSocket, and serves the sign-in pages itself."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import html
import json
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from matinee.access.events import record_event
from matinee.access.gate import Attempt, Gate
from matinee.access.modes import LONGEST_ANSWER, Question, SignIn
from matinee.access.people import Person, is_same_secret
from matinee.access.tokens import DEVICE_S
from matinee.errors import MatineeError, RateError

SIGN_IN, SIGN_OUT = "/sign-in", "/sign-out"
HEALTH = "/_stcore/health"
FORM_BYTES = 16_384
FORM_S = 3600  # how long a sign-in page stays good
REFUSED = 1008  # WebSocket: policy violation


class SignInMiddleware:
    """Lets through who is signed in, and what `open_prefixes` name: these carry tokens of their own."""

    def __init__(self, app: ASGIApp, gate: Gate, title: Callable[[], str], open_prefixes: Iterable[str] = ()) -> None:
        self._app = app
        self._gate = gate
        self._title = title
        self._open = tuple(prefix.rstrip("/") for prefix in open_prefixes)
        self._form_cookie = f"{gate.cookies.name}-form"
        self._device_cookie = f"{gate.cookies.name}-device"
        # Hashing takes time and memory: one at a time, and who is known never waits behind strangers.
        self._known, self._strangers = ThreadPoolExecutor(1, "sign-in"), ThreadPoolExecutor(1, "sign-in-strangers")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or self._is_open(scope["path"]):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._http(scope, receive, send)

    def _is_open(self, path: str) -> bool:
        if path == HEALTH:
            return True
        is_plain = "\\" not in path and not any(part in ("", ".", "..") for part in path[1:].split("/")[:-1])
        return is_plain and "/.." not in path and any(path == p or path.startswith(f"{p}/") for p in self._open)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if await self._person(HTTPConnection(scope)) is None:
            await receive()
            await send({"type": "websocket.close", "code": REFUSED, "reason": "Sign in first."})
            return
        await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        path = scope["path"]
        if self._gate.mode.provider and path in PATHS:
            await self._app(scope, receive, self._admitting(request, send) if path == CALLBACK else send)
            return
        person = await self._person(request)
        answer: Response | None = None
        if path == SIGN_IN:
            answer = await self._sign_in(request, person)
        elif path == SIGN_OUT:
            answer = self._sign_out(request, person)
        elif person is None:
            answer = self._refused(request)
        await (self._app if answer is None else answer)(scope, receive, send)

    async def _person(self, connection: HTTPConnection) -> Person | None:
        if self._gate.mode.reads_store:
            return await asyncio.to_thread(self._gate.person, connection.cookies)
        return self._gate.person(connection.cookies)

    # --- signing in ---------------------------------------------------------------------------------------------

    def _refused(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD") or "text/html" not in request.headers.get("accept", "*/*,text/html"):
            return PlainTextResponse("Sign in first.", HTTPStatus.UNAUTHORIZED, {"Cache-Control": "no-store"})
        query = request.url.query
        return self._page(request, HTTPStatus.UNAUTHORIZED, after=request.url.path + (f"?{query}" if query else ""))

    def _page(
        self, request: Request, status: int, *, after: str, name: str = "", problem: str = "", wait_s: float = 0.0
    ) -> Response:
        cookies, token = self._gate.cookies, request.cookies.get(self._form_cookie, "")
        if not cookies.is_form_token(token, FORM_S / 2):  # a good one is used again: two open pages are both good
            token = cookies.make_form_token()
        questions = self._gate.mode.questions
        asked = SignInForm(
            self._title(),
            questions,
            token,
            safe_after(after),
            name,
            problem,
            "" if questions else sign_in_url(),
        )
        page, headers = sign_in_page(asked)
        response = HTMLResponse(page, status, dict(headers))
        if wait_s:
            response.headers["Retry-After"] = str(max(1, round(wait_s + 0.5)))
        if questions:
            self._set(response, request, self._form_cookie, token, FORM_S, same_site="strict")
        return response

    async def _sign_in(self, request: Request, person: Person | None) -> Response:
        if request.method in ("GET", "HEAD"):
            after = request.query_params.get("after", "/")
            if person is not None:
                return RedirectResponse(safe_after(after), HTTPStatus.SEE_OTHER)
            return self._page(request, HTTPStatus.OK, after=after)
        if request.method != "POST" or not self._gate.mode.questions:
            return PlainTextResponse("Method not allowed.", HTTPStatus.METHOD_NOT_ALLOWED)
        return await self._check(request, await _read_form(request))

    async def _check(self, request: Request, form: Mapping[str, str]) -> Response:
        name, after = form.get("name", ""), form.get("after", "/")
        if not self._is_own_form(request, form.get("token", "")):
            problem = "This page was open for too long, or cookies are switched off. Please try again."
            return self._page(request, HTTPStatus.FORBIDDEN, after=after, name=name, problem=problem)
        address = _address_of(request)
        try:
            attempt = self._gate.begin_attempt(name, address, request.cookies.get(self._device_cookie, ""))
            await asyncio.sleep(attempt.wait_s)
            found = await self._answer(form, attempt)
        except MatineeError as error:
            record_event("sign-in refused", name, address, error.message)
            wait_s = error.retry_after_s if isinstance(error, RateError) else 0.0
            return self._page(request, error.http_status, after=after, name=name, problem=error.message, wait_s=wait_s)
        record_event("signed in", found.name, address)
        response = RedirectResponse(safe_after(after), HTTPStatus.SEE_OTHER)
        self._keep(response, request, found)
        device = self._gate.cookies.make_device(found.name)
        self._set(response, request, self._device_cookie, device, int(DEVICE_S), same_site="strict")
        return response

    async def _answer(self, form: Mapping[str, str], attempt: Attempt) -> Person:
        lane = self._known if attempt.is_known else self._strangers
        return await asyncio.get_running_loop().run_in_executor(lane, self._gate.sign_in, form, attempt)

    def _is_own_form(self, request: Request, token: str) -> bool:
        """Whether our page sent this form: the token is in the form and in a cookie no other site can set or read."""
        in_cookie = request.cookies.get(self._form_cookie, "")
        from_here = request.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
        return from_here and is_same_secret(token, in_cookie) and self._gate.cookies.is_form_token(token, FORM_S)

    def _keep(self, response: Response, request: Request, person: Person) -> None:
        max_age_s = int(self._gate.cookies.max_age_s)
        self._set(response, request, self._gate.cookies.name, self._gate.cookie_of(person), max_age_s)

    def _set(
        self, response: Response, request: Request, name: str, value: str, max_age_s: int, *, same_site: Any = "lax"
    ) -> None:
        secure = request.url.scheme == "https"
        response.set_cookie(name, value, max_age_s, path="/", httponly=True, samesite=same_site, secure=secure)

    # --- signing out, and in through a provider ------------------------------------------------------------------

    def _sign_out(self, request: Request, person: Person | None) -> Response:
        if person is None:
            return RedirectResponse("/", HTTPStatus.SEE_OTHER)
        if request.method != "POST":
            page, headers = sign_out_page(self._title(), person.name)
            return HTMLResponse(page, headers=dict(headers))
        self._gate.end(request.cookies)
        record_event("signed out", person.name, _address_of(request))
        response = RedirectResponse(LOGOUT if self._gate.mode.provider else "/", HTTPStatus.SEE_OTHER)
        response.delete_cookie(self._gate.cookies.name, path="/")
        return response

    def _admitting(self, request: Request, send: Send) -> Send:
        """Return a `send` that adds our cookie to the provider's answer, or answers that they are not let in."""
        refusal: Response | None = None

        async def sending(message: Message) -> None:
            nonlocal refusal
            if message["type"] == "http.response.start":
                claims = claims_of(Headers(raw=message["headers"]).getlist("set-cookie"))
                if claims is not None:
                    try:
                        person = self._gate.mode.admit(claims)
                        self._add_cookie(message, request, person)
                        record_event("signed in", person.name, _address_of(request))
                    except MatineeError as error:
                        named = claims.get(self._gate.mode.auth.name_claim)
                        who = named if isinstance(named, str) else ""
                        record_event("sign-in refused", who, _address_of(request), error.message)
                        refusal = self._page(request, HTTPStatus.FORBIDDEN, after="/", problem=str(error))
            if refusal is None:
                await send(message)
            elif message["type"] == "http.response.body" and not message.get("more_body"):
                await refusal(request.scope, request.receive, send)

        return sending

    def _add_cookie(self, message: Message, request: Request, person: Person) -> None:
        carrier = Response()
        self._keep(carrier, request, person)
        cookies = [(name, value) for name, value in carrier.raw_headers if name == b"set-cookie"]
        message["headers"] = [*message["headers"], *cookies]


def _address_of(request: Request) -> str:
    return request.client.host if request.client else ""


async def _read_form(request: Request) -> dict[str, str]:
    """Return the form's fields, {} if it is too large or none."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES:
            return {}
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=10))
    except ValueError:
        return {}


# --- the sign-in pages ------------------------------------------------------------------------------------------------
# The sign-in pages: plain HTML without script or anything from elsewhere; light and dark, and readable aloud.

STYLE = """
:root { color-scheme: light dark; --ink: #1b2333; --soft: #56607a; --page: #f6f7fa; --card: #fff; --line: #8a93a8;
  --accent: #3d5a98; --on-accent: #fff; --bad: #a11d2a; --bad-page: #fdecee; }
@media (prefers-color-scheme: dark) { :root { --ink: #eef1f7; --soft: #b3bccf; --page: #11151d; --card: #1a202c;
  --line: #76819a; --accent: #9db6ee; --on-accent: #10151f; --bad: #ffb3ba; --bad-page: #3a1a1f; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem; background: var(--page);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
main { width: 100%; max-width: 24rem; padding: 2rem; background: var(--card); border-radius: .75rem;
  box-shadow: 0 1px 3px #0003; }
h1 { margin: 0 0 .25rem; font-size: 1.4rem; line-height: 1.25; overflow-wrap: anywhere; }
p { margin: 0 0 1.25rem; color: var(--soft); overflow-wrap: anywhere; }
p.bad { padding: .6rem .8rem; border-radius: .5rem; background: var(--bad-page); color: var(--bad); }
label { display: block; margin-bottom: 1rem; font-weight: 600; }
small { display: block; font-weight: 400; color: var(--soft); }
input { display: block; width: 100%; margin-top: .3rem; padding: .6rem .7rem; border: 1px solid var(--line);
  border-radius: .5rem; background: var(--card); color: var(--ink); font: inherit; font-weight: 400; }
button, a.button { display: block; width: 100%; padding: .65rem; border: 0; border-radius: .5rem; cursor: pointer;
  background: var(--accent); color: var(--on-accent); font: inherit; font-weight: 600; text-align: center;
  text-decoration: none; }
a { color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
"""
LONGEST_NEXT = 2000


@dataclass(frozen=True)
class SignInForm:
    """What the page of one person shows: what they typed, what was wrong, where they were going."""

    title: str
    questions: tuple[Question, ...] = ()  # () = a button that leads to the provider
    token: str = ""  # against forms of other sites
    after: str = "/"
    name: str = ""
    problem: str = ""
    provider_url: str = ""


def sign_in_page(asked: SignInForm) -> tuple[str, Mapping[str, str]]:
    """Return the page that asks who somebody is, and its headers."""
    body = f"<h1>{html.escape(asked.title)}</h1>" + (_form(asked) if asked.questions else _provider(asked))
    return _page(f"Sign in · {asked.title}", body)


def _form(asked: SignInForm) -> str:
    empty = next((q for q in asked.questions if not _typed_before(asked, q)), asked.questions[0])
    fields = "\n".join(_field(q, _typed_before(asked, q), is_first=q == empty) for q in asked.questions)
    return f"""<p>Sign in to use this app.</p>{_problem(asked)}
<form method="post" action="/sign-in">
<input type="hidden" name="token" value="{html.escape(asked.token)}">
<input type="hidden" name="after" value="{html.escape(asked.after)}">
{fields}
<button type="submit">Sign in</button>
</form>"""


def _typed_before(asked: SignInForm, question: Question) -> str:
    return asked.name if question.name == "name" else ""


def _field(question: Question, value: str, *, is_first: bool) -> str:
    hint = f"<small>{html.escape(question.hint)}</small>" if question.hint else ""
    kind = ' type="password"' if question.is_secret else f' value="{html.escape(value)}" autocapitalize="none"'
    return f"""<label>{html.escape(question.label)}{hint}<input name="{html.escape(question.name)}"{kind}
 autocomplete="{html.escape(question.autocomplete)}" maxlength="{LONGEST_ANSWER}" spellcheck="false"
 required{" autofocus" if is_first else ""}></label>"""


def _provider(asked: SignInForm) -> str:
    url = html.escape(asked.provider_url)
    return f"""<p>Sign in to use this app.</p>{_problem(asked)}<a class="button" href="{url}">Sign in</a>"""


def sign_out_page(title: str, name: str) -> tuple[str, Mapping[str, str]]:
    """Return the page that asks whether to sign out, and its headers."""
    body = f"""<h1>Sign out?</h1><p>You are signed in to {html.escape(title)} as {html.escape(name)}.</p>
<form method="post" action="/sign-out"><p><button type="submit">Sign out</button></p></form>
<a href="/">Back to the app</a>"""
    return _page(f"Sign out · {title}", body)


def _problem(asked: SignInForm) -> str:
    return f'<p class="bad" role="alert">{html.escape(asked.problem)}</p>' if asked.problem else ""


def _page(title: str, body: str) -> tuple[str, Mapping[str, str]]:
    nonce = secrets.token_urlsafe(16)
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">
<link rel="icon" href="data:,"><style nonce="{nonce}">{STYLE}</style></head>
<body><main>{body}</main></body></html>"""
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; img-src data:; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    return page, {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }


def safe_after(address: str) -> str:
    """Return where to go after signing in: an address inside the app, else its first page."""
    inside = address.startswith("/") and not re.match(r"/[/\\]|.*[\x00-\x20\\\x7f]", address)
    is_page = not address.startswith(("/sign-in", "/sign-out"))
    return address if inside and is_page and len(address) <= LONGEST_NEXT else "/"


# --- sign-in by OpenID Connect ----------------------------------------------------------------------------------------
# OpenID Connect through Streamlit's own `st.login`: what Streamlit is told, and whom it says has signed in.

LOGIN, LOGOUT, CALLBACK = "/auth/login", "/auth/logout", "/oauth2callback"  # Streamlit's routes
PATHS = (LOGIN, LOGOUT, CALLBACK)
NAME = "default"  # of the one provider

Json = Any


def streamlit_secrets(mode: SignIn, cookie_secret: str) -> dict[str, Json] | None:
    """Return the secrets of Streamlit's app, None without a provider. Its cookie has a secret of its own."""
    if not mode.provider:
        return None
    own = hmac.new(cookie_secret.encode(), b"matinee.streamlit", hashlib.sha256).hexdigest()
    return {"auth": {**mode.provider, "cookie_secret": own}}


def sign_in_url() -> str:
    """Return the address that leads to the provider, as `st.login` makes it."""
    from urllib.parse import urlencode

    from streamlit.auth_util import encode_provider_token

    return f"{LOGIN}?{urlencode({'provider': encode_provider_token(NAME)})}"


def claims_of(set_cookies: Sequence[str]) -> Mapping[str, Json] | None:
    """Return what the provider says of somebody, from the cookies with which Streamlit ends a sign-in; None if none."""
    from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME
    from streamlit.web.server.starlette.starlette_websocket import _get_signed_cookie_with_chunks

    cookies: dict[str, str] = {}
    for line in set_cookies:
        try:
            cookies |= {name: morsel.value for name, morsel in SimpleCookie(line).items() if morsel.value}
        except CookieError:
            continue
    raw = _get_signed_cookie_with_chunks(cookies, USER_COOKIE_NAME)
    claims = json.loads(raw) if raw else None
    return claims if isinstance(claims, dict) else None
