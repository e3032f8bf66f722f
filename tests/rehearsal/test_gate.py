"""The gate: what AWS refuses to who deploys is refused here, secrets are read, and nothing is swallowed."""

from __future__ import annotations

import json

import boto3
import pytest
from botocore.exceptions import ClientError

from matinee.names import Names
from matinee.project.aws import Aws
from matinee.rehearsal.machines import of_task
from matinee.rehearsal.rehearsal import variables_of
from matinee.rehearsal.tasks import FirstError, RehearsalError
from matinee.rehearsal.world import Stopped, read_card
from matinee.stack.deployer_policy import Scope, policy
from matinee.testing.harness import wait_until

pytestmark = pytest.mark.slow
PRINTER = "import os; print(os.environ['FIRST'], os.environ['SECOND'], flush=True)"


@pytest.fixture(scope="module")
def deployer(world):
    scope = Scope(Names("app", "dev"), Aws(), region=world.region, account=world.account)
    return world.roles.add_user("deployer-of-app-dev", policy(scope))


@pytest.fixture
def client(world, deployer):
    def make(service):
        return boto3.client(
            service,
            endpoint_url=world.endpoint,
            region_name=world.region,
            aws_access_key_id=deployer.key,
            aws_secret_access_key=deployer.secret,
        )

    return make


def is_denied(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        return "AccessDenied" in error.response["Error"]["Code"] and "not authorized" in str(error)
    return False


def test_who_deploys_reaches_what_bears_the_stages_name_and_nothing_of_others(world, client) -> None:
    for name in ("/matinee/app/dev/KEY", "/matinee/other/dev/KEY"):
        world.clients("ssm").put_parameter(Name=name, Value="x", Type="SecureString")
    ssm = client("ssm")
    assert ssm.delete_parameters(Names=["/matinee/app/dev/KEY"])["DeletedParameters"] == ["/matinee/app/dev/KEY"]
    assert is_denied(ssm.delete_parameters, Names=["/matinee/other/dev/KEY"])
    assert is_denied(ssm.get_parameters_by_path, Path="/matinee/other/dev/")
    assert is_denied(client("cloudformation").describe_stack_events, StackName="other-app")
    assert is_denied(client("events").disable_rule, Name="another-rule")
    assert is_denied(client("scheduler").get_schedule, Name="backstop", GroupName="another-group")
    assert is_denied(client("iam").create_service_linked_role, AWSServiceName="rds.amazonaws.com")
    assert is_denied(client("dynamodb").get_item, TableName="other", Key={"pk": {"S": "RUN#1"}})


def test_who_deploys_is_not_the_root_of_the_account(world, deployer) -> None:
    variables = variables_of(world, deployer)
    assert (variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"]) == (deployer.key, deployer.secret)
    assert world.roles.principal_of(deployer.key).endswith(":user/deployer-of-app-dev")
    assert world.roles.is_person(deployer.key)
    assert not world.roles.role_of(deployer.key)


@pytest.mark.parametrize("spelled", [("name", "valueFrom"), ("Name", "ValueFrom")])
def test_secrets_of_a_task_are_read_in_both_spellings(spelled) -> None:
    """The API has them in camel case; the emulator keeps those of a template in a template's."""
    name, source = spelled
    container = {"name": "worker", "image": "i", "secrets": [{name: "KEY", source: "/app/KEY"}]}
    definition = {"family": "f", "containerDefinitions": [container]}
    assert of_task(definition).secrets == {"KEY": "/app/KEY"}


def test_a_task_has_secrets_of_parameters_and_of_secrets_manager(world, hands) -> None:
    world.clients("ssm").put_parameter(Name="/app/FIRST", Value="one", Type="SecureString", Overwrite=True)
    secret = world.clients("secretsmanager").create_secret(Name="app/SECOND", SecretString="two")["ARN"]
    parameter = f"arn:aws:ssm:{world.region}:{world.account}:parameter/app/FIRST"
    execution = hands.execution_role(
        hands.allow("ssm:GetParameters", on=parameter),
        hands.allow("secretsmanager:GetSecretValue", on=secret),
        hands.allow("logs:CreateLogStream", "logs:PutLogEvents"),
    )
    world.clients("logs").create_log_group(logGroupName="secrets-of-tasks")
    options = {"awslogs-group": "secrets-of-tasks", "awslogs-region": world.region, "awslogs-stream-prefix": "w"}
    definition = hands.definition(
        PRINTER,
        execution=execution,
        secrets=[{"name": "FIRST", "valueFrom": parameter}, {"name": "SECOND", "valueFrom": secret}],
        logConfiguration={"logDriver": "awslogs", "options": options},
    )
    hands.client("ecs").run_task(cluster="app", taskDefinition=definition)

    def lines():
        events = world.clients("logs").filter_log_events(logGroupName="secrets-of-tasks")["events"]
        return [event["message"] for event in events]

    wait_until(lambda: lines() == ["one two"], timeout_s=20, what="what the task printed")


def test_the_first_error_is_kept_said_with_its_place_and_every_later_call_is_refused() -> None:
    error = FirstError()
    stopped = Stopped(error)
    error.raise_it()
    assert not stopped.wants(None)
    error.record("the clock of schedules", KeyError("name"))
    error.record("what plays ECS services", ValueError("later"))
    assert error.has_happened
    with pytest.raises(RehearsalError, match="in the clock of schedules: KeyError: 'name'") as failed:
        error.raise_it()
    assert isinstance(failed.value.__cause__, KeyError)
    assert stopped.wants(None)
    assert json.loads(stopped.play(None).body)["__type"] == "RehearsalFailed"


def test_a_rehearsal_says_to_other_commands_that_it_is_one(world) -> None:
    card = read_card(world.endpoint)
    assert card is not None
    assert card["url"] == world.entry.url
    assert read_card("http://127.0.0.1:9") is None
