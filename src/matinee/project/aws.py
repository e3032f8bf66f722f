"""`[aws]` of a `matinee.toml`: how the app stands on AWS. A stage changes single keys of it in `[stages.NAME.aws]`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from matinee.project.fields import Document, Field, key, read_table

Json = Any
# What CloudWatch Logs takes: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
)  # fmt: skip
DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_TEXT, _TEXTS, _SWITCH, _TABLE = Field("text"), Field("texts"), Field("switch"), Field("table")
_UNITS, _TASKS = Field("whole", low=1, high=40_000), Field("whole", low=1, high=100)
_CLOCK = Field("text", pattern="([01][0-9]|2[0-3]):[0-5][0-9]", example='must be a time as in "08:30"')
# Names and values of tags, as all services take them; some take more, IAM does not.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html
TAG_TEXT = r"^[\w\s.:/=+\-@]*\Z"
TAG_WORDS = "letters, digits, spaces and _ . : / = + - @"
_ARN = r"arn:aws[a-z-]*:"


@dataclass(frozen=True)
class Capacity:
    """What is paid for ahead, units a second, of the table and of each of its indexes."""

    read: int = key(..., _UNITS, "read units a second")
    write: int = key(..., _UNITS, "write units a second")


@dataclass(frozen=True)
class UiSize:
    """One task of the UI, and how many of them there are."""

    cpu: float = key(0.25, Field("number", low=0.25, high=16), "vCPU of one task")
    memory_mb: int = key(512, Field("whole", low=512, high=122_880), "memory of one task")
    min: int = key(1, _TASKS, "tasks at least")
    max: int = key(3, _TASKS, "tasks at most")


@dataclass(frozen=True)
class OfficeHours:
    """When the UI runs; outside it is asleep and costs nothing but its load balancer. Times are local ones."""

    days: tuple[str, ...] = key(..., _TEXT, "as in MON-FRI or MON,WED")  # of DAYS
    start: str = key(..., _CLOCK, 'as in "08:00"')
    end: str = key(..., _CLOCK, 'as in "18:00"')
    timezone: str = key("UTC", _TEXT, 'of the tz database, as in "Europe/Berlin"')


# --- readers of single keys -------------------------------------------------------------------------------------------


def _capacity(document: Document, at: tuple[str, ...]) -> Capacity:
    table = read_table(document, at, Capacity)
    if table.keys() != {"read", "write"}:
        raise document.error(at, f"{'.'.join(at)} needs read and write", "Leave the table out to pay per request.")
    return Capacity(**table)


def _office_hours(document: Document, at: tuple[str, ...]) -> OfficeHours:
    table = read_table(document, at, OfficeHours)
    name = ".".join(at)
    if not {"start", "end"} <= table.keys():
        hint = 'As in { days = "MON-FRI", start = "08:00", end = "18:00", timezone = "Europe/Berlin" }.'
        raise document.error(at, f"{name} needs start and end", hint)
    if table["start"] >= table["end"]:
        raise document.error(at, f"{name}.end must be later than its start", "Both are on the same day.")
    days = _days(table.get("days", "MON-FRI"))
    if not days:
        raise document.error((*at, "days"), f"{name}.days must be as in MON-FRI or MON,WED")
    if not _is_timezone(table.get("timezone", "UTC")):
        hint = 'Name one of the tz database, as in "Europe/Berlin".'
        raise document.error((*at, "timezone"), f"{name}.timezone {table['timezone']!r} is not known", hint)
    return OfficeHours(days, table["start"], table["end"], table.get("timezone", "UTC"))


def _days(text: str) -> tuple[str, ...]:
    """Return the days of "MON-FRI" or "MON,WED" in the week's order, () for what is neither."""
    found: set[str] = set()
    for part in text.upper().replace(" ", "").split(","):
        first, _, last = part.partition("-")
        last = last or first
        if first not in DAYS or last not in DAYS or DAYS.index(first) > DAYS.index(last):
            return ()
        found.update(DAYS[DAYS.index(first) : DAYS.index(last) + 1])
    return tuple(day for day in DAYS if day in found)


def _is_timezone(name: str) -> bool:
    from zoneinfo import available_timezones  # where a system has no such data, AWS is asked later

    known = available_timezones()
    return not known or name in known


def _ui_size(document: Document, at: tuple[str, ...]) -> Mapping[str, Json]:
    return read_table(document, at, UiSize)


def _retention(document: Document, at: tuple[str, ...]) -> int:
    days = int(document.at(at[:-1])[at[-1]])
    if days not in RETENTION_DAYS:
        near = min(RETENTION_DAYS, key=lambda taken: abs(taken - days))
        raise document.error(at, f"{'.'.join(at)} cannot be {days}", f"CloudWatch takes {near}.")
    return days


def _tags(document: Document, at: tuple[str, ...]) -> Mapping[str, str]:
    tags = document.at(at)
    for name, value in tags.items():
        if not isinstance(value, str) or not 1 <= len(name) <= 128 or len(value) > 256:
            raise document.error((*at, name), f"{'.'.join((*at, name))} must be a text of at most 256 characters")
        if not re.search(TAG_TEXT, name + value):
            message = f"{'.'.join((*at, name))} can hold only {TAG_WORDS}"
            raise document.error((*at, name), message, "IAM takes no more.")
        if name.lower().startswith(("aws:", "matinee:")):
            hint = "These names are AWS's and Matinee's own."
            raise document.error((*at, name), f"a tag cannot be called {name}", hint)
    return tags


# --- the [aws] table --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Aws:
    """How the app stands on AWS."""

    region: str = key(
        "",
        Field("text", pattern="[a-z]{2}(-[a-z]+)+-[0-9]", example='must be as in "eu-central-1"'),
        'where; "" = `AWS_REGION`, or the profile\'s',
    )
    edge: str = key(
        "cloudfront",
        Field("text", choices=("cloudfront", "alb")),
        'HTTPS without a domain; "alb" = a public load balancer, plain http unless it has a certificate',
    )
    certificate: str = key(
        "",
        Field("text", pattern=_ARN + "acm:.+", example="must be the ARN of a certificate of AWS Certificate Manager"),
        "the ARN of the certificate of `domain` (in us-east-1 for CloudFront)",
    )
    domain: str = key(
        "",
        Field("text", pattern=r"([a-z0-9-]+\.)+[a-z]{2,}", example='must be as in "app.example.com"'),
        "your own address",
    )
    hosted_zone: str = key(
        "",
        Field("text", pattern="Z[A-Z0-9]+", example='must be the id of a zone of Route 53, as in "Z0123ABC"'),
        'the Route 53 zone that gets the domain\'s record; "" = you keep the record yourself',
    )
    architecture: str = key(
        "arm64", Field("text", choices=("arm64", "x86_64")), 'or "x86_64"; what wants a GPU is x86_64 in any case'
    )
    spot: bool = key(
        True, _SWITCH, "workers, and the UI's tasks beyond the first, on spare capacity while there is some"
    )
    table: Capacity | None = key(
        None,
        _TABLE,
        "`{read = 5, write = 5}`: units a second, paid ahead, of the table and each of its three indexes",
        default_text="on demand",
        read=_capacity,
    )
    vpc: str = key(
        "",
        Field("text", pattern="vpc-[0-9a-f]+", example='must be as in "vpc-0a1b2c3d"'),
        'your own network; "" = one that all apps of the account share',
    )
    subnets: tuple[str, ...] = key((), _TEXTS, "two at least of `vpc`, with a route to the internet")
    public_ip: bool = key(
        True, _SWITCH, "tasks get a public address; false: `subnets` are private, and a NAT gateway lets them out"
    )
    ui: UiSize = key(
        UiSize,
        _TABLE,
        "one task of the UI, and how many of them",
        default_text="`{cpu = 0.25, memory_mb = 512, min = 1, max = 3}`",
        read=_ui_size,
    )
    office_hours: OfficeHours | None = key(
        None,
        _TABLE,
        '`{days = "MON-FRI", start = "08:00", end = "18:00", timezone = "Europe/Berlin"}`: outside the UI is asleep',
        default_text="always",
        read=_office_hours,
    )
    alarms_to: str = key(
        "",
        Field("text", pattern=r"[^@\s]+@[^@\s]+", example="must be an e-mail address"),
        'the e-mail address that alarms go to; "" = no alarms',
    )
    budget_usd: float = key(
        0.0,
        Field("number", low=1),
        "dollars a month: 80 % spent, or more foreseen, is told to `alarms_to`",
        default_text="none",
    )
    dashboard: bool = key(True, _SWITCH, "a dashboard in CloudWatch")
    log_retention_days: int = key(
        30,
        Field("whole", low=1, high=3653),
        "how long log lines are kept; one of those CloudWatch takes",
        read=_retention,
    )
    tags: Mapping[str, str] = key(
        dict, _TABLE, 'a table of tags for everything: `tags = {team = "research"}`', read=_tags
    )
    password_in: str = key(
        "ssm",
        Field("text", choices=("ssm", "secrets-manager")),
        'where the password is: SSM (free), or "secrets-manager" ($0.40 a month), see below',
    )
    permissions_boundary: str = key(
        "",
        Field("text", pattern=_ARN + "iam:.*:policy/.+", example="must be the ARN of a managed policy of IAM"),
        "the ARN of a policy that bounds every role that is made",
    )
    gpu_instances: tuple[str, ...] = key(
        (),
        _TEXTS,
        'types that workers with a GPU may run on, as in `["g5.xlarge"]`',
        default_text="by the number of GPUs",
    )

    def changed(self, changes: Mapping[str, Json]) -> Aws:
        """Return these options with what a table gives; `ui` and `tags` change key by key."""
        new = dict(changes)
        if "ui" in new:
            new["ui"] = replace(self.ui, **new["ui"])
        if "tags" in new:
            new["tags"] = {**self.tags, **new["tags"]}
        return replace(self, **new)


def read_aws(document: Document, at: tuple[str, ...] = ("aws",)) -> Mapping[str, Json]:
    """Return what the table gives of `Aws`, for `Aws.changed`; raises ProjectError."""
    return read_table(document, at, Aws)


def check_aws(document: Document, aws: Aws, at: tuple[str, ...] = ("aws",)) -> Aws:
    """Return the options if they go together; raises ProjectError that names the key in the way."""
    name = ".".join(at)
    if aws.vpc and len(aws.subnets) < 2:
        hint = 'Add subnets = ["subnet-…", "subnet-…"].'
        raise document.error((*at, "vpc"), f"{name}.vpc needs two subnets in two zones", hint)
    if aws.subnets and not aws.vpc:
        raise document.error((*at, "subnets"), f"{name}.subnets needs their vpc", 'Add vpc = "vpc-…".')
    if not aws.public_ip and not aws.vpc:
        hint = 'Add vpc = "vpc-…" and its private subnets: Matinee\'s own network has no NAT gateway.'
        raise document.error((*at, "public_ip"), f"{name}.public_ip = false needs a network of your own", hint)
    if bool(aws.certificate) != bool(aws.domain):
        key = "certificate" if aws.certificate else "domain"
        other = "domain" if aws.certificate else "certificate"
        raise document.error((*at, key), f"{name}.{key} needs a {other}", "A certificate is for a domain.")
    if aws.hosted_zone and not aws.domain:
        raise document.error((*at, "hosted_zone"), f"{name}.hosted_zone needs a domain", "Add domain and certificate.")
    if aws.edge == "cloudfront" and aws.certificate and ":us-east-1:" not in aws.certificate:
        hint = "Ask for the certificate once more, in us-east-1."
        raise document.error((*at, "certificate"), f"{name}.certificate must be in us-east-1 for CloudFront", hint)
    if aws.budget_usd and not aws.alarms_to:
        hint = 'Add alarms_to = "me@example.com".'
        raise document.error((*at, "budget_usd"), f"{name}.budget_usd has nobody to tell", hint)
    if aws.ui.min > aws.ui.max:
        least = f"{name}.ui.min is {aws.ui.min}, and max {aws.ui.max}"
        raise document.error((*at, "ui"), least, "max must be at least min.")
    return aws
