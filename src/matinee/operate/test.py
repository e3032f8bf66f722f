"""`matinee test`: every predictor's declared examples through the real path, results checked against the schema."""

from __future__ import annotations

import json
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matinee.client.core import Client
from matinee.client.host import LocalHost, open_client
from matinee.errors import MatineeError
from matinee.images.engine import Engine
from matinee.manifest import PredictorManifest, Release, Trouble
from matinee.operate.build import Containers
from matinee.operate.predict import Report
from matinee.project.load import load
from matinee.runs import Run, Status
from matinee.settings import SOURCE
from matinee.values import validate

Json = Any
USER = "test"  # whose runs these are: they stay out of everybody's own history
START_S = 60.0  # beyond the predictor's own timeouts: for a worker to start


@dataclass(frozen=True)
class Tried:
    """One example. `number` counts from 1 within its predictor; `problem` is "" when it passed."""

    predictor: str
    number: int
    inputs: Json
    problem: str = ""
    hint: str = ""
    run_id: str = ""
    duration_s: float | None = None

    @property
    def ok(self) -> bool:
        """Whether it passed."""
        return not self.problem


@dataclass(frozen=True)
class Tested:
    """All examples, the predictors without any, and by component why it does not load."""

    tried: tuple[Tried, ...]
    without_examples: tuple[str, ...]
    troubles: dict[str, Trouble]

    @property
    def ok(self) -> bool:
        """Whether every example passed and every component loads."""
        return not self.troubles and all(item.ok for item in self.tried)


def test(
    path: Path, *, only: str = "", on_tried: Callable[[Tried], None] | None = None, report: Report | None = None
) -> Tested:
    """Run the examples of all predictors, or of `only` one; `on_tried` hears of each as it ends.

    Raises ProjectError, NotFoundError for an unknown predictor.
    """
    with open_client(load(path), user=USER, report=report) as client:
        return try_all(client, only, on_tried)


def try_all(client: Client, only: str = "", on_tried: Callable[[Tried], None] | None = None) -> Tested:
    """Run the examples of what is live. Raises NotFoundError for an unknown predictor."""
    release = client.release()
    predictors = (client.predictor(only),) if only else release.predictors
    heard = on_tried or (lambda _: None)
    tried = []
    for predictor in predictors:
        for number, inputs in enumerate(predictor.examples, 1):
            tried.append(_try(client, predictor, number, inputs))
            heard(tried[-1])
    troubles = {} if only else {c.name: c.trouble for c in release.components if c.trouble}
    return Tested(tuple(tried), tuple(p.name for p in predictors if not p.examples), troubles)


def _try(client: Client, predictor: PredictorManifest, number: int, inputs: Json) -> Tried:
    try:
        run = _run(client, predictor, inputs)
        problem, hint = _problem(client, predictor, run)
    except MatineeError as error:
        return Tried(predictor.name, number, inputs, error.message, error.hint)
    return Tried(predictor.name, number, inputs, problem, hint, run.id, run.duration_s)


def _run(client: Client, predictor: PredictorManifest, inputs: Json) -> Run:
    if predictor.kind == "realtime":
        return client.predict(predictor.name, inputs)
    resources = predictor.resources
    longest_s = (resources.timeout_s + START_S) * (resources.retries + 1)
    run = client.submit(predictor.name, inputs, idempotency_key=f"test-{time.time_ns()}")
    return client.wait(run.id, timeout_s=longest_s)


def _problem(client: Client, predictor: PredictorManifest, run: Run) -> tuple[str, str]:
    if run.failure is not None and run.status is Status.FAILED:
        return run.failure.message, run.failure.hint
    if run.status is not Status.SUCCEEDED:
        return f"The run is {run.status}. {client.why_waiting(run)}".strip(), f"matinee runs show {run.id}"
    wrong = validate.problems(predictor.result, client.result(run))
    if wrong:
        return f"The result does not fit its type: {wrong[0]}", "Mend the function or its return annotation."
    return "", ""


# --- matinee test --containers ----------------------------------------------------------------------------------------
# `matinee test --containers`: does each image answer its examples within its memory and time, and what to change.
#
# Each component's image is built; a first call of each realtime predictor meets a cold start; the examples run as ever,
# while the memory of the containers is looked at; then a component that starts slowly is asked what it imports.

LOOK_S = 0.25  # how often the containers' memory is looked at
NEAR = 0.8  # of the memory: the next larger input may not fit
ROOMY = 0.25  # of the memory: less would do
LEAST_MB = 128  # https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
SLOW_START_S = 2.0  # a person notices
_INIT = re.compile(r"\tInit Duration: ([\d.]+) ms")
# Without indentation: what the component itself imports.
_IMPORT = re.compile(r"^import time:\s+\d+ \|\s+(\d+) \| (\S+)$", re.MULTILINE)
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)
_IMPORTING = f"import os; from matinee.runtime.execute import load_component; load_component(os.environ['{SOURCE}'])"


@dataclass(frozen=True)
class Import:
    """A module that a component imports, with all that this imports in turn."""

    module: str
    seconds: float


@dataclass(frozen=True)
class Measured:
    """What one predictor needs. `peak_mb` 0: it ended before it could be seen; `cold_start_s` None: a batch predictor.

    A cold start lasts from the start of the container to the first request that is taken.
    """

    predictor: str
    image: str
    image_mb: float
    memory_mb: int
    peak_mb: float
    cold_start_s: float | None = None
    slowest: Import | None = None

    @property
    def advice(self) -> tuple[str, ...]:
        """What to change, in sentences; nothing when all is well."""
        lines = []
        share = self.peak_mb / self.memory_mb
        if share >= NEAR:
            lines.append(
                f"{self.predictor} used {self.peak_mb:.0f} MB of {self.memory_mb}: raise memory_mb to "
                f"{_rounded(self.peak_mb * 1.5)}."
            )
        elif self.peak_mb and share <= ROOMY and self.memory_mb > LEAST_MB:
            enough = max(LEAST_MB, _rounded(self.peak_mb * 2))
            lines.append(f"{self.predictor} used {self.peak_mb:.0f} MB of {self.memory_mb}: {enough} MB would do.")
        if self.cold_start_s is not None and self.cold_start_s >= SLOW_START_S:
            why = f", of which {self.slowest.seconds:.1f} s is `import {self.slowest.module}`" if self.slowest else ""
            lines.append(f"{self.predictor} starts in {self.cold_start_s:.1f} s{why}.")
        return tuple(lines)


@dataclass(frozen=True)
class TestedContainers:
    """The examples as `matinee test` tells them, and what each predictor needed."""

    tested: Tested
    measured: tuple[Measured, ...]

    @property
    def ok(self) -> bool:
        """Whether every example passed and every component loads."""
        return self.tested.ok


def test_containers(
    path: Path, *, only: str = "", on_tried: Callable[[Tried], None] | None = None, report: Report | None = None
) -> TestedContainers:
    """Run the examples of all predictors, or of `only` one, each in its image; measure what they need.

    Nothing of a running `dev` is touched: the data is in a folder of its own, for this time alone. Raises ProjectError,
    NotFoundError, BackendError when there is no engine or an image cannot be built.
    """
    project, housing = load(path), Containers(Engine.detect())
    with (
        tempfile.TemporaryDirectory(prefix="matinee-test-") as folder,
        LocalHost(project, report, housing=housing, data=Path(folder)) as host,
    ):
        release = host.reload(project)
        client = Client(host.backend, host.settings, USER, owner=True)
        predictors = (client.predictor(only),) if only else release.predictors
        starts = {p.name: _cold_start_s(client, p) for p in predictors if p.kind == "realtime" and p.examples}
        with _watched(housing, predictors) as peaks_mb:
            tested = try_all(client, only, on_tried)
        return TestedContainers(
            tested,
            tuple(_measured(housing, release, p, peaks_mb.get(p.name, 0.0), starts.get(p.name)) for p in predictors),
        )


def _cold_start_s(client: Client, predictor: PredictorManifest) -> float | None:
    """Call it for the first time and return how long its start took; None when it does not start."""
    payload = json.dumps(predictor.examples[0]).encode()
    answer = client.backend.invoker.invoke(predictor.name, payload, log_tail=True)
    found = _INIT.search(answer.log_tail)
    return float(found[1]) / 1000 if found else None


def _measured(
    housing: Containers, release: Release, predictor: PredictorManifest, peak_mb: float, start_s: float | None
) -> Measured:
    component = release.component_of(predictor.name)
    assert component is not None
    image = housing.built[component.name]
    return Measured(
        predictor.name,
        image.tag,
        image.size_bytes / 1e6,
        predictor.resources.memory_mb,
        peak_mb,
        start_s,
        _slowest_import(housing, predictor, image.id) if (start_s or 0.0) >= SLOW_START_S else None,
    )


def _slowest_import(housing: Containers, predictor: PredictorManifest, image: str) -> Import | None:
    limits = housing.limits(predictor)
    asked = ["run", "--rm", *limits, "--entrypoint", "python", image, "-X", "importtime", "-c", _IMPORTING]
    lines = housing.engine.run(*asked, check=False).stderr
    found = [Import(name, int(us) / 1e6) for us, name in _IMPORT.findall(lines) if name.partition(".")[0] != "matinee"]
    return max(found, key=lambda item: item.seconds, default=None)


@contextmanager
def _watched(housing: Containers, predictors: tuple[PredictorManifest, ...]) -> Iterator[dict[str, float]]:
    """Yield the highest memory of a container of each predictor as it is seen, in MB as AWS counts it (2**20 bytes)."""
    peaks: dict[str, float] = {}
    over = threading.Event()

    def look() -> None:
        for predictor in predictors:
            for container in housing.names(predictor.name):
                peaks[predictor.name] = max(peaks.get(predictor.name, 0.0), _peak_mb(housing, container))

    def watch() -> None:
        while not over.wait(LOOK_S):
            look()

    watching = threading.Thread(target=watch, name="memory-of-containers", daemon=True)
    watching.start()
    try:
        yield peaks
    finally:
        over.set()
        watching.join(LOOK_S * 20)  # the engine may hang
        look()


def _peak_mb(housing: Containers, container: str) -> float:
    """Return what the processes of a container have held at most, each at its own time; 0 when it has ended."""
    asked = housing.engine.run("exec", container, "sh", "-c", "exec cat /proc/[0-9]*/status", check=False)
    return sum(int(kib) for kib in _PEAK.findall(asked.stdout)) / 1024


def _rounded(mb: float) -> int:
    return -(-int(mb) // 64) * 64
