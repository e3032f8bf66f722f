"""Big values in and out of a predictor, beside one round trip of the same by the library that is fastest for it.

In: JSON → checked → the function's type. Out: the result → JSON, checked. Both with the text of the JSON itself.
"""

from __future__ import annotations

import gc
import io
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from matinee.runtime.execute import execute
from matinee.values.describe import describe

NUMBERS = 1_000_000
ROWS = 100_000
REPEATS = 3


def measure() -> dict[str, Any]:
    """Return the times and their ratios to the floor of the same run."""
    figures: dict[str, Any] = {}
    for name, function, value, floor in (
        ("list[float] of 1,000,000", same_list, [float(n) / 7 for n in range(NUMBERS)], through_json),
        ("DataFrame of 100,000 x 10", same_frame, a_frame(), through_parquet),
        ("numpy array of 1,000,000 floats", same_array, np.arange(NUMBERS) / 7, through_npy),
    ):
        ours, peer = best(lambda f=function, v=value: through(f, v)), best(lambda f=floor, v=value: f(v))
        figures |= {f"{name}, s": round(ours, 3), f"{name}, floor, s": round(peer, 3)}
        figures[f"{name}, ratio"] = round(ours / peer, 1)
    return figures


def same_list(value: list[float]) -> list[float]:
    """Answer what came."""
    return value


def same_frame(value: pd.DataFrame) -> pd.DataFrame:
    """Answer what came."""
    return value


def same_array(value: np.ndarray) -> np.ndarray:
    """Answer what came."""
    return value


def a_frame() -> pd.DataFrame:
    """Return numbers, whole numbers, texts, dates and gaps."""
    rng = np.random.default_rng(1)
    floats = {f"f{n}": rng.normal(size=ROWS) for n in range(5)}
    gaps = np.where(rng.random(ROWS) < 0.1, np.nan, rng.normal(size=ROWS))
    days = pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 1000, ROWS), "D")
    texts = rng.choice(["swimming", "reading", "cooking"], ROWS)
    whole = {"id": np.arange(ROWS), "count": rng.integers(0, 100, ROWS)}
    return pd.DataFrame({**floats, **whole, "gaps": gaps, "day": days, "text": texts})


def through(function: Callable[..., Any], value: Any) -> float:
    """Call as a worker does: from the text of the request to the text of the answer."""
    parameters, result = describe(function)
    text = json.dumps({"value": encoded(value)})
    gc.collect()
    began = time.perf_counter()
    answer = execute(function, {"parameters": parameters, "result": result}, json.loads(text), None)
    json.dumps(answer)
    return time.perf_counter() - began


def encoded(value: Any) -> Any:
    """Return the value as it travels."""
    from matinee.values import encode

    return encode.to_json(value)


def through_json(value: list[float]) -> float:
    """Write and read the list as JSON."""
    began = time.perf_counter()
    json.loads(json.dumps(value))
    return time.perf_counter() - began


def through_parquet(value: pd.DataFrame) -> float:
    """Write and read the frame as Parquet, in memory."""
    began = time.perf_counter()
    data = io.BytesIO()
    value.to_parquet(data)
    pd.read_parquet(io.BytesIO(data.getvalue()))
    return time.perf_counter() - began


def through_npy(value: np.ndarray) -> float:
    """Write and read the array as numpy does, in memory."""
    began = time.perf_counter()
    data = io.BytesIO()
    np.save(data, value)
    np.load(io.BytesIO(data.getvalue()))
    return time.perf_counter() - began


def best(run: Callable[[], float]) -> float:
    """Return the shortest time of a few."""
    return min(run() for _ in range(REPEATS))
