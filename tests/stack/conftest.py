"""An app whose stacks are looked at: two realtime predictors and two batch ones, as their manifests say it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from matinee.manifest import ComponentManifest, PredictorManifest, Resources
from matinee.names import Names
from matinee.project.aws import Aws
from matinee.stack.blueprint import Blueprint

Make = Callable[..., Blueprint]


def predictor(name: str, kind: Any, component: str, calls: tuple[str, ...] = (), **resources: Any) -> PredictorManifest:
    return PredictorManifest(name, kind, component, f"Do {name}.", {}, {}, Resources(**resources), calls=calls)


COMPONENTS = (
    ComponentManifest("recommend", "a" * 16, "v1", (predictor("recommend", "realtime", "recommend"),)),
    ComponentManifest(
        "plan",
        "b" * 16,
        "v1",
        (
            predictor("plan", "batch", "plan", calls=("recommend",), max_workers=2),
            predictor("weekly_report", "batch", "plan", schedule="rate(1 day)", secrets=("API_TOKEN",)),
        ),
    ),
    ComponentManifest("chat", "c" * 16, "v1", (predictor("chat", "realtime", "chat", calls=("recommend",)),)),
)


@pytest.fixture
def make() -> Make:
    """Return a function that makes a blueprint; what it is given of `aws` changes the defaults."""

    def made(aws: dict[str, Any] | None = None, **more: Any) -> Blueprint:
        b = Blueprint(Names("shop", "dev"), "Shop", COMPONENTS, Aws().changed(aws or {}))
        return replace(b, **more)

    return made


@pytest.fixture
def make_gpu(make: Make) -> Make:
    """Return the same with a predictor that wants a GPU."""
    training = predictor("train", "batch", "train", gpu=1, cpu=4, memory_mb=16_000)
    component = ComponentManifest("train", "d" * 16, "v1", (training,))
    return lambda aws=None: make(aws, components=(*COMPONENTS, component))
