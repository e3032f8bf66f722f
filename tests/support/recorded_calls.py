"""A call that the rehearsal recorded, asked again as somebody else."""

from __future__ import annotations

import urllib3

from matinee.rehearsal.credentials import Credentials
from matinee.rehearsal.iam import signed
from matinee.rehearsal.proxies import Call

DENIED = ("AccessDenied", "not authorized to perform")
_UNSIGNED = ("authorization", "host", "content-length", "connection", "expect", "transfer-encoding", "accept-encoding")


def is_refused(call: Call, endpoint: str, who: Credentials, http: urllib3.PoolManager) -> bool:
    """Ask for the same once more as `who`; return whether it was refused."""
    headers = {name: value for name, value in call.head.headers if _is_sent_again(name)}
    if call.head.target.endswith("/invocations") or "/invocations?" in call.head.target:
        headers["x-amz-invocation-type"] = "DryRun"
    url = endpoint + call.head.target
    headers = signed(call.head.method, url, call.body, call.region, call.service, who, headers)
    answer = http.request(call.head.method, url, body=call.body, headers=headers)
    return answer.status in (400, 403) and any(word in answer.data.decode("utf-8", "replace") for word in DENIED)


def _is_sent_again(name: str) -> bool:
    return name not in _UNSIGNED and not name.startswith(("x-amz-date", "x-amz-security", "x-amz-content", "amz-sdk"))
