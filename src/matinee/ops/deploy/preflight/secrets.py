"""The secrets of a stage: those that Matinee can make by itself are made, the others must have been set.

CloudFormation cannot make a SecureString, so they are there before the stack that names them.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matinee.ops.deploy.cloud import Cloud
from matinee.ops.deploy.preflight.model import Finding
from matinee.project.sections import SIGN_IN_MODES
from matinee.settings import COOKIE_SECRET

_AT_ONCE = 10  # names that one GetParameters takes


@dataclass(frozen=True)
class Secrets:
    """Which of the asked ones are there, and which are not."""

    there: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def look(cloud: Cloud, names: Sequence[str]) -> Secrets:
    """Return which secrets are set; their values are not read."""
    by_parameter = {cloud.names.parameter(name): name for name in names}
    parameters = list(by_parameter)
    there: list[str] = []
    for start in range(0, len(parameters), _AT_ONCE):
        part = parameters[start : start + _AT_ONCE]
        answer = cloud.call("ssm", "get_parameters", Names=part, WithDecryption=False)
        there += [by_parameter[found["Name"]] for found in answer["Parameters"]]
    return Secrets(tuple(there), tuple(name for name in names if name not in there))


def optional_names() -> tuple[str, ...]:
    """Return the secrets of sign-in that may be missing."""
    return tuple(name for mode in SIGN_IN_MODES.values() for name in mode.optional_variables)


def makeable(missing: Sequence[str]) -> tuple[str, ...]:
    """Return the missing secrets that Matinee makes by itself."""
    generated = {COOKIE_SECRET, *(name for mode in SIGN_IN_MODES.values() for name in mode.generated)}
    return tuple(name for name in missing if name in generated)


def check_secrets(stage: str, missing: Sequence[str], wanted_by: Mapping[str, str]) -> list[Finding]:
    """Return those that only a person can give; `wanted_by` says who needs each."""
    return [
        Finding(
            f"The secret {name} of {wanted_by.get(name, 'the app')} is not set on the stage {stage}.",
            f"matinee secret set {name} --stage {stage}",
        )
        for name in missing
        if name not in makeable(missing)
    ]


@dataclass(frozen=True)
class Made:
    """Secrets that were made. `password` is shown once, to who deploys."""

    names: tuple[str, ...] = ()
    password: str = field(default="", repr=False)


def make(cloud: Cloud, names: Sequence[str]) -> Made:
    """Make these secrets with random values; one that somebody set meanwhile stays as it is."""
    password = ""
    for name in names:
        value = secrets.token_hex(32) if name == COOKIE_SECRET else secrets.token_urlsafe(12)
        put = cloud.call(
            "ssm",
            "put_parameter",
            absent=("ParameterAlreadyExists",),
            Name=cloud.names.parameter(name),
            Value=value,
            Type="SecureString",
            Tags=[
                {"Key": "matinee:app", "Value": cloud.names.app},
                {"Key": "matinee:stage", "Value": cloud.names.stage},
            ],
        )
        if put is not None and name != COOKIE_SECRET:
            password = value
    return Made(tuple(names), password)
