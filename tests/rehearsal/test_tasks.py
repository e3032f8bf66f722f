"""RunTask as a workload meets it: life cycle, words, exit codes, tokens, and what a role may not do."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from matinee.testing.harness import wait_until

TOLD = "import json, os; print(json.dumps(dict(os.environ)), flush=True)"


@pytest.fixture
def run(hands):
    """Start a task of a script and return a function that describes it."""
    ecs = hands.client("ecs")

    def start(script, *, overrides=None, client=None, token="", **definition):
        arn = hands.definition(script, **definition)
        asked = {"overrides": overrides} if overrides else {}
        asked |= {"clientToken": token} if token else {}
        answer = (client or ecs).run_task(
            cluster="app", taskDefinition=arn, group="matinee:plan",
            capacityProviderStrategy=[{"capacityProvider": "FARGATE_SPOT"}], **asked,
        )  # fmt: skip
        task = answer["tasks"][0]["taskArn"]

        def describe(until=None):
            def now():
                seen = ecs.describe_tasks(cluster="app", tasks=[task])["tasks"][0]
                return seen if until in (None, seen["lastStatus"]) else None

            return wait_until(now, what=f"{until} of the task")

        return describe

    return start


def test_a_task_that_ends_has_its_exit_code_and_reason(run):
    seen = run("print('done'); raise SystemExit(3)")("STOPPED")
    assert seen["containers"][0]["exitCode"] == 3
    assert (seen["stopCode"], seen["desiredStatus"]) == ("EssentialContainerExited", "STOPPED")
    assert seen["group"] == "matinee:plan"
    assert seen["capacityProviderName"] == "FARGATE_SPOT"


def test_a_task_gets_its_definition_its_overrides_and_where_aws_is_and_nothing_else(run, hands, world, monkeypatch):
    hands.world.clients("logs").create_log_group(logGroupName="/told")
    group = f"arn:aws:logs:{hands.region}:{hands.account}:log-group:/told:*"
    execution = hands.execution_role(hands.allow("logs:CreateLogStream", "logs:PutLogEvents", on=group))
    options = {"awslogs-group": "/told", "awslogs-stream-prefix": "p", "awslogs-region": hands.region}
    override = {"name": "worker", "environment": [{"name": "SLOT", "value": "1"}, {"name": "B", "value": "over"}]}
    monkeypatch.setenv("OF_THE_DEVELOPER", "secret")
    seen = run(
        TOLD,
        execution=execution,
        environment=[{"name": "A", "value": "a"}, {"name": "B", "value": "b"}],
        logConfiguration={"logDriver": "awslogs", "options": options},
        overrides={"containerOverrides": [override]},
    )("STOPPED")
    assert seen["containers"][0].get("exitCode") == 0, seen["stoppedReason"]
    lines = wait_until(lambda: world.clients("logs").filter_log_events(logGroupName="/told")["events"], what="the log")
    told = json.loads(lines[0]["message"])
    assert (told["A"], told["B"], told["SLOT"]) == ("a", "over", "1")
    assert (told["AWS_REGION"], told["MATINEE_AWS_ENDPOINT"]) == (hands.region, world.endpoint)
    assert "OF_THE_DEVELOPER" not in told
    assert not [name for name in told if name.startswith("AWS_ACCESS")], "a task without a role has no credentials"


def test_a_task_works_as_its_own_role(run, hands):
    role = hands.role("ecs-tasks.amazonaws.com", hands.allow("dynamodb:ListTables"))
    script = f"""
import boto3, sys
from botocore.exceptions import ClientError
assert {role.rpartition("/")[2]!r} in boto3.client("sts", "{hands.region}").get_caller_identity()["Arn"]
boto3.client("dynamodb", "{hands.region}").list_tables()
try: boto3.client("s3", "{hands.region}").list_buckets()
except ClientError as error: sys.exit(7 if error.response["Error"]["Code"] == "AccessDenied" else 1)
"""
    assert run(script, role=role)("STOPPED")["containers"][0]["exitCode"] == 7


def test_stop_task_is_a_sigterm_first(run, hands):
    describe = run(hands.sleeper)
    describe("RUNNING")
    hands.client("ecs").stop_task(cluster="app", task=describe()["taskArn"], reason="enough")
    seen = describe("STOPPED")
    assert (seen["containers"][0]["exitCode"], seen["stopCode"]) == (143, "UserInitiated")
    assert seen["stoppedReason"] == "enough"


def test_who_does_not_heed_sigterm_is_killed_after_its_stop_timeout(run, hands):
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    describe = run(deaf, stopTimeout=1)
    describe("RUNNING")
    task = hands.world.tasks.get(describe()["taskArn"])
    wait_until(lambda: ignores_sigterm(task._running.pid), what="a deaf process")
    hands.client("ecs").stop_task(cluster="app", task=task.arn)
    assert describe("STOPPED")["containers"][0]["exitCode"] == 128 + signal.SIGKILL


def ignores_sigterm(pid):
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    ignored = next(line.split()[1] for line in status if line.startswith("SigIgn"))
    return bool(int(ignored, 16) & 1 << (signal.SIGTERM - 1))


def test_lists_agree_with_what_became_of_a_task(run, hands):
    ecs = hands.client("ecs")
    describe = run("pass", token="t-lists")
    arn = describe("STOPPED")["taskArn"]
    wait_until(lambda: arn in ecs.list_tasks(cluster="app", desiredStatus="STOPPED")["taskArns"])
    assert arn not in ecs.list_tasks(cluster="app")["taskArns"]


def test_a_token_is_one_task_and_another_request_under_it_a_conflict(hands):
    ecs, arn = hands.client("ecs"), hands.definition(hands.sleeper)
    first = ecs.run_task(cluster="app", taskDefinition=arn, clientToken="same")["tasks"][0]["taskArn"]
    assert ecs.run_task(cluster="app", taskDefinition=arn, clientToken="same")["tasks"][0]["taskArn"] == first
    with pytest.raises(ClientError) as refused:
        ecs.run_task(cluster="app", taskDefinition=arn, clientToken="same", group="other")
    assert refused.value.response["Error"]["Code"] == "ConflictException"
    assert refused.value.response["resourceIds"] == [first]
    ecs.stop_task(cluster="app", task=first)


def test_an_image_that_is_not_there_or_may_not_be_pulled_is_said_in_ecs_words(run, hands, machine):
    machine.scripts.clear()
    missing = f"{hands.account}.dkr.ecr.{hands.region}.amazonaws.com/repo@sha256:{'0' * 64}"
    seen = run("pass", image=missing)("STOPPED")
    assert seen["stopCode"] == "TaskFailedToStart"
    assert "CannotPullContainerError" in seen["stoppedReason"]
    assert "not found" in seen["stoppedReason"]
    seen = run("pass", execution=hands.role("ecs-tasks.amazonaws.com", hands.allow("ecr:GetAuthorizationToken")))(
        "STOPPED"
    )
    assert "not authorized to perform: ecr:BatchGetImage" in seen["stoppedReason"]


def test_secrets_come_from_ssm_with_the_execution_role(run, hands):
    name = f"arn:aws:ssm:{hands.region}:{hands.account}:parameter/matinee/app/dev/TOKEN"
    hands.world.clients("ssm").put_parameter(Name="/matinee/app/dev/TOKEN", Value="s3cret", Type="SecureString")
    secrets = [{"name": "TOKEN", "valueFrom": name}]
    script = "import os; raise SystemExit(9 if os.environ['TOKEN'] == 's3cret' else 1)"
    allowed = hands.execution_role(hands.allow("ssm:GetParameters", on=name))
    seen = run(script, secrets=secrets, execution=allowed)("STOPPED")
    assert seen["containers"][0].get("exitCode") == 9, seen["stoppedReason"]
    seen = run(script, secrets=secrets)("STOPPED")
    assert "ResourceInitializationError: unable to pull secrets" in seen["stoppedReason"]
    assert "ssm:GetParameters" in seen["stoppedReason"]


def test_a_log_group_that_may_not_be_written_keeps_a_task_from_starting(run, hands):
    options = {"awslogs-group": "/nowhere", "awslogs-stream-prefix": "p", "awslogs-region": hands.region}
    seen = run("pass", logConfiguration={"logDriver": "awslogs", "options": options})("STOPPED")
    assert "ResourceInitializationError: failed to validate logger args" in seen["stoppedReason"]


class TestWhatARoleMay:
    """RunTask on families, in one cluster, with roles that may be passed: what the emulator itself gets wrong."""

    @pytest.fixture
    def app(self, hands):
        passed = hands.role("ecs-tasks.amazonaws.com")
        execution = hands.execution_role()
        definition = hands.definition("pass", role=passed, execution=execution)
        family = definition.rpartition(":")[0] + ":*"
        in_cluster = {"ArnEquals": {"ecs:cluster": hands.cluster}}
        to_tasks = {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}
        statements = {
            "run": hands.allow("ecs:RunTask", on=family, **in_cluster),
            "tag": hands.allow("ecs:TagResource", StringEquals={"ecs:CreateAction": "RunTask"}),
            "watch": hands.allow(
                "ecs:DescribeTasks", "ecs:StopTask", on=hands.cluster.replace(":cluster/", ":task/") + "/*"
            ),
            "find": hands.allow("ecs:ListTasks", **in_cluster),
            "pass": hands.allow("iam:PassRole", on=passed, **to_tasks),
            "execute": hands.allow("iam:PassRole", on=execution, **to_tasks),
        }

        def calls_as(*without, cluster="app", run=definition):
            role = hands.role("lambda.amazonaws.com", *(s for n, s in statements.items() if n not in without))
            ecs = hands.client("ecs", role)
            arn = ecs.run_task(cluster=cluster, taskDefinition=run, propagateTags="TASK_DEFINITION")["tasks"][0][
                "taskArn"
            ]
            ecs.list_tasks(cluster=cluster)
            ecs.describe_tasks(cluster=cluster, tasks=[arn])
            ecs.stop_task(cluster=cluster, task=arn)

        return calls_as

    def test_with_every_statement_all_four_calls_work(self, app):
        app()

    @pytest.mark.parametrize(
        ("without", "action"),
        [
            ("run", "ecs:RunTask"), ("tag", "ecs:TagResource"), ("watch", "ecs:DescribeTasks"),
            ("find", "ecs:ListTasks"), ("pass", "iam:PassRole"), ("execute", "iam:PassRole"),
        ],
    )  # fmt: skip
    def test_without_any_one_of_them_it_is_refused(self, app, without, action):
        with pytest.raises(ClientError, match=f"not authorized to perform: {action}"):
            app(without)

    def test_another_family_and_another_cluster_are_refused(self, app, hands):
        with pytest.raises(ClientError, match="not authorized to perform: ecs:RunTask"):
            app(run=hands.definition("pass"))
        with pytest.raises(ClientError, match="not authorized to perform: ecs:RunTask"):
            app(cluster="another")

    def test_a_stranger_is_refused_by_the_emulator(self, hands):
        import boto3

        stranger = boto3.client(
            "ecs", endpoint_url=hands.world.endpoint, region_name=hands.region,
            aws_access_key_id="ASIA0000000000000000", aws_secret_access_key="x",
        )  # fmt: skip
        with pytest.raises(ClientError) as refused:
            stranger.run_task(cluster="app", taskDefinition="any")
        assert refused.value.response["Error"]["Code"] == "UnrecognizedClientException"
