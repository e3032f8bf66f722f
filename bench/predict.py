"""`app.recommend()` with its recorded run, against one boto3 invoke and one durable insert: at most 1.5 times.

The same warm function behind the same local Lambda service answers both; calls alternate, so noise hits both alike.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

import matinee
from matinee.backends.local.lambda_service.guests import ACCESS_KEY_ID
from matinee.settings import Settings

APP = Path(__file__).resolve().parent.parent / "examples" / "activity"
INPUTS = {"gender": "male"}
WARM_UP, CALLS = 50, 500


def measure() -> dict[str, Any]:
    """Return the median milliseconds of both and their ratio."""
    with matinee.connect(APP) as app, tempfile.TemporaryDirectory(dir=APP / ".matinee") as folder:
        invoke = invoker(app.client.settings)
        insert = inserter(Path(folder) / "floor.db")
        recommend = app.recommend

        def floor() -> None:
            insert(invoke())

        def ours() -> None:
            recommend(**INPUTS)

        for _ in range(WARM_UP):
            floor()
            ours()
        times = [(milliseconds(floor), milliseconds(ours), milliseconds(invoke)) for _ in range(CALLS)]
    floor_ms, ours_ms, invoke_ms = (statistics.median(column) for column in zip(*times, strict=True))
    return {
        "app_recommend_p50_ms": ours_ms,
        "invoke_and_insert_p50_ms": floor_ms,
        "invoke_alone_p50_ms": invoke_ms,
        "ratio": ours_ms / floor_ms,
        "target_ratio": 1.5,
        "calls": CALLS,
    }


def invoker(settings: Settings) -> Callable[[], bytes]:
    """Return a call of `recommend` with boto3's own client, as anybody would make it."""
    client = boto3.client(
        "lambda",
        endpoint_url=settings.lambda_endpoint,
        region_name="eu-central-1",
        aws_access_key_id=ACCESS_KEY_ID,
        aws_secret_access_key=settings.lambda_secret,
        config=Config(retries={"max_attempts": 0}),
    )
    payload = json.dumps(INPUTS).encode()
    return lambda: bytes(client.invoke(FunctionName="recommend", Payload=payload)["Payload"].read())


def inserter(file: Path) -> Callable[[bytes], None]:
    """Return an insert of one row into SQLite that is on the disk when it returns."""
    database = sqlite3.connect(file, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE run (id INTEGER PRIMARY KEY, result BLOB, at REAL)")

    def insert(result: bytes) -> None:
        database.execute("INSERT INTO run (result, at) VALUES (?, ?)", (result, time.time()))

    return insert


def milliseconds(call: Callable[[], Any]) -> float:
    """Return how long one call takes."""
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000
