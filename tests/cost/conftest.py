"""An app whose bill is looked at: one predictor of each kind, as its manifests say it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from matinee.manifest import ComponentManifest, PredictorManifest, Resources
from matinee.names import Names
from matinee.project.aws import Aws
from matinee.stack.blueprint import Blueprint


def predictor(name, kind, **resources):
    return PredictorManifest(name, kind, name, "", {}, {}, Resources(**resources))


@pytest.fixture
def make():
    """Return a function that makes a blueprint; what it is given changes `[aws]`."""
    components = (
        ComponentManifest("recommend", "a" * 16, "v1", (predictor("recommend", "realtime"),)),
        ComponentManifest("plan", "b" * 16, "v1", (predictor("plan", "batch", cpu=1, memory_mb=2048),)),
    )

    def made(*more, components=components, **aws):
        b = Blueprint(Names("shop", "dev"), "Shop", (*components, *more), Aws().changed(aws))
        return replace(b)

    return made
