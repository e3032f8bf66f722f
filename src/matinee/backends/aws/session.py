"""What a process is told of its AWS account, and the clients it talks with: boto3 is imported when the first is made.

Names, not ARNs: a process in a container has them from its task definition or function, a laptop from `--stage`.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

from matinee.backends.aws.errors import explained
from matinee.settings import AwsSettings

POOL_SIZE = 64  # connections: more threads than these wait for one another
_TIMEOUTS_S = {"connect_timeout": 5, "read_timeout": 20}
ATTEMPTS = 5  # of one call: the first and four more, with exponential back-off and jitter


_boto_sessions: dict[tuple[str, ...], Any] = {}  # what makes clients reads its descriptions of services once
_making = threading.Lock()  # making a client is not thread-safe, using one is


class Session:
    """Makes each client once and shares it between threads; nothing is loaded before the first."""

    def __init__(self, settings: AwsSettings) -> None:
        self.settings = settings
        self._clients: dict[str, Any] = {}

    def client(self, service: str, *, retry: bool = True) -> Any:
        """Return the client of a service. `retry=False`: each call is sent once, for what must not be done twice."""
        name = service if retry else f"{service} once"
        known = self._clients.get(name)
        if known is not None:
            return known
        with _making:
            if name not in self._clients:
                self._clients[name] = self._make(service, ATTEMPTS if retry else 1)
            return self._clients[name]

    @property
    def region(self) -> str:
        """The region in fact: where none was set, the one of AWS's own configuration."""
        return str(self.client("dynamodb").meta.region_name)

    def with_bucket(self, bucket: str) -> Session:
        """Return a session on this bucket too; the clients are shared, and closed by either."""
        other = Session(self.settings._replace(bucket=bucket))
        other._clients = self._clients
        return other

    def close(self) -> None:
        """Close the connections of every client."""
        with _making:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    def _make(self, service: str, attempts: int) -> Any:
        from botocore.config import Config

        from matinee.backends.aws.errors import explained
        from matinee.lambda_api.sdk import identity, new_session

        settings = self.settings
        with explained(f"AWS ({service})", f"{service}:*", service):
            key = (settings.region, *identity())
            if key not in _boto_sessions:
                _boto_sessions[key] = new_session(settings.region)
            return _boto_sessions[key].client(
                service, endpoint_url=settings.endpoint or None, config=Config(**_config(service, attempts, settings))
            )


def open_session() -> Session:
    """Return the process's session on what its environment names; nothing connects before it is used.

    Raises UsageError when the environment names no table or no bucket.
    """
    return shared_session(AwsSettings.from_environment().checked())


@cache
def shared_session(settings: AwsSettings) -> Session:
    """Return the process's session on these settings."""
    return Session(settings)


def _config(service: str, attempts: int, settings: AwsSettings) -> dict[str, Any]:
    config: dict[str, Any] = {
        **_TIMEOUTS_S,
        "max_pool_connections": POOL_SIZE,
        "retries": {"total_max_attempts": attempts, "mode": "standard"},  # exponential back-off with full jitter
        "tcp_keepalive": True,
        "user_agent_extra": "matinee",
    }
    if service == "dynamodb":
        config["parameter_validation"] = False  # a fifth of a call's time; what we send is made in one place
    if service == "s3":
        style = "path" if settings.endpoint else "virtual"  # an emulator has no names below its own
        # Without these, links are signed with SigV2 in us-east-1 and name the global host elsewhere.
        config["signature_version"] = "s3v4"
        config["s3"] = {"addressing_style": style, "us_east_1_regional_endpoint": "regional"}
    if settings.endpoint:
        config["proxies"] = {}
    return config


# --- the caller's identity --------------------------------------------------------------------------------------------
# Who AWS takes this process for.
#
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-arns


def caller_name(session: Session) -> str:
    """Return the caller's own name: of an IAM user, or of a role's session (with IAM Identity Center the sign-in name).

    Needs no permission: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
    """
    with explained("AWS (sts)", "sts:GetCallerIdentity", "*"):
        arn = str(session.client("sts").get_caller_identity()["Arn"])
    return name_in(arn)


def name_in(arn: str) -> str:
    """Return the last word of an ARN: `…:user/team/ada` and `…:assumed-role/Admin/ada` are ada, `…:root` is root."""
    return arn.rpartition(":")[2].rpartition("/")[2]
