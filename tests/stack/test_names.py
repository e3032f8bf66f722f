"""No stage of an app is within what another is granted, whatever both are called."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from matinee.names import Names
from matinee.project.aws import Aws
from matinee.stack.deployer_policy import Scope, statements
from matinee.stack.permissions import roles

from .iam import like, resolved
from .variants import blueprint, choices

WORDS = ("shop", "dev", "prod", "data", "ui", "plan", "a")
APPS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map("-".join)
STAGES = st.sampled_from(("dev", "prod", "devprod", "shop", "plan", "ui", "d"))
EVERYTHING = {"alarms_to": "me@example.com", "budget_usd": 40, "password_in": "secrets-manager"}
B = blueprint(choices()[7])  # has batch and realtime predictors, and one with a GPU


def granted(names):
    """Return every resource that anybody is granted for a stage, as IAM reads it."""
    found = list(statements(Scope(names, Aws().changed(EVERYTHING), "eu-central-1", "111122223333", True, True)))
    found += [statement for role in roles(replace(B, names=names)) for statement in role.statements]
    resources = {resolved({"Fn::Sub": one}) if "${" in one else one for s in found for one in s.resources}
    # The network is shared, and what AWS names itself is told apart by its tag.
    return {one for one in resources if "matinee" in one and "matinee-network" not in one}


def arns(names):
    """Return what a stage has, by ARN."""
    found = {
        "cloudformation": [f"stack/{one}/id" for one in (names.base, names.data_stack, names.edge_stack)],
        "dynamodb": [f"table/{names.base}"],
        "ecr": [f"repository/{names.base}"],
        "lambda": [f"function:{names.resource('plan')}", f"function:{names.resource('plan')}:live"],
        "ecs": [f"cluster/{names.base}", f"task/{names.base}/1", f"task-definition/{names.resource('plan')}:1"],
        "logs": [f"log-group:{names.log_group('plan')}:log-stream:1"],
        "ssm": ["parameter" + names.parameter("TOKEN")],
        "scheduler": [f"schedule/{names.base}/plan"],
        "secretsmanager": [f"secret:{names.parameter('MATINEE_PASSWORD').lstrip('/')}-AbCdEf"],
        "batch": [f"job-definition/{names.resource('plan')}:1", f"job-queue/{names.base}"],
    }
    yield from (f"arn:aws:{service}:eu-central-1:111122223333:{one}" for service, ones in found.items() for one in ones)
    yield from (f"arn:aws:iam::111122223333:role/{names.resource(one)}" for one in ("plan", "ui", "plan-worker"))
    yield f"arn:aws:iam::111122223333:instance-profile/{names.resource('InstanceProfile-1')}"
    yield f"arn:aws:s3:::{names.bucket('111122223333', 'eu-central-1')}/results/r"


@settings(max_examples=60, deadline=None, derandomize=True)
@given(APPS, STAGES, APPS, STAGES)
def test_nothing_of_another_stage_or_app_is_granted(app, stage, other_app, other_stage):
    assume((app, stage) != (other_app, other_stage))
    patterns = granted(Names(app, stage))
    assert [(p, arn) for arn in arns(Names(other_app, other_stage)) for p in patterns if like(p, arn)] == []


def test_the_two_that_were_within_each_other():
    shop, shop_dev = Names("shop", "dev"), Names("shop-dev", "prod")
    assert not shop_dev.base.startswith(shop.prefix)
    assert (shop.base, shop_dev.base) == ("matinee-shop-dev", "matinee-shopdev" + shop_dev.base[15:19] + "-prod")


def test_what_a_stage_has_is_granted_to_who_deploys_it():
    names = Names("shop-dev", "prod")
    patterns = granted(names)
    assert [arn for arn in arns(names) if not any(like(pattern, arn) for pattern in patterns)] == []
