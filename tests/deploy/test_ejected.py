"""The script that `matinee eject` writes makes stacks live that were made by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from matinee.deploy import current_state
from matinee.deploy.cloud import Cloud
from matinee.deploy.plan import Deployed
from matinee.operate.eject import eject
from matinee.operate.ejected_release import make_live


def test_it_writes_the_release_that_a_deployment_would(
    app: Callable[..., Path], cloud: Cloud, go: Callable[..., Deployed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", cloud.region)
    monkeypatch.setenv("AWS_DEFAULT_REGION", cloud.region)
    folder = app(toml='[aws]\nedge = "alb"\n')
    go(folder)
    deployed = current_state.read_release(cloud).release
    eject(folder, tmp_path / "out", "dev", images=False)
    known = json.loads((tmp_path / "out" / "release.json").read_text())
    assert make_live(known, cloud.endpoint) == 2
    release = current_state.read_release(cloud).release
    aws, before = release.aws, deployed.aws
    assert (aws.functions, aws.definitions, aws.images) == (before.functions, before.definitions, before.images)
    assert (aws.url, aws.bucket, aws.stack, aws.account) == (before.url, before.bucket, before.stack, before.account)
    assert [(c.name, c.label, c.image) for c in release.components] == [
        (c.name, c.label, c.image) for c in deployed.components
    ]
    assert release.details.keys() == deployed.details.keys()
    assert make_live(known, cloud.endpoint) == 3, "and it may be run again"
    assert go(folder).release == 4, "a deployment goes on from there"
