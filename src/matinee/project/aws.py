"""`[aws]` of a `matinee.toml`: how the app stands on AWS. A stage changes single keys of it in `[stages.NAME.aws]`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from matinee.project.fields import Document, Field

Json = Any
# What CloudWatch Logs takes: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
)  # fmt: skip
DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_TEXT, _SWITCH, _TABLE = Field("text"), Field("switch"), Field("table")
_ARN = r"arn:aws[a-z-]*:"
_FIELDS = {
    "region": Field("text", pattern="[a-z]{2}(-[a-z]+)+-[0-9]", example='must be as in "eu-central-1"'),
    "edge": Field("text", choices=("cloudfront", "alb")),
    "certificate": Field(
        "text", pattern=_ARN + "acm:.+", example="must be the ARN of a certificate of AWS Certificate Manager"
    ),
    "domain": Field("text", pattern=r"([a-z0-9-]+\.)+[a-z]{2,}", example='must be as in "app.example.com"'),
    "hosted_zone": Field(
        "text", pattern="Z[A-Z0-9]+", example='must be the id of a zone of Route 53, as in "Z0123ABC"'
    ),
    "architecture": Field("text", choices=("arm64", "x86_64")),
    "spot": _SWITCH,
    "table": _TABLE,
    "vpc": Field("text", pattern="vpc-[0-9a-f]+", example='must be as in "vpc-0a1b2c3d"'),
    "subnets": Field("texts"),
    "ui": _TABLE,
    "office_hours": _TABLE,
    "alarms_to": Field("text", pattern=r"[^@\s]+@[^@\s]+", example="must be an e-mail address"),
    "budget_usd": Field("number", low=1),
    "dashboard": _SWITCH,
    "log_retention_days": Field("whole", low=1, high=3653),
    "tags": _TABLE,
    "password_in": Field("text", choices=("ssm", "secrets-manager")),
    "permissions_boundary": Field(
        "text", pattern=_ARN + "iam:.*:policy/.+", example="must be the ARN of a managed policy of IAM"
    ),
    "gpu_instances": Field("texts"),
}
_CAPACITY = {"read": Field("whole", low=1, high=40_000), "write": Field("whole", low=1, high=40_000)}
_UI = {
    "cpu": Field("number", low=0.25, high=16),
    "memory_mb": Field("whole", low=512, high=122_880),
    "min": Field("whole", low=1, high=100),
    "max": Field("whole", low=1, high=100),
}
_CLOCK = Field("text", pattern="([01][0-9]|2[0-3]):[0-5][0-9]", example='must be a time as in "08:30"')
_HOURS = {"days": _TEXT, "start": _CLOCK, "end": _CLOCK, "timezone": _TEXT}


@dataclass(frozen=True)
class Capacity:
    """What is paid for ahead, units a second, of the table and of each of its indexes."""

    read: int
    write: int


@dataclass(frozen=True)
class UiSize:
    """One task of the UI, and how many of them there are."""

    cpu: float = 0.25  # vCPU
    memory_mb: int = 512
    min: int = 1
    max: int = 3


@dataclass(frozen=True)
class OfficeHours:
    """When the UI runs; outside it is asleep and costs nothing but its load balancer. Times are local ones."""

    days: tuple[str, ...]  # of DAYS
    start: str  # "08:00"
    end: str
    timezone: str = "UTC"  # as in "Europe/Berlin"


@dataclass(frozen=True)
class Aws:
    """How the app stands on AWS."""

    region: str = ""  # "" = AWS_REGION, or the profile's
    edge: str = "cloudfront"  # HTTPS without a domain; "alb": a public load balancer
    certificate: str = ""  # of `domain`; for CloudFront it is in us-east-1
    domain: str = ""
    hosted_zone: str = ""  # where the domain's record is kept; "" = you keep it yourself
    architecture: str = "arm64"
    spot: bool = True  # workers, and the UI's tasks beyond the first, on spare capacity while there is some
    table: Capacity | None = None  # None = on demand
    vpc: str = ""  # "" = the network that all apps of the account share
    subnets: tuple[str, ...] = ()  # of `vpc`, with a route to the internet
    ui: UiSize = field(default_factory=UiSize)
    office_hours: OfficeHours | None = None
    alarms_to: str = ""  # "" = no alarms
    budget_usd: float = 0.0  # a month; 0 = none
    dashboard: bool = True
    log_retention_days: int = 30
    tags: Mapping[str, str] = field(default_factory=dict)
    password_in: str = "ssm"  # noqa: S105 - where it is, not what
    permissions_boundary: str = ""  # of every role that is made
    gpu_instances: tuple[str, ...] = ()  # types workers with a GPU may run on; () = chosen by their number of GPUs

    def changed(self, given: Mapping[str, Json]) -> Aws:
        """Return these options with what a table gives; `ui` and `tags` change key by key."""
        new = dict(given)
        if "ui" in new:
            new["ui"] = replace(self.ui, **new["ui"])
        if "tags" in new:
            new["tags"] = {**self.tags, **new["tags"]}
        return replace(self, **new)


def read_aws(document: Document, at: tuple[str, ...] = ("aws",)) -> Mapping[str, Json]:
    """Return what the table gives of `Aws`, for `Aws.changed`; raises ProjectError."""
    table = document.table(at, _FIELDS)
    for key in ("subnets", "gpu_instances"):
        if key in table:
            table[key] = tuple(table[key])
    if "table" in table:
        table["table"] = _capacity(document, (*at, "table"))
    if "ui" in table:
        table["ui"] = document.table((*at, "ui"), _UI)
    if "office_hours" in table:
        table["office_hours"] = _office_hours(document, (*at, "office_hours"))
    if "tags" in table:
        _check_tags(document, (*at, "tags"))
    retention = table.get("log_retention_days", RETENTION_DAYS[0])
    if retention not in RETENTION_DAYS:
        near = min(RETENTION_DAYS, key=lambda days: abs(days - retention))
        where = (*at, "log_retention_days")
        raise document.error(where, f"{'.'.join(where)} cannot be {retention}", f"CloudWatch takes {near}.")
    return table


def check_aws(document: Document, aws: Aws, at: tuple[str, ...] = ("aws",)) -> Aws:
    """Return the options if they go together; raises ProjectError that names the key in the way."""
    name = ".".join(at)
    if aws.vpc and len(aws.subnets) < 2:
        hint = 'Add subnets = ["subnet-…", "subnet-…"].'
        raise document.error((*at, "vpc"), f"{name}.vpc needs two subnets in two zones", hint)
    if aws.subnets and not aws.vpc:
        raise document.error((*at, "subnets"), f"{name}.subnets needs their vpc", 'Add vpc = "vpc-…".')
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


def _capacity(document: Document, at: tuple[str, ...]) -> Capacity:
    given = document.table(at, _CAPACITY)
    if given.keys() != _CAPACITY.keys():
        raise document.error(at, f"{'.'.join(at)} needs read and write", "Leave the table out to pay per request.")
    return Capacity(**given)


def _office_hours(document: Document, at: tuple[str, ...]) -> OfficeHours:
    given = document.table(at, _HOURS)
    name = ".".join(at)
    if not {"start", "end"} <= given.keys():
        hint = 'As in { days = "MON-FRI", start = "08:00", end = "18:00", timezone = "Europe/Berlin" }.'
        raise document.error(at, f"{name} needs start and end", hint)
    if given["start"] >= given["end"]:
        raise document.error(at, f"{name}.end must be later than its start", "Both are on the same day.")
    days = _days(given.get("days", "MON-FRI"))
    if not days:
        raise document.error((*at, "days"), f"{name}.days must be as in MON-FRI or MON,WED")
    if not _is_timezone(given.get("timezone", "UTC")):
        hint = 'Name one of the tz database, as in "Europe/Berlin".'
        raise document.error((*at, "timezone"), f"{name}.timezone {given['timezone']!r} is not known", hint)
    return OfficeHours(days, given["start"], given["end"], given.get("timezone", "UTC"))


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


def _check_tags(document: Document, at: tuple[str, ...]) -> None:
    for key, value in document.at(at).items():
        if not isinstance(value, str) or not 1 <= len(key) <= 128 or len(value) > 256:
            raise document.error((*at, key), f"{'.'.join((*at, key))} must be a text of at most 256 characters")
        if key.lower().startswith(("aws:", "matinee:")):
            hint = "These names are AWS's and Matinee's own."
            raise document.error((*at, key), f"a tag cannot be called {key}", hint)
