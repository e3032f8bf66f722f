"""A stage's table and bucket under an app that runs here: `matinee dev --data STAGE`.

Everything is as without it, but for Store and Files: predictors, workers and the UI run on this machine, and what they
keep is on AWS.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from matinee.backends.aws.session import Session
from matinee.backends.factory import AWS, Backend, open_backend
from matinee.backends.local.lambda_service.function import NOBODY
from matinee.client.housing import Housing, Start
from matinee.environments import Report
from matinee.environments.inspect import InspectedComponent
from matinee.manifest import AwsRelease, PredictorManifest
from matinee.project import Project
from matinee.settings import AwsSettings, Settings

Json = Any
# What a process needs to be who this one is on AWS.
_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE",
    "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE",
)  # fmt: skip


@dataclass(frozen=True)
class StageData:
    """Where the data is. `aws` names table, bucket, region and, on an emulator, its endpoint."""

    aws: AwsSettings

    def settings(self, here: Settings) -> Settings:
        """Return the settings of processes of this machine that keep their data there, and their logs here."""
        return here._replace(store=AWS, files=AWS)

    def open(self, settings: Settings) -> Backend:
        """Open the backend."""
        return open_backend(settings, Session(self.aws))

    def environment(self, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Return the variables that tell a process where the data is, and who it is on AWS."""
        return {**{name: environ[name] for name in _CREDENTIALS if name in environ}, **self.aws.environment()}

    def release(self) -> AwsRelease:
        """Return what a release says of it, for `--stage` to find the files. It names no stack: nothing runs there."""
        return AwsRelease(bucket=self.aws.bucket, region=self.aws.region)

    def housing(self, inner: Housing) -> Housing:
        """Return a housing whose processes are told of the data."""
        return _OnStage(inner, self.environment())


@dataclass(frozen=True)
class _OnStage:
    """Implements `Housing` by another one, with variables more."""

    inner: Housing
    told: Mapping[str, str]

    def settle(
        self, project: Project, inspected: Sequence[InspectedComponent], report: Report
    ) -> tuple[InspectedComponent, ...]:
        return self.inner.settle(project, inspected, report)

    def realtime(
        self, item: InspectedComponent, predictor: PredictorManifest, settings: Settings, secrets: Mapping[str, str]
    ) -> Start:
        return self._told(self.inner.realtime(item, predictor, settings, secrets))

    def worker(
        self, item: InspectedComponent, predictor: PredictorManifest, settings: Settings, secrets: Mapping[str, str]
    ) -> Start:
        return self._told(self.inner.worker(item, predictor, settings, secrets))

    def close(self) -> None:
        self.inner.close()

    def _told(self, start: Start) -> Start:
        rest = {name: value for name, value in start.environment.items() if name not in NOBODY}
        return replace(start, environment={**rest, **self.told})
