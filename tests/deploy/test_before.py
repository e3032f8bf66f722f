"""What stands in the way of a deployment, and what is made before it: secrets, sizes, a password."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pretending import Pretend

from matinee.deploy.cloud import Cloud
from matinee.deploy.plan import Deployed
from matinee.deploy.stack_state import describe
from matinee.errors import BackendError, UsageError


def test_a_password_that_people_sign_in_with_is_made_and_told_once(
    app: Callable[..., Path], cloud: Cloud, go: Callable[..., Deployed]
) -> None:
    folder = app(toml='[auth]\nmode = "password"\n')
    done = go(folder)
    assert done.sign_in == "password"
    kept = cloud.call("ssm", "get_parameter", Name=cloud.names.parameter("MATINEE_PASSWORD"), WithDecryption=True)
    assert done.password == kept["Parameter"]["Value"]
    assert go(folder).password == ""


def test_a_password_that_nobody_has_seen_is_said_when_the_deployment_fails(
    app: Callable[..., Path], cloud: Cloud, go: Callable[..., Deployed], pretend: Pretend
) -> None:
    pretend.answers["hello"] = ValueError("no such column")
    with pytest.raises(BackendError) as raised:
        go(app(toml='[auth]\nmode = "password"\n'))
    kept = cloud.call("ssm", "get_parameter", Name=cloud.names.parameter("MATINEE_PASSWORD"), WithDecryption=True)
    assert raised.value.hint.endswith("and not shown: matinee secret set MATINEE_PASSWORD --stage dev")
    assert kept["Parameter"]["Value"] not in str(raised.value)


def test_a_secret_that_is_missing_stops_a_deployment_before_anything_is_made(
    app: Callable[..., Path], cloud: Cloud, go: Callable[..., Deployed]
) -> None:
    with pytest.raises(UsageError) as raised:
        go(app(more=", secrets=['API_KEY']"))
    assert raised.value.message == "The secret API_KEY of count is not set on the stage dev."
    assert raised.value.hint == "matinee secret set API_KEY --stage dev"
    assert describe(cloud, cloud.names.data_stack) is None


SIZES = {
    "a pair Fargate has not": ("[predictors.count]\ncpu = 0.25\nmemory_mb = 4096\n", "Fargate has no such size"),
    "memory beyond Lambda": ("[predictors.hello]\nmemory_mb = 20000\n", "AWS Lambda has at most 10,240 MB"),
    "time beyond Lambda": ("[predictors.hello]\ntimeout_s = 1000\n", "AWS Lambda has at most 900 s"),
}


@pytest.mark.parametrize(("toml", "said"), SIZES.values(), ids=SIZES)
def test_a_size_that_aws_has_not_is_said_before_aws_is_asked(
    app: Callable[..., Path], go: Callable[..., Deployed], asked: list[str], toml: str, said: str
) -> None:
    asked.clear()
    with pytest.raises(UsageError) as raised:
        go(app(toml=toml))
    assert said in raised.value.message
    assert raised.value.hint
    assert asked == []


def test_another_network_for_a_stage_that_runs_is_refused_before_anything_is_changed(
    app: Callable[..., Path], cloud: Cloud, go: Callable[..., Deployed]
) -> None:
    go(app())
    before = describe(cloud, cloud.names.base)
    network = cloud.call("ec2", "create_vpc", CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    with pytest.raises(UsageError) as raised:
        go(app(toml=f'[aws]\nvpc = "{network}"\nsubnets = ["subnet-1", "subnet-2"]\n'))
    assert f"cannot move to {network}" in raised.value.message
    assert "matinee destroy --stage dev" in raised.value.hint
    assert describe(cloud, cloud.names.base) == before
