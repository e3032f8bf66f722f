"""What a deployment would do, as people understand it: what is added, changed, replaced, removed; what it costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from matinee.ops.deploy.stacks.model import Change, Effect, StackSpec
from matinee.ops.deploy.stacks.words import kind_of

Json = Any
# What holds people's data: that one of these goes is said in words of its own.
PRECIOUS = frozenset({"AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::ECR::Repository"})
_NAMES = ("FunctionName", "ServiceName", "TableName", "BucketName", "RepositoryName", "ClusterName", "Family",
          "RoleName", "LogGroupName", "AlarmName", "DashboardName", "Name")  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One resource: what happens to it. `because` are the properties that change; `stack` says where it belongs."""

    effect: Effect
    kind: str
    name: str
    stack: str
    because: tuple[str, ...] = ()
    may_replace: bool = False
    is_precious: bool = False


@dataclass(frozen=True)
class Version:
    """A component's version: `before` "" if it is new, `after` "" if it goes."""

    component: str
    before: str
    after: str
    must_build: bool = False


@dataclass(frozen=True)
class Summary:
    """`monthly_usd` is None where it is not known, before and after."""

    stage: str
    account: str
    region: str
    is_first: bool
    lines: tuple[Line, ...] = ()
    versions: tuple[Version, ...] = ()
    monthly_usd_before: float | None = None
    monthly_usd_after: float | None = None
    warnings: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.lines and all(v.before == v.after for v in self.versions)

    def count(self, effect: Effect) -> int:
        """Return how many resources this happens to."""
        return sum(line.effect == effect for line in self.lines)

    @property
    def lost(self) -> tuple[Line, ...]:
        """What holds people's data and would go."""
        return tuple(line for line in self.lines if line.is_precious and line.effect in ("remove", "replace"))


def lines_of(spec: StackSpec, changes: Iterable[Change]) -> tuple[Line, ...]:
    """Return a change set's changes."""
    resources: Mapping[str, Json] = spec.template.get("Resources", {})
    return tuple(
        Line(
            change.effect,
            kind_of(change.type),
            _name(change.resource, resources.get(change.resource, {}), change.physical),
            spec.name,
            change.properties,
            change.may_replace,
            change.type in PRECIOUS,
        )
        for change in changes
    )


def address_goes(stack: str) -> Line:
    """Return that CloudFront's address goes with its stack."""
    return Line("remove", "public address", "CloudFront", stack)


def all_of(spec: StackSpec) -> tuple[Line, ...]:
    """Return what a stack adds that does not exist yet."""
    found = spec.template.get("Resources", {}).items()
    return lines_of(spec, (Change("add", name, resource["Type"]) for name, resource in found))


def _name(logical: str, resource: Mapping[str, Json], physical: str) -> str:
    properties = resource.get("Properties", {})
    own = next((properties[key] for key in _NAMES if isinstance(properties.get(key), str)), "")
    return own or (physical if physical and ":" not in physical else "") or logical
