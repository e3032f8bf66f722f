"""OpenID Connect through Streamlit's own `st.login`: what Streamlit is told, and whom it says has signed in."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from http.cookies import CookieError, SimpleCookie
from typing import Any

from matinee.access.modes import SignIn

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

    given: dict[str, str] = {}
    for line in set_cookies:
        try:
            given |= {name: morsel.value for name, morsel in SimpleCookie(line).items() if morsel.value}
        except CookieError:
            continue
    raw = _get_signed_cookie_with_chunks(given, USER_COOKIE_NAME)
    claims = json.loads(raw) if raw else None
    return claims if isinstance(claims, dict) else None
