"""What all steps of one deployment share, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from matinee.ops.deploy.app import App
from matinee.ops.deploy.cloud import Cloud
from matinee.ops.deploy.events import Report
from matinee.ops.deploy.ground import Ground
from matinee.ops.deploy.summary import Summary
from matinee.ops.deploy.tools import Tools

Confirm = Callable[[Summary], bool]
DEFAULT_STAGE = "dev"


@dataclass(frozen=True)
class DeployOptions:
    """`may_wait`: for another deployment to end. `tries`: whether examples are run. `data_only`: table and bucket.

    `only`: a component, or a predictor of it, that goes live without a stack update. `share`: what part of the calls of
    its realtime predictors the new version gets.
    """

    stage: str = DEFAULT_STAGE
    only: str = ""
    share: float = 1.0
    data_only: bool = False
    may_wait: bool = True
    tries: bool = True


@dataclass(frozen=True)
class Deployed:
    """What is live now. `changed` is off when there was nothing to do, `declined` on when the person said no.

    `versions` are labels by component; `sign_in` is the mode of `[auth]`; `password` was made now and is shown once.
    """

    stage: str
    account: str
    region: str
    release: int = 0
    url: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    changed: bool = False
    declined: bool = False
    sign_in: str = ""
    password: str = field(default="", repr=False)
    seconds: float = 0.0


@dataclass(frozen=True)
class Work:
    """One deployment on its way."""

    cloud: Cloud
    tools: Tools
    report: Report
    app: App
    ground: Ground
    options: DeployOptions

    @property
    def who(self) -> str:
        """Who deploys, as a person is known: the last part of the caller's ARN."""
        return who(self.cloud)


def who(cloud: Cloud) -> str:
    """Return who asks, as a person is known."""
    return cloud.caller.rpartition("/")[2].rpartition(":")[2]


def agreed(_: Summary) -> bool:
    """Agree to everything."""
    return True
