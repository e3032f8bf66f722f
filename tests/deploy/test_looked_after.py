"""A stage that was just deployed, looked after by the commands of the laptop: status, doctor, secrets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pretending import Pretend

from matinee.deploy.cloud import Cloud
from matinee.deploy.pipeline import deploy
from matinee.deploy.plan import DeployOptions
from matinee.operate.access import list_secrets, set_secret
from matinee.operate.doctor import doctor_aws
from matinee.operate.status import status_of
from matinee.rehearsal.world import REGION

SECRET = ', secrets=["API_KEY"]'


@pytest.fixture
def laptop(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this process's commands reach the emulator."""
    for name, value in {"AWS_REGION": REGION, "MATINEE_AWS_ENDPOINT": endpoint}.items():
        monkeypatch.setenv(name, value)


def test_a_secret_is_missed_set_found_and_then_the_deployed_stage_is_looked_at(
    app: Callable[..., Path], cloud: Cloud, pretend: Pretend, laptop: None
) -> None:
    folder = app(more=SECRET, toml='[aws]\nedge = "alb"')
    before = {check.what: check for check in doctor_aws(folder, "dev")}
    assert before["credentials"].ok
    assert before["secrets"].mend == "matinee secret set API_KEY --stage dev"
    assert before["stage"].detail == "Nothing is deployed on dev yet."
    assert [(s.name, s.is_set) for s in list_secrets(folder, stage="dev")] == []
    set_secret(folder, "API_KEY", "value", stage="dev")
    assert deploy(folder, DeployOptions(), pretend.tools, lambda _: None).release == 1

    assert [(s.name, s.is_set, s.used_by) for s in list_secrets(folder, stage="dev")] == [("API_KEY", True, ("count",))]
    found = status_of(folder, stage="dev")
    parts = {part.name: part for part in found.parts}
    assert (parts["stacks"].state, parts["stacks"].text) == ("ok", "2 stacks are complete.")
    assert (parts["hello"].state, parts["hello"].text) == ("ok", "Version 1 is live.")
    assert parts["dispatcher"].state == "ok"
    assert (found.release, found.url.startswith("http")) == (1, True)
    assert [v.label for v in found.versions] == ["v1", "v1"]
    after = {check.what: check for check in doctor_aws(folder, "dev")}
    assert after["secrets"].detail == "Every secret that is declared is set."
    assert after["hello"].ok
