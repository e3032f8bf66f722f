"""The secrets of a deployed function (a realtime predictor, the dispatcher), fetched from SSM before all else.

Lambda has no `secrets`, so variables say where they are: `settings.SECRETS`.
One signed request of the standard library: boto3 would cost every cold start a third of a second and more.
Nothing of this is imported where there are no secrets.
https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from matinee.errors import BackendError
from matinee.retry import Backoff
from matinee.settings import AWS_ENDPOINT, PREDICTOR, STAGE, secret_paths

Json = Any
TIMEOUT_S = 2.5  # of one attempt: INIT has 10 s in all
BACKOFF = Backoff(base_s=0.2, cap_s=1.0, tries=3)
NAMES_A_CALL = 10
_TARGET = "AmazonSSM.GetParameters"
_TYPE = "application/x-amz-json-1.1"
_AGAIN = ("ThrottlingException", "TooManyUpdates", "RequestLimitExceeded", "InternalServerError", "ServiceUnavailable")


class Place(NamedTuple):
    """Where SSM is, and who asks."""

    endpoint: str
    region: str
    key: str
    secret: str
    token: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Place:
        """Read what Lambda sets; AWS_ENDPOINT is an emulator's."""
        region = environ.get("AWS_REGION", "")
        domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        return cls(
            environ.get(AWS_ENDPOINT) or f"https://ssm.{region}.{domain}",
            region,
            environ.get("AWS_ACCESS_KEY_ID", ""),
            environ.get("AWS_SECRET_ACCESS_KEY", ""),
            environ.get("AWS_SESSION_TOKEN", ""),
        )


def fetch(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the values of the secrets that `environ` names; BackendError with what is missing and what to do."""
    paths_by_name = secret_paths(environ)
    place = Place.from_environment(environ)
    paths, values = list(paths_by_name.values()), dict[str, str]()
    for first in range(0, len(paths), NAMES_A_CALL):
        values |= _get(place, paths[first : first + NAMES_A_CALL])
    for name, path in paths_by_name.items():
        if path not in values:
            raise BackendError(
                f"The secret {name} of {environ.get(PREDICTOR, 'this predictor')} is not set: "
                f"SSM has no parameter {path}.",
                hint=f"Set it: matinee secret set {name} --stage {environ.get(STAGE) or 'STAGE'}",
            )
    return {name: values[path] for name, path in paths_by_name.items()}


def signed(place: Place, host: str, body: bytes, at: float) -> dict[str, str]:
    """Return the headers of a signed POST to "/" of SSM (Signature Version 4); `at` in epoch seconds."""
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
    headers = {"content-type": _TYPE, "host": host, "x-amz-date": moment, "x-amz-target": _TARGET}
    if place.token:
        headers["x-amz-security-token"] = place.token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{moment[:8]}/{place.region}/ssm/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{place.secret}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    credential = f"Credential={place.key}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
    return {**headers, "authorization": f"AWS4-HMAC-SHA256 {credential}"}


def _get(place: Place, paths: list[str]) -> dict[str, str]:
    """Return the values that there are, by path; what fails for the moment is tried again."""
    body = json.dumps({"Names": paths, "WithDecryption": True}).encode()
    waits = BACKOFF.waits()
    while True:
        try:
            status, answer = _post(place, body)
        except OSError as error:
            problem = BackendError(
                f"The secrets cannot be fetched: SSM does not answer at {place.endpoint} ({error}).",
                hint="Check the function's network: without a route to SSM it has no secrets.",
            )
        else:
            if status == 200:
                return {item["Name"]: item["Value"] for item in answer["Parameters"]}
            code = str(answer.get("__type", "")).rpartition("#")[2]
            problem = _refused(code, str(answer.get("message") or answer.get("Message") or ""), paths)
            if status < 500 and code not in _AGAIN:
                raise problem
        if not next(waits):
            raise problem


def _post(place: Place, body: bytes) -> tuple[int, dict[str, Json]]:
    scheme, _, host = place.endpoint.rstrip("/").partition("://")
    kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
    connection = kind(host, timeout=TIMEOUT_S)
    try:
        connection.request("POST", "/", body, signed(place, host, body, time.time()))
        response = connection.getresponse()
        content = response.read()
    except http.client.HTTPException as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()
    try:
        answer = json.loads(content)
    except ValueError:
        answer = {}
    return response.status, answer if isinstance(answer, dict) else {}


def _refused(code: str, message: str, paths: list[str]) -> BackendError:
    if code in ("AccessDeniedException", "AccessDenied"):
        action = "kms:Decrypt" if "kms:" in message else "ssm:GetParameters"
        return BackendError(
            f"The secrets cannot be fetched: the function's role is not allowed {action}.",
            hint=f"Allow {action} on {', '.join(paths)}; `matinee deploy` writes such a role.",
        )
    return BackendError(f"The secrets cannot be fetched: SSM refuses ({code or 'no reason given'}): {message}")
