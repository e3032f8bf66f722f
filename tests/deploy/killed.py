"""Deploys and kills itself with SIGKILL at a point: `killed.py FOLDER ENDPOINT POINT`. Not a test: tests run it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from pretending import Pretend

from matinee.backends.aws.store import DynamoStore
from matinee.deploy.cloud import ResourceMoved, Step, Tried
from matinee.deploy.pipeline import deploy
from matinee.deploy.plan import DeployOptions
from matinee.rehearsal.world import REGION


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def report(event: object) -> None:
    point = sys.argv[3]
    if isinstance(event, Step) and event.text.startswith(point):
        die()
    if point == "a resource" and isinstance(event, ResourceMoved) and event.resource.startswith("function"):
        die()
    if point == "a tried version" and isinstance(event, Tried):
        die()


if sys.argv[3] == "the alias moved":
    DynamoStore.put_release = die  # type: ignore[method-assign]
pretend = Pretend(sys.argv[2], REGION, answers={"hello": "Hello Ada"})
deploy(Path(sys.argv[1]), DeployOptions(), pretend.tools, report)
