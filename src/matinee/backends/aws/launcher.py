"""What the dispatcher is told of where workers run, and what it tells each worker."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matinee.backends.aws.errors import (
    as_settled,
    ended_by_aws,
    explained,
    failed,
    is_passing,
    is_spot_loss,
    refused,
    why_ended,
    why_task_ended,
)
from matinee.backends.aws.session import Session
from matinee.errors import BackendError
from matinee.lambda_api.sdk import code_of, log_failure
from matinee.manifest import Release
from matinee.names import CONTAINER
from matinee.ports import LaunchStatus
from matinee.runs import Slot
from matinee.settings import LaunchSettings, slot_environment

OVERRIDES_CHARS = 8192  # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html
MISSING_S = 300.0  # AWS may not yet know what it has just begun: this long, "not found" is no proof of an end


def container_override(slot: Slot, more: Mapping[str, str]) -> dict[str, Any]:
    """Return what is overridden in the worker's container: its slot, and `more`. Everything else its definition says.

    Raises BackendError when that is more than ECS takes.
    """
    variables = {**more, **slot_environment(slot.predictor, slot.token, slot.number)}
    override = {"name": CONTAINER, "environment": [{"name": n, "value": v} for n, v in variables.items()]}
    length = len(json.dumps({"containerOverrides": [override]}))
    if length > OVERRIDES_CHARS:
        raise BackendError(
            f"The settings of the worker of {slot.predictor} are {length:,} characters: ECS takes {OVERRIDES_CHARS:,}.",
            hint="Keep long values in the app's files instead of its environment.",
        )
    return override


def was_alive_lately(slot: Slot, now: float) -> bool:
    """Whether the slot was taken or renewed so recently that a worker nobody finds may still be there."""
    return now - max(slot.taken_at, slot.renewed_at) < MISSING_S


# --- the launcher on AWS ----------------------------------------------------------------------------------------------
# The Launcher on AWS: Fargate, and AWS Batch for predictors that ask for a GPU.
#
# Which definition runs is the release's to say: `aws.definitions` by predictor. A release that names none
# gets the newest revision of the definition named `matinee-APP-STAGE-PREDICTOR`.


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
        """Start a worker for the slot and return its handle."""
        if not self._wants_gpu(slot.predictor):
            return self._ecs.launch(slot)
        if not self._has_queue:
            raise BackendError(
                f"No worker of {slot.predictor} can start: it asks for a GPU, and the app has no job queue.",
                hint="Deploy the app again.",
            )
        return self._batch.launch(slot)

    def status(self, slots: Sequence[Slot]) -> dict[str, LaunchStatus]:
        """Return by token whether the worker of each slot has ended."""
        jobs = [slot for slot in slots if self._is_job(slot)]
        tasks = [slot for slot in slots if not self._is_job(slot)]
        return {**(self._ecs.status(tasks) if tasks else {}), **(self._batch.status(jobs) if jobs else {})}

    def stop(self, slot: Slot) -> None:
        """Ask the worker of the slot to end."""
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


# --- workers as Fargate tasks -----------------------------------------------------------------------------------------
# Batch workers as Fargate tasks: RunTask with the slot's token as client token, so a token is one task.
#
# Spot first; on-demand when Spot has no capacity or took a worker's back, since no capacity provider does that by
# itself. https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html

TASKS_A_REQUEST = 100  # tasks that one DescribeTasks takes
SPOT_PAUSE_S = 900.0  # how long workers are on-demand after Spot had no capacity, or took a worker's back
GROUP = "matinee:"  # with the predictor's name, a task's group: what its end is told by
NEVER = LaunchStatus(True, "It was never started", passes=True)
GONE = LaunchStatus(True, "AWS does not know it any more", passes=True)


class EcsLauncher:
    """Implements `ports.Launcher` on a cluster. A handle is a task's ARN.

    `definition_of(predictor)` names the task definition; `environment` is told every worker beside its slot.
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
        self._no_spot_until = 0.0

    def launch(self, slot: Slot) -> str:
        """Start a task for the slot, the same one however often; BackendError with why none starts.

        Raises UnansweredError when one may have started: asked again, the token finds it.
        """
        error: BackendError | None = None
        for provider in self._providers(slot.predictor):
            answer = self._run(slot, provider)
            if isinstance(answer, str):
                return answer
            error = answer
            if provider == "FARGATE_SPOT":
                self._pause_spot()
        raise error or BackendError(f"No worker of {slot.predictor} can start.")

    def _providers(self, predictor: str) -> list[str]:
        if not self._settings.spot or self._clock() < self._no_spot_until:
            return ["FARGATE"]
        if self._was_interrupted(predictor):
            self._pause_spot()
            return ["FARGATE"]
        return ["FARGATE_SPOT", "FARGATE"]

    def _was_interrupted(self, predictor: str) -> bool:
        """Return whether Spot took a worker of this predictor back lately.

        ECS is asked, since the worker gave its slot up by itself, and another process may have been told of its end.
        """
        family = self._definition_of(predictor).rpartition("/")[2].partition(":")[0]
        try:
            with explained(f"The cluster {self._settings.cluster}", "ecs:ListTasks", "*"):
                listed = self._client().list_tasks(
                    cluster=self._settings.cluster, family=family, desiredStatus="STOPPED"
                )
            tasks = self._tasks(listed["taskArns"])
        except BackendError:
            return False  # a worker on Spot is better than none
        return any(is_spot_loss(task) and self._is_recent(task) for task in tasks.values())

    def _is_recent(self, task: dict[str, Any]) -> bool:
        ended_at = task.get("stoppingAt") or task.get("stoppedAt")
        return ended_at is None or self._clock() - ended_at.timestamp() < SPOT_PAUSE_S

    def _pause_spot(self) -> None:
        self._no_spot_until = self._clock() + SPOT_PAUSE_S

    def _run(self, slot: Slot, provider: str) -> str | BackendError:
        """Return the task's ARN, or what RunTask said in place of one; raises when it refused the call itself."""
        request = self._request(slot, provider)
        definition = request["taskDefinition"]
        with explained(f"ECS, for a worker of {slot.predictor},", "ecs:RunTask", f"task-definition/{definition}"):
            try:
                answer = self._client().run_task(**request)
            except Exception as error:
                return self._taken(slot, error, definition)
        if answer.get("tasks"):
            return str(answer["tasks"][0]["taskArn"])
        failure: dict[str, Any] = next(iter(answer.get("failures", [])), {})
        log_failure(_as_error(failure), "ecs:RunTask", f"task-definition/{definition}")
        return failed(slot.predictor, failure)

    def _taken(self, slot: Slot, error: Exception, definition: str) -> str | BackendError:
        """Return the task that this token has already, by another request for it; raises what is wrong otherwise."""
        if code_of(error) == "ConflictException":
            known = getattr(error, "response", {}).get("resourceIds", [])
            return (str(known[0]) if known else self._arn_of(slot)) or self._unsettled(slot)
        explanation = refused(slot.predictor, error)
        if explanation is None:
            raise error
        log_failure(error, "ecs:RunTask", f"task-definition/{definition}")
        raise as_settled(explanation, error) from error

    def _unsettled(self, slot: Slot) -> BackendError:
        return BackendError(
            f"No worker of {slot.predictor} can start: ECS has not settled an earlier request for it.",
            hint="It is tried again under another token.",
        )

    def _request(self, slot: Slot, provider: str) -> dict[str, Any]:
        settings = self._settings
        network = {
            "subnets": list(settings.subnets),  # all: ECS chooses a zone that has room
            "securityGroups": list(settings.security_groups),
            # Matinee's network has no NAT: without an address no image can be pulled.
            "assignPublicIp": "ENABLED" if settings.public_ip else "DISABLED",
        }
        return {
            "cluster": settings.cluster,
            "taskDefinition": self._definition_of(slot.predictor),
            "count": 1,
            "clientToken": slot.token,
            "startedBy": slot.token,
            "group": GROUP + slot.predictor,
            "capacityProviderStrategy": [{"capacityProvider": provider, "weight": 1}],
            "networkConfiguration": {"awsvpcConfiguration": network},
            "overrides": {"containerOverrides": [container_override(slot, self._environment)]},
            "propagateTags": "TASK_DEFINITION",
        }

    def status(self, slots: Sequence[Slot]) -> dict[str, LaunchStatus]:
        """Return by token whether each task has ended and why; one that is not found, when its slot is quiet too."""
        arns = {slot.token: self._arn_of(slot) for slot in slots}
        tasks = self._tasks(sorted({arn for arn in arns.values() if arn}))
        return {slot.token: self._status(slot, tasks.get(arns[slot.token])) for slot in slots}

    def _status(self, slot: Slot, task: dict[str, Any] | None) -> LaunchStatus:
        if task is None:
            if slot.handle and not is_task(slot.handle):
                return NEVER
            return LaunchStatus(False) if was_alive_lately(slot, self._clock()) else GONE
        if task.get("lastStatus") != "STOPPED":
            return LaunchStatus(False)
        if is_spot_loss(task):
            self._pause_spot()
        return LaunchStatus(True, why_task_ended(task), passes=ended_by_aws(task))

    def _tasks(self, arns: Sequence[str]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(arns), TASKS_A_REQUEST):
            with explained(f"The cluster {self._settings.cluster}", "ecs:DescribeTasks", self._resource()):
                answer = self._client().describe_tasks(
                    cluster=self._settings.cluster, tasks=list(arns[start : start + TASKS_A_REQUEST])
                )
            found |= {task["taskArn"]: task for task in answer["tasks"]}  # its `failures` are those not found
        return found

    def stop(self, slot: Slot) -> None:
        """Ask the task to end; no error if it has ended or never was."""
        arn = self._arn_of(slot)
        if not arn:
            return
        with explained(f"The cluster {self._settings.cluster}", "ecs:StopTask", self._resource()):
            try:
                self._client().stop_task(cluster=self._settings.cluster, task=arn, reason="Matinee told it to end")
            except Exception as error:
                if code_of(error) != "InvalidParameterException" or "not found" not in str(error):
                    raise

    def _arn_of(self, slot: Slot) -> str:
        """Return the slot's task, asked for by its token where its dispatcher died before it wrote the handle."""
        if slot.handle:
            return slot.handle if is_task(slot.handle) else ""
        for status in ("RUNNING", "STOPPED"):
            with explained(f"The cluster {self._settings.cluster}", "ecs:ListTasks", "*"):
                answer = self._client().list_tasks(
                    cluster=self._settings.cluster, startedBy=slot.token, desiredStatus=status
                )
            if answer["taskArns"]:
                return str(answer["taskArns"][0])
        return ""

    def _resource(self) -> str:
        return f"task/{self._settings.cluster}/*"

    def _client(self) -> Any:
        return self._session.client("ecs")


def is_task(handle: str) -> bool:
    """Whether a handle is a task's ARN."""
    return ":task/" in handle


def _as_error(failure: dict[str, Any]) -> Exception:
    """Return a failure as the error it would be, had ECS not answered 200."""
    from botocore.exceptions import ClientError

    details = {"Code": failure.get("reason", "no reason"), "Message": json.dumps(failure)}
    error: Exception = ClientError({"Error": details, "ResponseMetadata": {"HTTPStatusCode": 200}}, "RunTask")
    return error


# --- GPU workers on AWS Batch -----------------------------------------------------------------------------------------
# Batch workers with a GPU, as jobs of AWS Batch: Fargate has no GPU.
#
# SubmitJob knows no client token. The job is named by the slot's token and looked for before one is submitted, and a
# submission is never repeated by the SDK. Should two dispatchers submit at the same moment all the same, both workers
# hold one slot: runs are claimed once by whichever is first, and both end when the slot is given up.
# https://docs.aws.amazon.com/batch/latest/APIReference/API_SubmitJob.html

JOBS_A_REQUEST = 100  # jobs that one DescribeJobs takes
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
                explanation = refused(slot.predictor, error)
                if explanation is None:
                    raise
                log_failure(error, "batch:SubmitJob", where)
                raise as_settled(explanation, error) from error
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
        was_stopped = bool(job.get("isTerminated") or job.get("isCancelled"))
        return LaunchStatus(True, _why(job), passes=was_stopped or is_passing(str(job.get("statusReason", ""))))

    def _jobs(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(ids), JOBS_A_REQUEST):
            with explained("AWS Batch", "batch:DescribeJobs", "*"):
                answer = self._session.client("batch").describe_jobs(jobs=list(ids[start : start + JOBS_A_REQUEST]))
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
    reasons = f"{job.get('statusReason', '')} {last.get('statusReason', '')} {container.get('reason', '')}"
    return why_ended(reasons, container.get("exitCode"))
