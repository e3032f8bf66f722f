"""Every switch of the stacks with its values, twenty-four ways to set them all, and any other way at random."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from matinee.manifest import ComponentManifest
from matinee.names import Names
from matinee.project.aws import DAYS, Aws, Capacity, OfficeHours
from matinee.project.sections import Auth, Notices
from matinee.stack.blueprint import Blueprint

from .conftest import predictor

_CERTIFICATE = "arn:aws:acm:{}:111122223333:certificate/12345678-1234-1234-1234-123456789012"
_DOMAIN: dict[str, Any] = {"domain": "app.example.com", "hosted_zone": "Z0A1B2C3D4"}
_OFFICE = OfficeHours(DAYS[:5], "08:00", "18:30", "Europe/Berlin")
_BOUNDARY = "arn:aws:iam::111122223333:policy/limits"
AWS: dict[str, list[dict[str, Any]]] = {
    "edge": [
        {},
        {"edge": "alb"},
        {**_DOMAIN, "certificate": _CERTIFICATE.format("us-east-1")},
        {**_DOMAIN, "edge": "alb", "certificate": _CERTIFICATE.format("eu-central-1")},
        {"edge": "alb", "domain": "app.example.com", "certificate": _CERTIFICATE.format("eu-central-1")},
    ],
    "architecture": [{"architecture": "arm64"}, {"architecture": "x86_64"}],
    "spot": [{"spot": True}, {"spot": False}],
    "table": [{}, {"table": Capacity(5, 10)}],
    "scaling": [
        {},
        {"ui": {"max": 1}},
        {"ui": {"cpu": 1.0, "memory_mb": 2048, "min": 2, "max": 6}},
        {"ui": {"min": 3}},
    ],
    "hours": [{}, {"office_hours": _OFFICE}, {"office_hours": OfficeHours(("SAT",), "00:00", "23:59")}],
    "network": [{}, {"vpc": "vpc-0a1b2c", "subnets": ("subnet-0a1b2c", "subnet-1b2c3d")}],
    "watch": [
        {},
        {"alarms_to": "me@example.com"},
        {"alarms_to": "me@example.com", "budget_usd": 40},
        {"dashboard": False},
    ],
    "password_in": [{"password_in": "ssm"}, {"password_in": "secrets-manager"}],
    "logs": [{}, {"log_retention_days": 365}],
    "tags": [{}, {"tags": {"team": "research", "cost center": "42"}}],
    "boundary": [{}, {"permissions_boundary": _BOUNDARY}],
    "gpu_instances": [{}, {"gpu_instances": ("g5.12xlarge",)}],
}
APP: dict[str, list[dict[str, Any]]] = {
    "auth": [{}, {"auth": Auth("password")}, {"auth": Auth("oidc")}, {"auth": Auth("users")}],
    "notices": [{}, {"notices": Notices(smtp_host="mail.example.com", smtp_user="me", sender="me@example.com")}],
}
PREDICTORS: dict[str, list[dict[str, Any]]] = {
    "realtime": [{}, {"concurrency": 5, "secrets": ("API_KEY",)}, {"memory_mb": 10_240, "timeout_s": 899.5}],
    "batch": [{}, {"cpu": 16.0, "memory_mb": 122_880, "schedule": "cron(0 9 ? * MON-FRI *)", "secrets": ("TOKEN",)}],
    "calls": [{}, {"calls": ("plan",)}],
    "gpu": [{}, {"gpu": 1}, {}, {"gpu": 4}, {}],
}
SWITCHES = {**AWS, **APP, **PREDICTORS}


def blueprint(choice: dict[str, dict[str, Any]]) -> Blueprint:
    """Return the blueprint of one value for each switch."""
    aws = Aws()
    for switch in AWS:
        aws = aws.changed(choice[switch])
    if aws.ui.min > aws.ui.max:
        aws = aws.changed({"ui": {"max": aws.ui.min}})
    realtime = predictor("recommend", "realtime", "recommend", **choice["calls"], **choice["realtime"])
    batch = predictor("plan", "batch", "plan", calls=("recommend",), **choice["batch"])
    found = [("recommend", realtime), ("plan", batch)]
    if choice["gpu"]:
        found.append(("train", predictor("train", "batch", "train", cpu=3.5, memory_mb=15_000, **choice["gpu"])))
    components = tuple(ComponentManifest(name, "a" * 16, "v1", (one,)) for name, one in found)
    b = Blueprint(Names("shop", "dev"), "Shop", components, aws)
    return replace(b, **choice["auth"], **choice["notices"])


def choices(count: int = 24) -> list[dict[str, dict[str, Any]]]:
    """Return so many settings in which every value of every switch meets many of the others."""
    return [
        {
            switch: values[(number + (number // len(values)) * position) % len(values)]
            for position, (switch, values) in enumerate(SWITCHES.items())
        }
        for number in range(count)
    ]


anything = st.fixed_dictionaries({switch: st.sampled_from(values) for switch, values in SWITCHES.items()}).map(
    blueprint
)
