"""Invoke as a caller meets it: who may, which version, with what; and what calls functions by itself."""

from __future__ import annotations

import json
import uuid

import pytest
from botocore.exceptions import ClientError

from matinee.rehearsal.functions import SCHEDULED_TIME, Schedule, matches
from matinee.testing.harness import wait_until

SCRIPT = """
import sys
from awslambdaric.__main__ import main
import types, os, json
module = types.ModuleType("told")
def handler(event, context):
    if event.get("fail"): raise ValueError("on purpose")
    return {"version": os.environ["VERSION"], "event": event, "number": context.function_version,
            "environment": {n: v for n, v in os.environ.items() if n.startswith(("MATINEE", "AWS_"))}}
module.handler = handler
sys.modules["told"] = module
main(["awslambdaric", "told.handler"])
"""


@pytest.fixture
def function(hands, world):
    """Make a function with versions 1 and 2; `live` is version 1."""
    client, name = hands.client("lambda"), f"P-{uuid.uuid4().hex[:8]}"
    group = f"/told/{name}"
    world.clients("logs").create_log_group(logGroupName=group)
    arn = f"arn:aws:logs:{hands.region}:{hands.account}:log-group:{group}:*"
    role = hands.role("lambda.amazonaws.com", hands.allow("logs:CreateLogStream", "logs:PutLogEvents", on=arn))
    client.create_function(
        FunctionName=name, PackageType="Image", Code={"ImageUri": hands.image(SCRIPT)}, Role=role, Timeout=10,
        Environment={"Variables": {"VERSION": "one"}}, LoggingConfig={"LogGroup": group}, MemorySize=256,
    )  # fmt: skip
    client.get_waiter("function_active_v2").wait(FunctionName=name)
    client.publish_version(FunctionName=name)
    client.update_function_configuration(FunctionName=name, Environment={"Variables": {"VERSION": "two"}})
    client.get_waiter("function_updated_v2").wait(FunctionName=name)
    client.publish_version(FunctionName=name)
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    return name


@pytest.fixture
def caller(hands, function):
    on = f"arn:aws:lambda:{hands.region}:{hands.account}:function:P-*:live"
    return hands.client("lambda", hands.role("ecs-tasks.amazonaws.com", hands.allow("lambda:InvokeFunction", on=on)))


def answer(client, name, qualifier="live", **payload):
    return json.loads(
        client.invoke(FunctionName=name, Qualifier=qualifier, Payload=json.dumps(payload))["Payload"].read()
    )


def test_the_alias_decides_which_version_answers(hands, caller, function):
    assert answer(caller, function, a=1)["version"] == "one"
    hands.client("lambda").update_alias(FunctionName=function, Name="live", FunctionVersion="2")
    told = answer(caller, function, a=1)
    assert (told["version"], told["number"], told["event"]) == ("two", "2", {"a": 1})


def test_a_function_knows_where_aws_is_and_has_its_roles_credentials(world, caller, function):
    told = answer(caller, function)["environment"]
    assert (told["AWS_REGION"], told["MATINEE_AWS_ENDPOINT"]) == (world.region, world.endpoint)
    assert told["AWS_SESSION_TOKEN"]


@pytest.mark.parametrize("qualifier", ["", "2", "$LATEST"])
def test_only_the_alias_may_be_called_by_whom_only_that_is_allowed(caller, function, qualifier):
    asked = {"Qualifier": qualifier} if qualifier else {}
    with pytest.raises(ClientError) as refused:
        caller.invoke(FunctionName=function, **asked)
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"


def test_an_error_is_told_as_lambda_tells_it_and_lines_go_to_the_functions_log(world, caller, function):
    answered = caller.invoke(FunctionName=function, Qualifier="live", Payload=b'{"fail": true}')
    assert answered["FunctionError"] == "Unhandled"
    assert json.loads(answered["Payload"].read())["errorMessage"] == "on purpose"
    logs = world.clients("logs")
    lines = wait_until(lambda: logs.filter_log_events(logGroupName=f"/told/{function}")["events"], what="the log")
    assert any("on purpose" in line["message"] for line in lines)


def test_an_unsigned_call_is_refused(world, function):
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    client = boto3.client(
        "lambda", endpoint_url=world.endpoint, region_name=world.region, config=Config(signature_version=UNSIGNED)
    )
    with pytest.raises(ClientError, match="Missing Authentication Token"):
        client.invoke(FunctionName=function, Qualifier="live")


def test_a_schedule_calls_with_its_own_role_and_the_time_it_was_due(hands, world, function):
    target = f"arn:aws:lambda:{hands.region}:{hands.account}:function:{function}:live"
    allowed = hands.role("scheduler.amazonaws.com", hands.allow("lambda:InvokeFunction", on=target))
    schedule = Schedule("nightly", "rate(1 day)", target, allowed, json.dumps({"scheduled": SCHEDULED_TIME}))
    world.events.fire(schedule, 86400.0)
    assert world.events.fired[-1] == "nightly"
    refused = hands.role("scheduler.amazonaws.com")
    world.events.fire(Schedule("refused", "rate(1 day)", target, refused), 0.0)
    assert "The schedule refused may not call" in world.events.refused[-1]
    world.events.refused.clear()


def test_schedules_are_read_back_and_fire_when_they_are_due(hands, world, function):
    target = f"arn:aws:lambda:{hands.region}:{hands.account}:function:{function}:live"
    role = hands.role("scheduler.amazonaws.com", hands.allow("lambda:InvokeFunction", on=target))
    scheduler = world.clients("scheduler")
    scheduler.create_schedule(
        Name="read-back", ScheduleExpression="rate(1 day)", FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": target, "RoleArn": role, "Input": "{}"},
    )  # fmt: skip
    wait_until(lambda: "read-back" in [s.name for s in world.events.schedules()], what="the schedule")
    scheduler.delete_schedule(Name="read-back")
    wait_until(lambda: "read-back" not in [s.name for s in world.events.schedules()], what="its end")


def test_a_stopped_task_calls_what_a_rule_names_if_the_function_permits_it(hands, world, function):
    target = f"arn:aws:lambda:{hands.region}:{hands.account}:function:{function}:live"
    events, name = world.clients("events"), f"rule-{function}"
    detail = {"lastStatus": ["STOPPED"], "group": [{"prefix": "matinee:"}]}
    pattern = {"source": ["aws.ecs"], "detail-type": ["ECS Task State Change"], "detail": detail}
    rule = events.put_rule(Name=name, EventPattern=json.dumps(pattern))["RuleArn"]
    events.put_targets(Rule=name, Targets=[{"Id": "one", "Arn": target}])

    def run_a_task(group):
        ecs = hands.client("ecs")
        ecs.run_task(cluster="app", taskDefinition=hands.definition("pass"), group=group)

    run_a_task("matinee:plan")
    wait_until(lambda: world.events.refused, what="a refusal")
    assert f"The rule {name} may not call {function}" in world.events.refused[-1]
    hands.client("lambda").add_permission(
        FunctionName=function, Qualifier="live", StatementId="rule", Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com", SourceArn=rule, SourceAccount=hands.account,
    )  # fmt: skip
    run_a_task("matinee:plan")
    wait_until(lambda: name in world.events.fired, what="the call")
    events.remove_targets(Rule=name, Ids=["one"])
    events.delete_rule(Name=name)
    world.events.refused.clear()


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ({"source": ["aws.ecs"]}, True),
        ({"source": ["aws.s3", "aws.ecs"]}, True),
        ({"source": ["aws.s3"]}, False),
        ({"detail": {"group": [{"prefix": "matinee:"}]}}, True),
        ({"detail": {"group": [{"prefix": "other:"}]}}, False),
        ({"detail": {"missing": ["x"]}}, False),
    ],
)
def test_patterns_match_as_eventbridge_matches(pattern, fits):
    assert matches(pattern, {"source": "aws.ecs", "detail": {"group": "matinee:plan"}}) is fits
