"""What a deployed app asks of AWS, counted on an emulator, what it costs a month, and submit → running there.

Every request of the client, of the functions, of the dispatcher and of the workers passes a counter before MiniStack
and the local Lambda service. What the log drivers send is not ours to count. Workers are processes: on Fargate add the
30 to 60 s that a task takes to start.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import matinee
from matinee.backends.aws.session import Session
from matinee.backends.aws.store import DynamoStore
from matinee.ports import RunQuery, Store
from matinee.prices import DYNAMODB_READ, LAMBDA_GB_S, LAMBDA_REQUEST, Size, batch_usd, realtime_usd
from matinee.rehearsal.proxies import Call, Front, Loop, Reply
from matinee.rehearsal.world import UnavailableError, ministack
from matinee.testing.harness import wait_until
from support.stage import emulated_stage

ROUNDS = 10
SOURCE = """
from matinee import batch, realtime

@realtime(memory_mb=256)
def double(n: int) -> int:
    return 2 * n

@batch
def plan(n: int) -> int:
    return 2 * n
"""

# What a month of use is: 100 people, 20 predictions and 2 batch runs a day each.
PEOPLE, PREDICTIONS, RUNS, DAYS = 100, 20, 2, 30
PREDICTION_S, FUNCTION = 0.1, Size(512)  # what a prediction takes, and of what size
RUN_S, WORKER = 60.0, Size(512, cpu=0.25)
START_S = 45.0  # a task is paid from its start on; at worst each run starts one
DISPATCHES = 3  # a run's poke, the one of its worker that leaves, and ECS's event that it has stopped
BACKSTOPS = 30 * 24 * 60  # one a minute
DISPATCH_S, DISPATCHER = 0.2, Size(512)


def measure() -> dict[str, Any]:
    """Return requests, dollars a month, and the median from submit to the start of the run."""
    try:
        with ExitStack() as stack:
            endpoint = stack.enter_context(ministack())
            loop = Loop()
            stack.callback(loop.stop)
            counter = Counting()
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "bench.py"
            folder.write_text(SOURCE)
            made = stack.enter_context(
                emulated_stage(folder, endpoint, through=lambda upstream: Front(loop, upstream, [counter]).endpoint)
            )
            os.environ.update(made.environment)
            app = stack.enter_context(matinee.connect(folder, stage="dev"))
            seen = DynamoStore(Session(made.session.settings._replace(endpoint=endpoint)))
            return figures(app, seen, counter)
    except UnavailableError as error:
        return {"skipped": str(error)}


class Counting:
    """A player that plays nothing: every request passes, and is counted by service and operation."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()

    def wants(self, call: Call) -> bool:
        """Count a request by its head."""
        target = call.head.target
        if target.startswith("/2015-03-31/functions/"):
            self.seen["lambda Invoke"] += 1
        else:
            self.seen[f"{call.service} {call.operation or call.head.method}"] += 1
        return False

    def play(self, call: Call) -> Reply | None:
        """Leave it to the emulator."""

    def taken(self, times: int = 1) -> dict[str, float]:
        """Return what was sent since, for each of so many."""
        sent, self.seen = self.seen, Counter()
        return {name: round(count / times, 2) for name, count in sorted(sent.items())}


def figures(app: Any, seen: Store, counter: Counting) -> dict[str, Any]:
    """Use the app as people do, and count; `seen` is the same store, past the counter."""
    client = app.client
    app.double(n=1)
    ran(app, seen)
    counter.taken()
    for n in range(ROUNDS):
        app.double(n=n)
    prediction = counter.taken(ROUNDS)
    waits, alone = [], []
    for _ in range(ROUNDS):
        waits.append(ran(app, seen))
        alone.append(counter.taken())
    run = min(alone, key=lambda sent: sum(sent.values()))  # without the dispatcher's look every few seconds
    page = RunQuery(user=client.user, limit=25)
    client.runs(page)
    counter.taken()
    client.runs(page)
    return {
        "requests_per_prediction": prediction,
        "requests_per_prediction_total": round(sum(prediction.values()), 2),
        "requests_per_batch_run": run,
        "requests_per_batch_run_total": sum(run.values()),
        "requests_per_look_at_history": counter.taken(),
        "submit_to_running_ms": round(statistics.median(waits) * 1000),
        "month_usd": month_usd(sum(prediction.values()), sum(run.values())),
    }


def ran(app: Any, seen: Store) -> float:
    """Submit a run while no worker is there, wait until its worker has left; return the seconds until it ran."""
    handle = app.plan.submit(n=1)
    wait_until(lambda: (run := seen.run(handle.id)) and run.status.is_final, what="the run")
    wait_until(lambda: not seen.pool("plan").slots, what="the worker's end")
    run = seen.run(handle.id)
    assert run is not None and run.started_at is not None
    return run.started_at - run.created_at


def month_usd(per_prediction: float, per_run: float) -> dict[str, float]:
    """Return the month of use by what it is paid for. Every request of DynamoDB is taken as a unit read besides."""
    predictions, runs = PEOPLE * PREDICTIONS * DAYS, PEOPLE * RUNS * DAYS
    dispatches = DISPATCHES * runs + BACKSTOPS
    dispatch_usd = LAMBDA_REQUEST.usd + DISPATCH_S * DISPATCHER.memory_mb / 1024 * LAMBDA_GB_S.usd
    parts = {
        "predictions": realtime_usd(predictions, predictions * PREDICTION_S, FUNCTION),
        "batch_runs": batch_usd(runs, runs * RUN_S, WORKER),
        "starts_of_workers": batch_usd(0, runs * START_S, WORKER),
        "dispatcher": dispatches * dispatch_usd,
        "reads": (predictions * per_prediction + runs * per_run + BACKSTOPS) * DYNAMODB_READ.usd,
    }
    return {name: round(usd, 2) for name, usd in {**parts, "total": sum(parts.values())}.items()}


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
