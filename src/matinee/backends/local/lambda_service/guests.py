"""Who may speak to the service: programs of this user, who know the secret of this start; no page of a browser.

A page can make a browser send requests to 127.0.0.1, and by DNS rebinding under a name of its own. Both show in the
`Host`, `Origin` and `Sec-Fetch-Site` headers, which a page cannot forge. Other users of the machine reach 127.0.0.1 as
well, so a caller shows that it knows the secret: by an AWS signature (boto3, the AWS CLI), or by the secret itself as a
bearer token, which costs our own client less.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from matinee.backends.local.lambda_service.http import Request

ACCESS_KEY_ID = "local"  # with which a signature is made; the secret is the key
_ALGORITHM = "AWS4-HMAC-SHA256"
_DATE = "%Y%m%dT%H%M%SZ"
_SKEW_S = 900.0  # as old as AWS takes a signature
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def browser_refusal(request: Request) -> str:
    """Return why a request is refused that a page may have made a browser send, "" if it is served."""
    host = request.header(b"host")
    if host.rpartition(":")[0] not in _LOOPBACK and urlsplit(f"//{host}").hostname not in _LOOPBACK:
        return f"Only loopback is served, not the host {host!r}."
    origin = request.header(b"origin")
    if origin and urlsplit(origin).hostname not in _LOOPBACK:
        return f"Requests of the web page {origin!r} are not served."
    if request.header(b"sec-fetch-site") == "cross-site":
        return "Requests of another site's web page are not served."
    return ""


def secret_refusal(request: Request, secret: str) -> tuple[str, str]:
    """Return AWS's error and its message for a caller who does not know the secret, two empty texts for one who does.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
    """
    scheme, _, rest = request.header(b"authorization").partition(" ")
    if scheme == "Bearer" and hmac.compare_digest(rest.encode(), secret.encode()):
        return "", ""
    if scheme != _ALGORITHM:
        return "MissingAuthenticationTokenException", "Missing Authentication Token"
    fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    key_id, _, scope = fields.get("Credential", "").partition("/")
    if key_id != ACCESS_KEY_ID:
        return "UnrecognizedClientException", "The security token included in the request is invalid."
    expected = _signature(request, scope, fields.get("SignedHeaders", ""), secret)
    if not hmac.compare_digest(expected.encode(), fields.get("Signature", "").encode()):
        return "InvalidSignatureException", "The signature does not match: dev.json of this app has the keys."
    if _age_s(request) > _SKEW_S:
        return "InvalidSignatureException", "Signature expired."
    return "", ""


def _signature(request: Request, scope: str, names: str, secret: str) -> str:
    body = hashlib.sha256(request.body).hexdigest()
    headers = "".join(f"{name}:{' '.join(request.header(name.encode()).split())}\n" for name in names.split(";"))
    pairs = sorted(part.partition("=")[::2] for part in request.query_text.split("&") if part)
    query = "&".join(map("=".join, pairs))
    canonical = "\n".join((request.method, quote(request.path, safe="/~"), query, headers, names, body))
    text = "\n".join((_ALGORITHM, request.header(b"x-amz-date"), scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{secret}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.digest(key, part.encode(), "sha256")
    return key.hex()


def _age_s(request: Request) -> float:
    try:
        signed_at = datetime.strptime(request.header(b"x-amz-date"), _DATE).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return float("inf")
    return abs(time.time() - signed_at)
