"""InjectedFailures, played against a deployed app: each kind checks what the app promises, and ends in a sentence.

Raises BackendError when the app does not keep a promise. What was broken is mended again at the end, whatever happens.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from matinee.client.core import Client
from matinee.errors import BackendError, ConflictError, UsageError
from matinee.manifest import PredictorManifest
from matinee.rehearsal.iam import statements_of
from matinee.rehearsal.machines import Workload
from matinee.rehearsal.proxies import Call, Reply
from matinee.rehearsal.rehearsal import Rehearsal
from matinee.rehearsal.tasks import Task
from matinee.runs import Run, Status

Json = Any
T = TypeVar("T")
Inject = Callable[[Rehearsal], str]
PATIENCE_S = 90.0
SLOW_START_S = 3.0
THROTTLED_ONE_IN = 4
NO_CAPACITY = "Capacity is unavailable at this time. Please try again later or in a different availability zone"
_COPIED = shutil.ignore_patterns(".matinee", ".git", ".venv", "__pycache__", "node_modules")


def spot(stage: Rehearsal) -> str:
    """A worker is killed by Spot in the middle of a run."""
    client, predictor = stage.connect(), _batch(stage)
    run = _running(client, predictor)
    worker = _worker_of(stage, predictor)
    worker.stop("Your Spot Task was interrupted.", "SpotInterruption")
    done = _await_end(stage, client, run)
    _promise(done.status is Status.SUCCEEDED, f"the run ended {done.status.value}: {_why(done)}")
    _promise(done.attempt > 1, "the run was never interrupted")
    _promise(done.failures == 0, f"{done.failures} of its retries was spent")
    another = next(t for t in stage.world.tasks if t.group == worker.group and t.arn != worker.arn)
    return (
        f"Spot took the worker of {predictor.name} back in the middle of a run: the run went back to the queue without "
        f"spending a retry, and a worker on {_capacity(another)} finished it (attempt {done.attempt})."
    )


def capacity(stage: Rehearsal) -> str:
    """Fargate has no capacity for a while."""
    client, predictor = stage.connect(), _batch(stage)
    asked: list[str] = []

    def refuse(request: Mapping[str, Json]) -> Json:
        asked.append(request["capacityProviderStrategy"][0]["capacityProvider"])
        return [{"reason": "RESOURCE:FARGATE", "detail": NO_CAPACITY}]

    _await_leave(stage, predictor)
    with _set(stage.world.ecs, "refuse", refuse):
        run = client.submit(predictor.name, predictor.examples[0])
        why = _await(lambda: _note(client, predictor), "a word on why the run waits")
        _promise("no Fargate capacity" in why, f"the run says {why!r}")
        _promise(client.run(run.id).status is Status.QUEUED, "the run is not queued any more")
    done = _await_end(stage, client, run)
    _promise(done.status is Status.SUCCEEDED, f"the run ended {done.status.value}: {_why(done)}")
    tried = " and then ".join(dict.fromkeys(asked))
    return f"{tried} had no capacity: the run stayed queued and said so, and it ran as soon as there was some."


def throttle(stage: Rehearsal) -> str:
    """The table throttles one call in four."""
    client, predictor = stage.connect(), _batch(stage)
    throttled = _Throttled(stage)
    stage.world.front.players.insert(0, throttled)
    try:
        run = client.submit(predictor.name, predictor.examples[0])
        answered = sum(1 for p in _realtime(stage) for _ in range(5) if _predict(client, p).status is Status.SUCCEEDED)
        done = _await_end(stage, client, run)
    finally:
        stage.world.front.players.remove(throttled)
    _promise(done.status is Status.SUCCEEDED, f"the run ended {done.status.value}: {_why(done)}")
    _promise(throttled.count > 0, "nothing was throttled")
    return f"The table throttled {throttled.count} calls: all {answered} predictions and the run came through."


def no_s3(stage: Rehearsal) -> str:
    """The worker's role may not use the bucket."""
    client, predictor = stage.connect(), _batch(stage)
    definition = stage.world.clients("ecs").describe_task_definition(
        taskDefinition=stage.names.resource(predictor.name)
    )
    role = definition["taskDefinition"]["taskRoleArn"].rpartition("/")[2]
    _await_leave(stage, predictor)
    with _without(stage, role, "s3:"):
        done = _await_end(stage, client, client.submit(predictor.name, predictor.examples[0]))
    if done.status is Status.SUCCEEDED:
        _promise(client.result(done) is not None, "the run succeeded without a result")
        return f"The role of {predictor.name}'s worker had no S3: its result is small and never goes there."
    _promise(done.status is Status.FAILED, f"the run ended {done.status.value}")
    _promise("s3:" in _why(done) or "bucket" in _why(done), f"the run says {_why(done)!r}")
    return f"The role of {predictor.name}'s worker had no S3: the run failed and says why: {_why(done)}"


def image(stage: Rehearsal) -> str:
    """The image of a worker does not start."""
    client, predictor = stage.connect(), _batch(stage)
    name = stage.names.resource(predictor.name)

    def is_spoilt(workload: Workload) -> bool:
        return workload.name == name

    _await_leave(stage, predictor)
    before = {task.arn for task in stage.world.tasks}
    with _set(stage.world.hall.injected, "spoilt", is_spoilt):
        run = client.submit(predictor.name, predictor.examples[0])
        why = _await(lambda: _note(client, predictor), "a word on why the run waits")
        _promise("image" in why, f"the run says {why!r}")
        _promise(client.run(run.id).status is Status.QUEUED, "the run is not queued any more")
    tries = sum(1 for task in stage.world.tasks if task.arn not in before)
    done = _await_end(stage, client, run)
    _promise(done.status is Status.SUCCEEDED, f"the run ended {done.status.value}: {_why(done)}")
    return f"The image of {predictor.name} did not start ({tries} tries): the run stayed queued and said so. {why}"


def cold_start(stage: Rehearsal) -> str:
    """A function takes long to start."""
    client, predictor = stage.connect(), _first(_realtime(stage), "realtime")
    name = stage.names.resource(predictor.name)

    def slowed_s(workload: Workload) -> float:
        return SLOW_START_S if workload.name == name else 0.0

    with _set(stage.world.hall.injected, "slowed_s", slowed_s):
        stage.world.functions.forget()
        first, cold_s = _timed(lambda: _predict(client, predictor))
    second, warm_s = _timed(lambda: _predict(client, predictor))
    stage.world.functions.forget()
    for run in (first, second):
        _promise(run.status is Status.SUCCEEDED, f"a prediction ended {run.status.value}: {_why(run)}")
    _promise(cold_s >= SLOW_START_S, "the start was not slow")
    return (
        f"{predictor.name} took {SLOW_START_S:g} s to start: the first answer came after {cold_s:.1f} s, "
        f"the next after {warm_s:.2f} s."
    )


def second_deploy(stage: Rehearsal) -> str:
    """Two deploys at once while a run is in flight."""
    client, predictor = stage.connect(), _batch(stage)
    before = stage.release.component_of(predictor.name)
    assert before is not None
    changed = _changed_copy(stage, predictor)
    run = _running(client, predictor)
    outcomes: list[str] = []
    deploys = [threading.Thread(target=_deploy, args=(stage, predictor.component, changed, outcomes)) for _ in range(2)]
    for deploy in deploys:
        deploy.start()
    for deploy in deploys:
        deploy.join()
    _promise("went live" in outcomes, f"neither of two deploys came through: {outcomes}")
    old = _await_end(stage, client, run)
    new = _await_end(stage, client, client.submit(predictor.name, predictor.examples[0]))
    back = stage.rollback(predictor.component).after[predictor.component]
    for done in (old, new):
        _promise(done.status is Status.SUCCEEDED, f"a run ended {done.status.value}: {_why(done)}")
    _promise(
        old.version == before.label,
        f"the run in flight ended on {old.version} (attempt {old.attempt}, losses {old.losses})",
    )
    _promise(new.version != before.label, f"the next run was on {new.version} still")
    _promise(back == before.label, f"the way back led to {back}")
    outcomes.remove("went live")
    return (
        f"{predictor.component} was deployed twice at once while a run was in flight: one went live, the other "
        f"{outcomes[0]}; the run finished on {old.version}, the next on {new.version}, and rollback led back to {back}."
    )


KINDS: dict[str, Inject] = {
    "spot": spot,
    "capacity": capacity,
    "throttle": throttle,
    "no-s3": no_s3,
    "image": image,
    "cold-start": cold_start,
    "second-deploy": second_deploy,
}


# --- calls of the app -------------------------------------------------------------------------------------------


def _batch(stage: Rehearsal) -> PredictorManifest:
    return _first([p for p in stage.release.predictors if p.kind == "batch" and p.examples], "batch")


def _realtime(stage: Rehearsal) -> list[PredictorManifest]:
    return [p for p in stage.release.predictors if p.kind == "realtime" and p.examples]


def _first(predictors: list[PredictorManifest], kind: str) -> PredictorManifest:
    if not predictors:
        raise UsageError(f"This app has no {kind} predictor with an example to play with.", hint="Add examples=[{…}].")
    return predictors[0]


def _predict(client: Client, predictor: PredictorManifest) -> Run:
    return client.predict(predictor.name, predictor.examples[0])


def _running(client: Client, predictor: PredictorManifest) -> Run:
    """Submit a run and return it while it runs."""
    for _ in range(3):
        run = client.submit(predictor.name, predictor.examples[0])
        run = _await(partial(_begun, client, run.id), "a worker")
        if run.status is Status.RUNNING:
            return run
    raise BackendError(f"The example of {predictor.name} ends too soon to be interrupted.", hint="Add a longer one.")


def _begun(client: Client, run_id: str) -> Run | None:
    return _if(client.run(run_id), lambda run: run.status is not Status.QUEUED)


def _worker_of(stage: Rehearsal, predictor: PredictorManifest) -> Task:
    workers = [t for t in stage.world.tasks if t.group == f"matinee:{predictor.name}" and t.state.status == "RUNNING"]
    return workers[-1]


def _await_leave(stage: Rehearsal, predictor: PredictorManifest) -> None:
    """Wait until no worker is left: what is submitted next needs a new one."""
    group = f"matinee:{predictor.name}"
    _await(lambda: all(t.is_stopped for t in stage.world.tasks if t.group == group), "the end of its workers")


def _capacity(task: Task) -> str:
    return {"FARGATE": "on-demand capacity", "FARGATE_SPOT": "Spot capacity"}.get(task.provider, task.provider)


def _await_end(stage: Rehearsal, client: Client, run: Run) -> Run:
    """Wait for a run's end; the clock that calls the dispatcher every minute goes faster here."""
    turn_at = time.monotonic()

    def ended() -> Run | None:
        nonlocal turn_at
        if time.monotonic() >= turn_at:
            stage.backstop()
            turn_at = time.monotonic() + 2.0
        return _if(client.run(run.id), lambda now: now.status.is_final)

    return _await(ended, f"the end of the run {run.id}")


def _await(value: Callable[[], T | None], what: str) -> T:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := value()):
        if time.monotonic() > deadline:
            raise BackendError(f"{what} did not come within {PATIENCE_S:.0f} s.")
        time.sleep(0.05)
    return found


def _if(run: Run, condition: Callable[[Run], bool]) -> Run | None:
    return run if condition(run) else None


def _note(client: Client, predictor: PredictorManifest) -> str:
    """Return what the pool says of why nothing starts, as `Client.why_waiting` tells it, and at once."""
    return client.backend.store.pool(predictor.name).note


def _why(run: Run) -> str:
    return f"{run.failure.message} {run.failure.hint}".strip() if run.failure else ""


def _promise(holds: bool, otherwise: str) -> None:
    if not holds:
        raise BackendError(f"The app does not keep its promise: {otherwise}.")


def _timed(work: Callable[[], Run]) -> tuple[Run, float]:
    began = time.monotonic()
    return work(), time.monotonic() - began


# --- injecting failures -------------------------------------------------------------------------------------------


@contextmanager
def _set(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def _without(stage: Rehearsal, role: str, prefix: str) -> Iterator[None]:
    """Take the statements that begin with `prefix` from a role."""
    iam = stage.world.clients("iam")
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    before = statements_of(iam, f":role/{role}")
    left = [s for s in before if not str(s["Action"]).strip("['").startswith(prefix)]
    try:
        _put_policy(iam, role, name, left)
        yield
    finally:
        _put_policy(iam, role, name, before)


def _put_policy(iam: Any, role: str, name: str, statements: list[Json]) -> None:
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=document)


class _Throttled:
    """A `Player` that refuses one call of a workload to the table in four."""

    def __init__(self, stage: Rehearsal) -> None:
        self._role_of = stage.world.roles.role_of
        self._seen = 0
        self.count = 0

    def wants(self, call: Call) -> bool:
        """Whether a workload calls the table."""
        return call.service == "dynamodb" and bool(self._role_of(call.key))

    def play(self, _call: Call) -> Reply | None:
        """Refuse one call in four as throttled."""
        self._seen += 1
        if self._seen % THROTTLED_ONE_IN:
            return None
        self.count += 1
        refusal = {"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException", "message": "Rate exceeded"}
        return Reply(400, json.dumps(refusal).encode(), {"content-type": "application/x-amz-json-1.0"})


def _changed_copy(stage: Rehearsal, predictor: PredictorManifest) -> Path:
    """Copy the app and change the predictor's component by a comment: another version that does the same."""
    copy = stage.folder / "changed"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(stage.project.folder, copy, ignore=_COPIED)
    component = stage.project.component(predictor.component)
    assert component is not None
    entry = copy / component.entry.relative_to(stage.project.folder)
    entry.write_text(entry.read_text() + f"\n# changed for a rehearsal at {time.time_ns()}\n")
    return copy if stage.project.file else entry


def _deploy(stage: Rehearsal, component: str, path: Path, outcomes: list[str]) -> None:
    try:
        outcomes.append("went live" if stage.deploy(component, path=path).changed else "found nothing left to do")
    except ConflictError as error:
        outcomes.append(f"was refused: {error.message}")
    except Exception as error:  # in a thread: it is reported, not lost
        outcomes.append(f"failed: {error}")
