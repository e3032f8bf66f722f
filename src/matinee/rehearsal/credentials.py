"""Temporary credentials, one set per role and workload, from the emulator's STS: nobody here works as somebody else.

The administrator (the account's root) is the services that AWS itself would be; who deploys is a user. A task asks for
its credentials at an address, as on Fargate, and is given new ones before the old expire.
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html
"""

from __future__ import annotations

import json
import secrets
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from matinee.rehearsal.proxies import Call, Reply

Json = Any
ROOT = ("test", "test")  # what MiniStack takes as the account's root
PATH = "/matinee-rehearsal/credentials/"
_RENEW_BEFORE_S = 900.0
_LIFE_S = 3600  # the longest that every role allows


@dataclass(frozen=True)
class Credentials:
    """What a caller signs with. `expires_at` is a time of the clock, in seconds; 0 = never."""

    key: str
    secret: str
    token: str = ""
    expires_at: float = 0.0

    @property
    def is_old(self) -> bool:
        """Whether it is time for new ones."""
        return bool(self.expires_at) and datetime.now(UTC).timestamp() > self.expires_at - _RENEW_BEFORE_S

    def environment(self) -> dict[str, str]:
        """Return the variables every SDK reads."""
        variables = {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_SESSION_TOKEN": self.token,
        }
        return {name: value for name, value in variables.items() if value}


@cache
def _session() -> Any:
    """Return the one session of all clients: what it has read of a service, it has read for everybody."""
    from matinee.lambda_api.sdk import new_session

    return new_session()


_making = threading.Lock()  # making a client is not thread-safe, using one is


class Clients:
    """boto3 clients at one endpoint, as the administrator or as a role."""

    def __init__(self, endpoint: str, region: str, account: str) -> None:
        self.endpoint = endpoint
        self.region = region
        self.account = account
        self._made: dict[tuple[str, str], Any] = {}

    def __call__(self, service: str, who: Credentials | None = None) -> Any:
        """Return a client; thread-safe, made once for each caller."""
        who = who or Credentials(*ROOT)
        found = self._made.get((service, who.key))
        if found is not None:
            return found
        with _making:
            if (service, who.key) not in self._made:
                self._made[service, who.key] = self._make(service, who)
            return self._made[service, who.key]

    def _make(self, service: str, who: Credentials) -> Any:
        from botocore.config import Config

        config = Config(
            retries={"total_max_attempts": 2, "mode": "standard"},
            proxies={},
            max_pool_connections=32,
            s3={"addressing_style": "path"},
        )
        return _session().client(
            service,
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=who.key,
            aws_secret_access_key=who.secret,
            aws_session_token=who.token or None,
            config=config,
        )


class Roles:
    """Assumes roles as the services do, and knows afterwards whose key is whose."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._of_key: dict[str, tuple[str, Credentials]] = {}
        self._of_workload: dict[tuple[str, str], Credentials] = {}
        self._lock = threading.Lock()

    def credentials(self, role: str, session: str) -> Credentials:
        """Return credentials of a role (its ARN) for a workload, the same ones until they are old."""
        with self._lock:
            known = self._of_workload.get((role, session))
            if known is None or known.is_old:
                known = self._assume(role, session)
                self._of_workload[role, session] = known
            return known

    def known(self, key: str) -> Credentials | None:
        """Return the credentials of an access key: the administrator's too; None for a stranger."""
        if key == ROOT[0]:
            return Credentials(*ROOT)
        found = self._of_key.get(key)
        return found[1] if found else None

    def role_of(self, key: str) -> str:
        """Return the role (its ARN) whose key this is, "" for people and for strangers."""
        principal = self.principal_of(key)
        return principal if ":role/" in principal else ""

    def principal_of(self, key: str) -> str:
        """Return the role or user (its ARN) whose key this is, "" for the administrator and for strangers."""
        found = self._of_key.get(key)
        return found[0] if found else ""

    def is_person(self, key: str) -> bool:
        """Whether it is the key of who deploys, or the administrator's."""
        return key == ROOT[0] or ":user/" in self.principal_of(key)

    def add_user(self, name: str, policy: Json) -> Credentials:
        """Make a user with this policy alone, and return credentials of theirs, which do not expire."""
        iam = self._clients("iam")
        user = iam.create_user(UserName=name)["User"]["Arn"]
        made = iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(policy))["Policy"]
        iam.attach_user_policy(UserName=name, PolicyArn=made["Arn"])
        key = iam.create_access_key(UserName=name)["AccessKey"]
        credentials = Credentials(key["AccessKeyId"], key["SecretAccessKey"])
        self._of_key[credentials.key] = (user, credentials)
        return credentials

    def _assume(self, role: str, session: str) -> Credentials:
        answer = self._clients("sts").assume_role(RoleArn=role, RoleSessionName=session[:64], DurationSeconds=_LIFE_S)
        assumed = answer["Credentials"]
        made = Credentials(
            assumed["AccessKeyId"],
            assumed["SecretAccessKey"],
            assumed["SessionToken"],
            assumed["Expiration"].timestamp(),
        )
        self._of_key[made.key] = (role, made)
        return made


class CredentialServer:
    """A `Player`: gives tasks their role's credentials at an address only they know."""

    def __init__(self, roles: Roles) -> None:
        self._roles = roles
        self._roles_of_secrets: dict[str, tuple[str, str]] = {}

    def address(self, endpoint: str, role: str, session: str) -> str:
        """Return the address for AWS_CONTAINER_CREDENTIALS_FULL_URI of one task."""
        secret = secrets.token_urlsafe(24)
        self._roles_of_secrets[secret] = (role, session)
        return f"{endpoint}{PATH}{secret}"

    def wants(self, call: Call) -> bool:
        """Whether a task asks for the credentials of its role."""
        return call.head.target.startswith(PATH)

    def play(self, call: Call) -> Reply | None:
        """Return the credentials of the task's role, 404 for an unknown secret."""
        workload = self._roles_of_secrets.get(call.head.target.removeprefix(PATH))
        if workload is None:
            return Reply(404)
        found = self._roles.credentials(*workload)
        expires = datetime.fromtimestamp(found.expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        answer = {"AccessKeyId": found.key, "SecretAccessKey": found.secret, "Token": found.token}
        body = json.dumps({**answer, "Expiration": expires, "RoleArn": workload[0]}).encode()
        return Reply(200, body, {"content-type": "application/json"})
