"""What a deployment starts from: the four stacks, what is live, and which images the repository has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from matinee.names import NETWORK_STACK, Names, check_stage
from matinee.ops.deploy import live as lives
from matinee.ops.deploy import registry
from matinee.ops.deploy.cloud import Cloud, open_cloud
from matinee.ops.deploy.events import Report
from matinee.ops.deploy.live import Live
from matinee.ops.deploy.preflight.model import refuse
from matinee.ops.deploy.preflight.names import check_region
from matinee.ops.deploy.registry import KeptImage
from matinee.ops.deploy.stacks.model import StackState
from matinee.ops.deploy.stacks.settle import settle
from matinee.ops.deploy.stacks.state import describe
from matinee.ops.deploy.tools import Tools

Look = Callable[[Cloud, str], StackState | None]


@dataclass(frozen=True)
class Ground:
    """A stack is None where there is none. `network` is None too where the app has a network of its own."""

    network: StackState | None
    data: StackState | None
    app: StackState | None
    edge: StackState | None
    live: Live
    images: Mapping[str, KeptImage]


def open_stage(names: Names, region: str, tools: Tools) -> Cloud:
    """Return the stage's cloud; `region` "" is the one of the environment or the profile.

    Raises UsageError for what can be no stage (`dev-data` would be another's stack) and for a region that there is not,
    BackendError without credentials.
    """
    check_stage(names.stage)
    settings = tools.settings._replace(region=region or tools.settings.region)
    if settings.region and not settings.endpoint:
        refuse(check_region(settings.region, _known_regions()))
    return open_cloud(names, settings, poll_s=tools.poll_s)


def _known_regions() -> list[str]:
    import boto3

    session = boto3.Session()
    return [
        r for partition in session.get_available_partitions() for r in session.get_available_regions("ecs", partition)
    ]


def settled(report: Report, *, may_wait: bool = True) -> Look:
    """Return a look that brings a stuck stack out of its state first, for what changes it."""
    return partial(_settled, report, may_wait)


def _settled(report: Report, may_wait: bool, cloud: Cloud, stack: str) -> StackState | None:
    return settle(cloud, stack, report, may_wait=may_wait)


def survey(cloud: Cloud, look: Look = describe, *, shared_network: bool = True) -> Ground:
    """Return the ground: at most ten calls, three where nothing is deployed yet."""
    data = look(cloud, cloud.names.data_stack)
    return Ground(
        look(cloud, NETWORK_STACK) if shared_network else None,
        data,
        look(cloud, cloud.names.base),
        look(cloud, cloud.names.edge_stack),
        lives.look(cloud) if data is not None else lives.nothing(cloud),
        registry.images(cloud) if data is not None else {},
    )
