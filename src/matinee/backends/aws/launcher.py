"""The Launcher on AWS: Fargate, and AWS Batch for predictors that ask for a GPU.

Which definition runs is the release's to say: `aws.definitions` by predictor. A release that names none
gets the newest revision of the definition named `matinee-APP-STAGE-PREDICTOR`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matinee.backends.aws.launcher_batch import BatchLauncher, is_job
from matinee.backends.aws.launcher_ecs import EcsLauncher
from matinee.backends.aws.session import Session
from matinee.errors import BackendError
from matinee.manifest import Release
from matinee.ports import LaunchStatus
from matinee.runs import Slot
from matinee.settings import LaunchSettings


class AwsLauncher:
    """Implements `ports.Launcher` for what is live. `prefix` begins the names of the app's resources.

    Give it each release as it comes with `follow`: what it has learnt of Spot is kept.
    """

    def __init__(
        self,
        session: Session,
        settings: LaunchSettings,
        *,
        prefix: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._prefix = prefix
        self._has_queue = bool(settings.job_queue)
        self._release: Release | None = None
        self._ecs = EcsLauncher(session, settings, self._definition_of, environment=environment)
        self._batch = BatchLauncher(session, settings, self._definition_of, environment=environment)

    def follow(self, release: Release) -> None:
        """Launch from this release from now on."""
        self._release = release

    def launch(self, slot: Slot) -> str:
        """See `ports.Launcher`."""
        if not self._wants_gpu(slot.predictor):
            return self._ecs.launch(slot)
        if not self._has_queue:
            raise BackendError(
                f"No worker of {slot.predictor} can start: it asks for a GPU, and the app has no job queue.",
                hint="Deploy the app again.",
            )
        return self._batch.launch(slot)

    def status(self, slots: Sequence[Slot]) -> dict[str, LaunchStatus]:
        """See `ports.Launcher`."""
        jobs = [slot for slot in slots if self._is_job(slot)]
        tasks = [slot for slot in slots if not self._is_job(slot)]
        return {**(self._ecs.status(tasks) if tasks else {}), **(self._batch.status(jobs) if jobs else {})}

    def stop(self, slot: Slot) -> None:
        """See `ports.Launcher`."""
        (self._batch if self._is_job(slot) else self._ecs).stop(slot)

    def _is_job(self, slot: Slot) -> bool:
        """By its handle, for a release may have given the predictor a GPU or taken it away."""
        if slot.handle:
            return is_job(slot.handle)
        return self._has_queue and self._wants_gpu(slot.predictor)

    def _wants_gpu(self, predictor: str) -> bool:
        manifest = self._release.predictor(predictor) if self._release else None
        return manifest is not None and manifest.resources.gpu > 0

    def _definition_of(self, predictor: str) -> str:
        definitions = self._release.aws.definitions if self._release else {}
        return definitions.get(predictor) or self._prefix + predictor
