"""Every `MATINEE_` variable: its name, what it may say, and the settings that are read from it and written to it.

Nobody else spells these names. A container gets the same variables from a task definition or an image as a process here
gets from its launcher. What stands in a variable and cannot be meant is refused in words: a wrong backend must not
become local data in silence.

Light, because a realtime function imports it first: no dataclasses, and pathlib only when a `Settings` is made.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from matinee.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = "MATINEE_"
DISPATCHER = "matinee-dispatcher"
LIVE = "live"  # the alias by which every function on AWS is called, the dispatcher too; never $LATEST

# --- where a process works -------------------------------------------------------------------------------------------
BACKEND = "MATINEE_BACKEND"  # one of BACKENDS; each port can be another one's, by the five that follow
STORE = "MATINEE_STORE"
FILES = "MATINEE_FILES"
INVOKER = "MATINEE_INVOKER"
LAUNCHER = "MATINEE_LAUNCHER"
LOGS = "MATINEE_LOGS"  # "folder": in the data folder, whatever the backend
BACKENDS = ("local", "aws")
APP = "MATINEE_APP"
STAGE = "MATINEE_STAGE"
DATA = "MATINEE_DATA"  # the data folder: state.db, files/, logs/
LAMBDA_ENDPOINT = "MATINEE_LAMBDA_ENDPOINT"  # of the local Lambda service
LAMBDA_SECRET = "MATINEE_LAMBDA_SECRET"  # noqa: S105 - of this start of that service: who calls it is this user
FUNCTION_PREFIX = "MATINEE_FUNCTION_PREFIX"  # "matinee-APP-STAGE-" on AWS
TABLE = "MATINEE_TABLE"
BUCKET = "MATINEE_BUCKET"
AWS_ENDPOINT = "MATINEE_AWS_ENDPOINT"  # of an emulator of AWS

# --- what a component's process runs ---------------------------------------------------------------------------------
COMPONENT = "MATINEE_COMPONENT"
SOURCE = "MATINEE_SOURCE"  # the component's file or folder
MANIFEST = "MATINEE_MANIFEST"  # JSON of its ComponentManifest
HANDLER = "MATINEE_HANDLER"  # of a plain Lambda handler
PREDICTOR = "MATINEE_PREDICTOR"
LABEL = "MATINEE_LABEL"  # what people call the version: an image is the same on all stages
SECRETS = "MATINEE_SECRETS"  # "NAME=/path/in/SSM,…": where a function fetches its secrets
SLOT_TOKEN = "MATINEE_SLOT_TOKEN"  # noqa: S105 - a variable's name, as all that follow
SLOT_NUMBER = "MATINEE_SLOT_NUMBER"
LIFELINE_FD = "MATINEE_LIFELINE_FD"  # read end of a pipe: its end means that the host is gone
ENVIRONMENT = "MATINEE_ENVIRONMENT"  # argument of a Dockerfile: the image below the code

# --- where the dispatcher starts workers -----------------------------------------------------------------------------
CLUSTER = "MATINEE_CLUSTER"
SUBNETS = "MATINEE_SUBNETS"  # with commas
SECURITY_GROUPS = "MATINEE_SECURITY_GROUPS"  # with commas
JOB_QUEUE = "MATINEE_JOB_QUEUE"  # of AWS Batch
SPOT = "MATINEE_SPOT"  # "0": never
PUBLIC_IP = "MATINEE_PUBLIC_IP"  # "0": workers get no public address, since their subnets have a NAT gateway

# --- the UI and who may use it ---------------------------------------------------------------------------------------
AUTH = "MATINEE_AUTH"  # `[auth]` as JSON, for a UI that is to ask otherwise than the live release says
UI_FOLDER = "MATINEE_UI_FOLDER"  # where an image has the app's files; without it, where the release says
HTTPS = "MATINEE_HTTPS"  # "1": people come by https, whatever the last proxy says
BEHIND_CLOUDFRONT = "MATINEE_BEHIND_CLOUDFRONT"  # "1": nobody else reaches the load balancer
TRUSTED_PROXIES = "MATINEE_TRUSTED_PROXIES"  # addresses or networks whose X-Forwarded-For and -Proto are believed
PASSWORD = "MATINEE_PASSWORD"  # noqa: S105
OWNER_PASSWORD = "MATINEE_OWNER_PASSWORD"  # noqa: S105
COOKIE_SECRET = "MATINEE_COOKIE_SECRET"  # noqa: S105
OIDC_CLIENT_ID = "MATINEE_OIDC_CLIENT_ID"
OIDC_CLIENT_SECRET = "MATINEE_OIDC_CLIENT_SECRET"  # noqa: S105
OIDC_METADATA_URL = "MATINEE_OIDC_METADATA_URL"
OIDC_REDIRECT_URI = "MATINEE_OIDC_REDIRECT_URI"
SMTP_PASSWORD = "MATINEE_SMTP_PASSWORD"  # noqa: S105
TOKEN = "MATINEE_TOKEN"  # noqa: S105 - of an API, for whoever calls it

# --- a developer's machine -------------------------------------------------------------------------------------------
ENGINE = "MATINEE_ENGINE"  # the command of the container engine, as in "podman"


class _Fields(NamedTuple):
    backend: str
    app: str
    data: Path
    lambda_endpoint: str
    function_prefix: str
    component: str
    source: Path
    manifest: Path
    predictor: str
    slot_token: str
    slot_number: int
    lifeline_fd: int
    logs: str
    store: str
    files: str
    invoker: str
    launcher: str
    lambda_secret: str


class Settings(_Fields):
    """`Settings.from_environment()` reads what `settings.environment()` wrote.

    `store`, `files`, `invoker` and `launcher` name the backend of one port, "" = `backend`; which there are is the
    factory's to know (`backends.factory`). `data`, `source` and `manifest` are paths.
    """

    __slots__ = ()

    def __new__(
        cls,
        backend: str = "local",
        app: str = "",
        data: Path | str = ".matinee",
        lambda_endpoint: str = "",
        function_prefix: str = "",
        component: str = "",
        source: Path | str = "",
        manifest: Path | str = "",
        predictor: str = "",
        slot_token: str = "",
        slot_number: int = 0,
        lifeline_fd: int = -1,
        logs: str = "",
        store: str = "",
        files: str = "",
        invoker: str = "",
        launcher: str = "",
        lambda_secret: str = "",
    ) -> Settings:
        """Raise UsageError for a backend that there is not."""
        from pathlib import Path

        _check(BACKEND, backend, BACKENDS)
        _check(LOGS, logs, ("", "folder"))
        return super().__new__(
            cls, backend, app, Path(data), lambda_endpoint, function_prefix, component, Path(source), Path(manifest),
            predictor, slot_token, slot_number, lifeline_fd, logs, store, files, invoker, launcher, lambda_secret,
        )  # fmt: skip

    @classmethod
    def of_folder(
        cls, app: str, data: Path, lambda_endpoint: str = "", environ: Mapping[str, str] = os.environ
    ) -> Settings:
        """Return the settings of an app that this machine hosts; store and files may be another backend's."""
        store, files = environ.get(STORE, ""), environ.get(FILES, "")
        return cls(app=app, data=data, lambda_endpoint=lambda_endpoint, store=store, files=files)

    @property
    def is_hosted_here(self) -> bool:
        """Whether functions are called on this machine, wherever the data is."""
        return (self.invoker or self.backend) == "local"

    @property
    def reaches_functions(self) -> bool:
        """Whether functions can be called: locally only while somebody hosts the Lambda service."""
        return not self.is_hosted_here or bool(self.lambda_endpoint)

    def environment(self) -> dict[str, str]:
        """Return the variables that carry these settings; a port's own backend only where it has one."""
        apart = ("store", "files", "invoker", "launcher", "lambda_secret")
        fields = {name: value for name, value in self._asdict().items() if value or name not in apart}
        return {PREFIX + name.upper(): str(value) for name, value in fields.items()}

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read the settings; what is not set keeps its default. UsageError for a value that cannot be meant."""
        text = environ.get
        return cls(
            backend=text(BACKEND) or "local",
            app=text(APP, ""),
            data=text(DATA) or ".matinee",
            lambda_endpoint=text(LAMBDA_ENDPOINT, ""),
            function_prefix=text(FUNCTION_PREFIX, ""),
            component=text(COMPONENT, ""),
            source=text(SOURCE, ""),
            manifest=text(MANIFEST, ""),
            predictor=text(PREDICTOR, ""),
            slot_token=text(SLOT_TOKEN, ""),
            slot_number=whole_number(environ, SLOT_NUMBER, 0),
            lifeline_fd=whole_number(environ, LIFELINE_FD, -1),
            logs=text(LOGS, ""),
            store=text(STORE, ""),
            files=text(FILES, ""),
            invoker=text(INVOKER, ""),
            launcher=text(LAUNCHER, ""),
            lambda_secret=text(LAMBDA_SECRET, ""),
        )


class AwsSettings(NamedTuple):
    """Where a process finds its table and bucket: names, not ARNs. `endpoint` is an emulator's; "" is AWS."""

    table: str = ""
    bucket: str = ""
    region: str = ""
    endpoint: str = ""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> AwsSettings:
        """Read table, bucket, region (AWS_REGION, else AWS_DEFAULT_REGION) and endpoint."""
        region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION", "")
        return cls(environ.get(TABLE, ""), environ.get(BUCKET, ""), region, environ.get(AWS_ENDPOINT, ""))

    def environment(self) -> dict[str, str]:
        """Return the variables that carry these settings; what is "" has none."""
        return {n: v for n, v in zip((TABLE, BUCKET, "AWS_REGION", AWS_ENDPOINT), self, strict=True) if v}

    def checked(self) -> AwsSettings:
        """Return these; UsageError when they name no table or no bucket."""
        missing = [name for name, value in ((TABLE, self.table), (BUCKET, self.bucket)) if not value]
        if missing:
            raise UsageError(
                f"The AWS backend has no {' and no '.join(missing)} in its environment.",
                hint="A deployed container has them; elsewhere, use matinee.connect(stage=…).",
            )
        return self


class LaunchSettings(NamedTuple):
    """Where workers start on AWS: names, not ARNs. `spot`: try Spot capacity first.

    `job_queue` is AWS Batch's, for predictors with a GPU; "" = the app has none.
    """

    cluster: str = ""
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    job_queue: str = ""
    spot: bool = True
    public_ip: bool = True

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> LaunchSettings:
        """Read what the dispatcher is told; UsageError for a value that cannot be meant."""
        return cls(
            cluster=environ.get(CLUSTER, ""),
            subnets=_names(environ.get(SUBNETS, "")),
            security_groups=_names(environ.get(SECURITY_GROUPS, "")),
            job_queue=environ.get(JOB_QUEUE, ""),
            spot=is_on(environ, SPOT, default=True),
            public_ip=is_on(environ, PUBLIC_IP, default=True),
        )

    def environment(self) -> dict[str, str]:
        """Return the variables that carry these settings."""
        groups = ",".join(self.security_groups)
        subnets = ",".join(self.subnets)
        return launch_environment(
            self.cluster, subnets, groups, self.job_queue, spot=self.spot, public_ip=self.public_ip
        )


class UiSettings(NamedTuple):
    """What the server of the UI is told of what stands before it."""

    https: bool = False
    behind_cloudfront: bool = False
    trusted_proxies: str = ""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> UiSettings:
        """Read the settings; UsageError for a value that cannot be meant."""
        return cls(
            is_on(environ, HTTPS), is_on(environ, BEHIND_CLOUDFRONT), environ.get(TRUSTED_PROXIES, "")
        )  # fmt: skip


def ships_output(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether what this process writes is shipped to CloudWatch, line by line; UsageError for an unknown backend."""
    backend, logs = environ.get(BACKEND) or "local", environ.get(LOGS, "")
    _check(BACKEND, backend, BACKENDS)
    _check(LOGS, logs, ("", "folder"))
    return backend == "aws" and not logs


def is_on(environ: Mapping[str, str], name: str, *, default: bool = False) -> bool:
    """Return whether a switch is "1" and not "0"; UsageError for anything else."""
    text = environ.get(name, "")
    _check(name, text, ("", "0", "1"))
    return text == "1" if text else default


def whole_number(environ: Mapping[str, str], name: str, default: int) -> int:
    """Return the whole number in a variable; UsageError for anything else."""
    text = environ.get(name, "")
    try:
        return int(text) if text else default
    except ValueError:
        raise UsageError(
            f"The variable {name} is {text!r}, which is no whole number.", hint=f"Unset it, or set it as in {name}=1."
        ) from None


def secret_paths(environ: Mapping[str, str]) -> dict[str, str]:
    """Return where each secret of a function is in SSM, by its name; UsageError for what says no place."""
    pairs = [item.partition("=") for item in environ.get(SECRETS, "").split(",") if item]
    for name, _, path in pairs:
        if not (name and path):
            raise UsageError(f"The variable {SECRETS} names {name!r} without a place.", hint="Deploy the app again.")
    return {name: path for name, _, path in pairs}


# --- the environment of others: values may be a template's references ------------------------------------------------


def workload_environment(app: str, stage: str, prefix: str, table: Any, bucket: Any) -> dict[str, Any]:
    """Return what every workload on AWS has: function, task and UI."""
    where = {BACKEND: "aws", APP: app, STAGE: stage, FUNCTION_PREFIX: prefix}
    return {**where, TABLE: table, BUCKET: bucket}


def predictor_environment(predictor: str, label: Any) -> dict[str, Any]:
    """Return what a predictor's function and its workers have beside it."""
    return {PREDICTOR: predictor, LABEL: label}


def launch_environment(
    cluster: Any, subnets: Any, security_groups: Any, job_queue: Any, *, spot: bool, public_ip: bool = True
) -> dict[str, Any]:
    """Return what the dispatcher has beside it."""
    where = {CLUSTER: cluster, SUBNETS: subnets, SECURITY_GROUPS: security_groups}
    private = {} if public_ip else {PUBLIC_IP: _switch(public_ip)}
    return {**where, JOB_QUEUE: job_queue, SPOT: _switch(spot), **private}


def ui_environment(trusted_proxies: Any, *, https: bool, behind_cloudfront: bool) -> dict[str, Any]:
    """Return what the server of the UI has beside it."""
    behind = {BEHIND_CLOUDFRONT: "1"} if behind_cloudfront else {}
    return {TRUSTED_PROXIES: trusted_proxies, HTTPS: _switch(https), **behind}


def slot_environment(predictor: str, token: str, number: int) -> dict[str, str]:
    """Return what a worker is told of its slot when it is launched."""
    return {PREDICTOR: predictor, SLOT_TOKEN: token, SLOT_NUMBER: str(number)}


def image_environment(component: str, source: str, manifest: str, handler: str = "") -> dict[str, str]:
    """Return what a component's image has."""
    variables = {COMPONENT: component, SOURCE: source, MANIFEST: manifest}
    return {**variables, HANDLER: handler} if handler else variables


def secrets_environment(paths: Mapping[str, str]) -> dict[str, str]:
    """Return the variable that tells a function where its secrets are in SSM; none without secrets."""
    return {SECRETS: ",".join(f"{name}={path}" for name, path in paths.items())} if paths else {}


def _switch(on: bool) -> str:
    return "1" if on else "0"


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _check(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        known = [choice for choice in choices if choice]
        raise UsageError(
            f"The variable {name} is {value!r}, which is not known.",
            hint=f"Set it to {' or '.join(known)}, or unset it.",
        )
