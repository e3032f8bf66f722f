"""Requests signed anew: of a caller whose words were changed on the way, or for the administrator."""

from __future__ import annotations

from collections.abc import Mapping

from matinee.ops.rehearse.credentials import Credentials

FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}


def signed(
    method: str, url: str, body: bytes, region: str, service: str, who: Credentials, told: Mapping[str, str]
) -> dict[str, str]:
    """Return `told` and the headers of a signature of `who`."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials as Given

    request = AWSRequest(method=method, url=url, data=body, headers=dict(told))
    SigV4Auth(Given(who.key, who.secret, who.token or None), service, region).add_auth(request)
    return {name: str(value) for name, value in request.headers.items()}
