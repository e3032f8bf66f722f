"""What the templates are made from: the app of one stage as a frozen value. Nothing here knows CloudFormation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from matinee.manifest import ComponentManifest, PredictorManifest
from matinee.names import Names
from matinee.project import Auth, Aws, Notices, Project
from matinee.settings import COOKIE_SECRET, OIDC_REDIRECT_URI, SMTP_PASSWORD

UI = "ui"  # what the UI's own resources are called, and its container
UI_COMPONENT = "matinee-ui"  # the component of the image that UI and dispatcher run from


@dataclass(frozen=True)
class Blueprint:
    """One stage of an app. `optional_secrets`: those of the UI that may be missing and are there."""

    names: Names
    title: str
    components: tuple[ComponentManifest, ...]
    aws: Aws = field(default_factory=Aws)
    auth: Auth = field(default_factory=Auth)
    notices: Notices = field(default_factory=Notices)
    optional_secrets: tuple[str, ...] = ()  # as the owners' password

    @classmethod
    def of(
        cls,
        project: Project,
        stage: str,
        components: Sequence[ComponentManifest],
        optional_secrets: Sequence[str] = (),
    ) -> Blueprint:
        """Return the blueprint of an app's stage. `components` are its manifests, with that stage's overrides."""
        p = project.for_stage(stage)
        return cls(
            Names(p.name, stage), p.title, tuple(components), p.aws, p.auth, p.notices, tuple(sorted(optional_secrets))
        )

    @property
    def predictors(self) -> tuple[PredictorManifest, ...]:
        """All predictors, in the order of their components."""
        return tuple(p for c in self.components for p in c.predictors)

    @property
    def realtime(self) -> tuple[PredictorManifest, ...]:
        """What becomes a function."""
        return tuple(p for p in self.predictors if p.kind == "realtime")

    @property
    def on_fargate(self) -> tuple[PredictorManifest, ...]:
        """What has workers on Fargate: batch predictors, and the rows of realtime ones."""
        return tuple(p for p in self.predictors if not p.resources.gpu)

    @property
    def on_gpu(self) -> tuple[PredictorManifest, ...]:
        """What has workers on AWS Batch."""
        return tuple(p for p in self.predictors if p.resources.gpu)

    @property
    def scheduled(self) -> tuple[PredictorManifest, ...]:
        """What runs by the clock."""
        return tuple(p for p in self.predictors if p.kind == "batch" and p.resources.schedule)

    @property
    def ui_secrets(self) -> tuple[str, ...]:
        """The secrets that the UI is given. Where the provider sends people back to follows from a domain."""
        mode = self.auth.sign_in_mode
        needed = [name for name in mode.variables if not (name == OIDC_REDIRECT_URI and self.aws.domain)]
        cookie = () if mode.is_open else (COOKIE_SECRET,)
        return tuple(dict.fromkeys((*needed, *cookie, *self.dispatcher_secrets, *self.optional_secrets)))

    @property
    def dispatcher_secrets(self) -> tuple[str, ...]:
        """The secrets that the dispatcher is given: it is what sends notices."""
        return (SMTP_PASSWORD,) if self.notices.smtp_user else ()

    def architecture(self, component: str) -> str:
        """Return "arm64" or "x86_64" for a component's image: machines with a GPU are x86."""
        on_gpu = {p.component for p in self.on_gpu}
        return "x86_64" if component in on_gpu else self.aws.architecture

    def kind_of(self, predictor: str) -> str:
        """Return "realtime" or "batch", "" for a predictor the app has not."""
        return next((p.kind for p in self.predictors if p.name == predictor), "")
