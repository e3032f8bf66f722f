"""Batch workers with a GPU, as jobs of AWS Batch: Fargate has no GPU.

SubmitJob knows no client token. The job is named by the slot's token and looked for before one is submitted, and a
submission is never repeated by the SDK. Should two dispatchers submit at the same moment all the same, both workers
hold one slot: runs are claimed once by whichever is first, and both end when the slot is given up.
https://docs.aws.amazon.com/batch/latest/APIReference/API_SubmitJob.html
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matinee.backends.aws.errors import as_settled, code_of, explained, log_failure
from matinee.backends.aws.launcher_settings import container_override, was_alive_lately
from matinee.backends.aws.launcher_words import is_passing, refused, why_ended
from matinee.backends.aws.session import Session
from matinee.ports import LaunchStatus
from matinee.runs import Slot
from matinee.settings import LaunchSettings

AT_ONCE = 100  # jobs that one DescribeJobs takes
_PREFIX = "batch:"
_OVER = {"SUCCEEDED", "FAILED"}
_LISTED = 100


class BatchLauncher:
    """Implements `ports.Launcher` on a job queue. A handle is "batch:" and a job's id.

    `definition_of(predictor)` names the job definition (`ecsProperties`); `environment` is told every worker.
    """

    def __init__(
        self,
        session: Session,
        settings: LaunchSettings,
        definition_of: Callable[[str], str],
        *,
        environment: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._session = session
        self._settings = settings
        self._definition_of = definition_of
        self._environment = dict(environment or {})
        self._clock = clock

    def launch(self, slot: Slot) -> str:
        """Submit the slot's job unless there is one of its name; BackendError with why it cannot be submitted.

        Raises UnansweredError when it may have been submitted: asked again, it is found by its name.
        """
        job = self._find(slot.token) or self._submit(slot)
        return _PREFIX + job

    def _find(self, token: str) -> str:
        """Return the job named by the token in whatever state, "" if there is none."""
        more: dict[str, str] = {}
        while True:
            with explained(f"The job queue {self._settings.job_queue}", "batch:ListJobs", "*"):
                answer = self._session.client("batch").list_jobs(
                    jobQueue=self._settings.job_queue,
                    filters=[{"name": "JOB_NAME", "values": [token]}],
                    maxResults=_LISTED,
                    **more,
                )
            for job in answer["jobSummaryList"]:
                if job["jobName"] == token:
                    return str(job["jobId"])
            if not answer.get("nextToken"):
                return ""
            more = {"nextToken": answer["nextToken"]}

    def _submit(self, slot: Slot) -> str:
        definition = self._definition_of(slot.predictor)
        override = container_override(slot, self._environment)
        where = f"job-definition/{definition}"
        with explained(f"AWS Batch, for a worker of {slot.predictor},", "batch:SubmitJob", where):
            try:
                answer = self._session.client("batch", retry=False).submit_job(
                    jobName=slot.token,
                    jobQueue=self._settings.job_queue,
                    jobDefinition=definition,
                    ecsPropertiesOverride={"taskProperties": [{"containers": [override]}]},
                    propagateTags=True,
                )
            except Exception as error:
                told = refused(slot.predictor, error)
                if told is None:
                    raise
                log_failure(error, "batch:SubmitJob", where)
                raise as_settled(told, error) from error
        return str(answer["jobId"])

    def status(self, slots: Sequence[Slot]) -> dict[str, LaunchStatus]:
        """Return by token whether each job has ended and why; what a job waits for is told as `reason` too."""
        ids = {slot.token: self._job_of(slot) for slot in slots}
        jobs = self._jobs(sorted({job for job in ids.values() if job}))
        return {slot.token: self._status(slot, jobs.get(ids[slot.token])) for slot in slots}

    def _status(self, slot: Slot, job: dict[str, Any] | None) -> LaunchStatus:
        if job is None:
            if slot.handle and not is_job(slot.handle):
                return LaunchStatus(True, "It was never started", passes=True)
            is_quiet = not was_alive_lately(slot, self._clock())
            return LaunchStatus(is_quiet, "AWS does not know it any more" if is_quiet else "", passes=is_quiet)
        if job["status"] not in _OVER:
            return LaunchStatus(False, str(job.get("statusReason", "")))
        told_to_end = bool(job.get("isTerminated") or job.get("isCancelled"))
        return LaunchStatus(True, _why(job), passes=told_to_end or is_passing(str(job.get("statusReason", ""))))

    def _jobs(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(ids), AT_ONCE):
            with explained("AWS Batch", "batch:DescribeJobs", "*"):
                answer = self._session.client("batch").describe_jobs(jobs=list(ids[start : start + AT_ONCE]))
            found |= {job["jobId"]: job for job in answer["jobs"]}
        return found

    def stop(self, slot: Slot) -> None:
        """Ask the job to end; no error if it has ended or never was."""
        job = self._job_of(slot)
        if not job:
            return
        with explained("AWS Batch", "batch:TerminateJob", f"job/{job}"):
            try:
                self._session.client("batch").terminate_job(jobId=job, reason="Matinee told it to end")
            except Exception as error:
                if code_of(error) != "ClientException" or "not found" not in str(error).lower():
                    raise

    def _job_of(self, slot: Slot) -> str:
        if slot.handle:
            return slot.handle.removeprefix(_PREFIX) if is_job(slot.handle) else ""
        return self._find(slot.token)


def is_job(handle: str) -> bool:
    """Whether a handle is a job's of AWS Batch."""
    return handle.startswith(_PREFIX)


def _why(job: dict[str, Any]) -> str:
    if job.get("isTerminated") or job.get("isCancelled"):
        return "It was told to end"
    last = (job.get("attempts") or [{}])[-1]
    tasks = last.get("taskProperties") or [{}]
    container = (tasks[0].get("containers") or [last.get("container", {})])[0]
    said = f"{job.get('statusReason', '')} {last.get('statusReason', '')} {container.get('reason', '')}"
    return why_ended(said, container.get("exitCode"))
