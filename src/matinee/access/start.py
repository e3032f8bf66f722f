"""What the server needs before it opens: the policy from `[auth]` and the environment, refused if it is not whole."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from matinee import settings
from matinee.access.cookies import Cookies, cookie_secret
from matinee.access.gate import Gate, Policy
from matinee.access.passwords import same
from matinee.access.people import clean_name
from matinee.access.users import Users
from matinee.errors import UsageError
from matinee.settings import OWNER_PASSWORD, PASSWORD

Json = Any
PROVIDER = {  # what st.login is told, by the variable that holds it
    "client_id": settings.OIDC_CLIENT_ID,
    "client_secret": settings.OIDC_CLIENT_SECRET,
    "server_metadata_url": settings.OIDC_METADATA_URL,
    "redirect_uri": settings.OIDC_REDIRECT_URI,
}


def is_this_machine(host: str) -> bool:
    """Whether an address to listen on is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def policy_of(auth: Mapping[str, Json], environ: Mapping[str, str]) -> Policy:
    """Return the policy of `[auth]`; UsageError, before anything is opened, for what the environment lacks."""
    policy = Policy(
        mode=str(auth.get("mode") or "none"),
        owners=frozenset(map(clean_name, auth.get("owners", ()))),
        allow=tuple(map(clean_name, auth.get("allow", ()))),
        max_age_s=float(auth.get("days", 7.0)) * 86_400,
        password=environ.get(PASSWORD, ""),
        owner_password=environ.get(OWNER_PASSWORD, ""),
        provider={name: environ.get(variable, "") for name, variable in PROVIDER.items()},
    )
    if policy.mode == "password":
        _check_passwords(policy)
    if policy.mode == "oidc":
        _check_provider(policy)
    return policy


def _check_passwords(policy: Policy) -> None:
    if not policy.password:
        raise UsageError(
            f"The app asks for a password, and the environment variable {PASSWORD} is not set.",
            hint=f"Set it, and {OWNER_PASSWORD} for those who own the app.",
        )
    if same(policy.password, policy.owner_password):
        raise UsageError(f"{PASSWORD} and {OWNER_PASSWORD} are the same.", hint="Then everybody would be an owner.")


def _check_provider(policy: Policy) -> None:
    missing = [variable for name, variable in PROVIDER.items() if not policy.provider[name]]
    if missing:
        raise UsageError(
            f"Sign-in through a provider needs the environment variable{'s' if len(missing) > 1 else ''} "
            f"{', '.join(missing)}.",
            hint="The provider's console shows them; the redirect address is the app's own with /oauth2callback.",
        )
    if not policy.provider["redirect_uri"].endswith("/oauth2callback"):
        raise UsageError(
            f"{PROVIDER['redirect_uri']} does not end with /oauth2callback.",
            hint="It is the app's address with that path, as in https://app.example.org/oauth2callback.",
        )
    if not (find_spec("authlib") and find_spec("httpx")):
        raise UsageError(
            "Sign-in through a provider needs two more packages.", hint="Install them: pip install 'matinee[oidc]'"
        )


def check_reach(policy: Policy, host: str, *, without_sign_in: bool) -> None:
    """Raise UsageError if the app would be open to others without sign-in, and nobody said so."""
    if policy.mode == "none" and not is_this_machine(host) and not without_sign_in:
        raise UsageError(
            f"Everybody who reaches {host} could use this app: it has no sign-in.",
            hint="Use `matinee dev --lan`, set [auth] mode in matinee.toml, or say --without-sign-in.",
        )


def open_gate(policy: Policy, *, app: str, data: Path, environ: Mapping[str, str], users: Callable[[], Users]) -> Gate:
    """Return the gate; the cookie's secret is made now if there is none and it will be needed."""
    secret = "" if policy.mode == "none" else cookie_secret(data, environ)
    return Gate(policy, Cookies(secret, app, policy.max_age_s), users)
