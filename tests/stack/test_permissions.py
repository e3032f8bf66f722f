"""Who may do what: as much as the code calls, and no more. What the emulator does not check is checked here."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name

import matinee
from matinee.project.sections import Auth, Notices
from matinee.stack.permissions import roles
from matinee.stack.templates import app_template, data_template

from .iam import allows, resolved, statements

SOURCE = Path(matinee.__file__).parent
ARN = "arn:aws:{}:eu-central-1:111122223333:{}"
TABLE = ARN.format("dynamodb", "table/matinee-shop-dev")
CLUSTER = ARN.format("ecs", "cluster/matinee-shop-dev")
PLAN = ARN.format("ecs", "task-definition/matinee-shop-dev-plan:7")
FILES = "arn:aws:s3:::shop-files/"
MODULES = {  # service → the files that call it
    "dynamodb": "backends/aws/store*.py",
    "s3": "backends/aws/files*.py",
    "ecs": "backends/aws/launcher.py",
    "batch": "backends/aws/launcher.py",
    "logs": "backends/aws/logs.py",
    "lambda": "lambda_api/invoker.py",
}
ACTIONS = {  # operations whose permission has another name
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "DeleteObjects": "s3:DeleteObject",
    "ListObjectsV2": "s3:ListBucket",
    "Invoke": "lambda:InvokeFunction",
}
NOT_CALLED = {  # allowed and not among the operations: what comes with one, and what AWS itself does for the workload
    "dynamodb:ConditionCheckItem",  # a part of TransactWriteItems, which is no action
    "ecs:TagResource",  # RunTask propagates tags
    "batch:TagResource",
    "iam:PassRole",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "ecr:GetAuthorizationToken",
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:GetDownloadUrlForLayer",
    "ssm:GetParameters",
    "secretsmanager:GetSecretValue",
}


@pytest.fixture
def template(make_gpu):
    return app_template(make_gpu())


def called(service):
    """Return the actions that the code of a service's adapter needs, by botocore's own list of operations."""
    model = botocore.session.get_session().get_service_model(service)
    known = {xform_name(name): name for name in model.operation_names}
    known |= {name: name for name in model.operation_names}
    words = set()
    for file in SOURCE.glob(MODULES[service]):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute):
                words.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.add(node.value)
    operations = {known[word] for word in words & known.keys()} - {"TransactWriteItems"}
    return {ACTIONS.get(operation, f"{service}:{operation}") for operation in operations}


def test_what_the_roles_allow_is_what_the_code_calls_nothing_missing_and_nothing_superfluous(make_gpu):
    b = make_gpu({"password_in": "secrets-manager"})
    b = replace(b, auth=Auth("password"), notices=Notices(smtp_host="mail", smtp_user="me"))
    allowed = {action for role in roles(b) for statement in role.statements for action in statement.actions}
    needed = set().union(*map(called, MODULES))
    assert allowed - NOT_CALLED == needed
    assert allowed >= NOT_CALLED


def test_every_statement_has_a_name_of_its_own_and_says_why_it_is_for_every_resource(make_gpu):
    forced = {}
    for role in roles(make_gpu()):
        sids = [statement.sid for statement in role.statements]
        assert len(set(sids)) == len(sids) and all(sid.isalnum() for sid in sids)
        for statement in role.statements:
            assert ("*" in statement.resources) == bool(statement.forced)
            assert not any("*" in action for action in statement.actions)
            if statement.forced:
                assert statement.forced.startswith("https://docs.aws.amazon.com/")
                forced |= dict.fromkeys(statement.actions, statement.forced)
    assert set(forced) == {"ecr:GetAuthorizationToken", "ecs:ListTasks", "batch:DescribeJobs", "batch:ListJobs"}


def test_the_page_that_forces_every_resource_is_in_the_template(template):
    assert set(template["Resources"]["DispatcherRole"]["Metadata"]["EveryResourceBecause"]) == {
        "FindWorkers",
        "FindJobs",
    }


def test_every_role_is_taken_on_by_one_service_for_this_account_alone(template):
    for title, resource in template["Resources"].items():
        if resource["Type"] == "AWS::IAM::Role":
            [trust] = resolved(resource["Properties"]["AssumeRolePolicyDocument"])["Statement"]
            assert list(trust["Principal"]) == ["Service"] and isinstance(trust["Principal"]["Service"], str)
            if trust["Principal"]["Service"] != "ec2.amazonaws.com":  # a machine has no source account
                assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": "111122223333"}}, title


def test_roles_are_bounded_where_the_account_wants_that(make):
    boundary = "arn:aws:iam::111122223333:policy/limits"
    template = app_template(make({"permissions_boundary": boundary}))
    found = [r["Properties"] for r in template["Resources"].values() if r["Type"] == "AWS::IAM::Role"]
    assert found and all(role["PermissionsBoundary"] == boundary for role in found)


# --- the dispatcher alone starts workers ------------------------------------------------------------------------


def test_workers_are_started_by_family_and_in_the_app_s_cluster_alone(template):
    def may(definition, cluster=CLUSTER, role="DispatcherRole"):
        return allows(template, role, "ecs:RunTask", definition, ecs__cluster=cluster)

    assert may(PLAN)
    assert not may(PLAN, CLUSTER + "2"), "another cluster"
    assert not may(PLAN.replace("shop", "other")), "another app"
    assert not allows(template, "DispatcherRole", "ecs:RunTask", PLAN), "no cluster said"
    others = [role for role in roles_of(template) if role != "DispatcherRole"]
    assert others and not any(may(PLAN, role=role) for role in others), "nobody else starts anything"


def roles_of(template):
    return [title for title, resource in template["Resources"].items() if resource["Type"] == "AWS::IAM::Role"]


def test_only_workers_roles_are_passed_and_only_to_tasks(template):
    def may(name, service="ecs-tasks.amazonaws.com", role="DispatcherRole"):
        arn = f"arn:aws:iam::111122223333:role/{name}"
        return allows(template, role, "iam:PassRole", arn, iam__PassedToService=service)

    assert may("matinee-shop-dev-plan-worker") and may("matinee-shop-dev-plan-execution")
    assert not may("matinee-shop-dev-plan-worker", "ec2.amazonaws.com")
    for name in (
        "matinee-shop-dev-matinee-dispatcher",
        "matinee-shop-dev-ui",
        "matinee-shop-dev-ui-execution",
        "Admin",
    ):
        assert not may(name)
    assert not may("matinee-shop-dev-train-worker"), "a worker with a GPU is a job: its definition has the role"
    assert may("matinee-shop-dev-gpu-instances", "ec2.amazonaws.com", "InfrastructureRole")


def test_tasks_are_stopped_and_tagged_in_the_app_s_cluster_alone(template):
    task, other = (ARN.format("ecs", f"task/matinee-{app}-dev/abc") for app in ("shop", "other"))
    for action in ("ecs:StopTask", "ecs:DescribeTasks"):
        assert allows(template, "DispatcherRole", action, task)
        assert not allows(template, "DispatcherRole", action, other)
    assert allows(template, "DispatcherRole", "ecs:TagResource", task, ecs__CreateAction="RunTask")
    assert not allows(template, "DispatcherRole", "ecs:TagResource", task), "only while it starts one"
    assert not allows(template, "DispatcherRole", "ecs:ListTasks", "*", ecs__cluster=CLUSTER + "2")


def test_jobs_are_submitted_by_definition_and_queue(template):
    queue = ARN.format("batch", "job-queue/matinee-shop-dev")
    definition = ARN.format("batch", "job-definition/matinee-shop-dev-train")
    assert allows(template, "DispatcherRole", "batch:SubmitJob", queue)
    assert allows(template, "DispatcherRole", "batch:SubmitJob", definition)
    assert not allows(template, "DispatcherRole", "batch:SubmitJob", queue.replace("shop", "other"))


# --- calls ------------------------------------------------------------------------------------------------------


def test_functions_are_called_at_their_alias_by_who_declared_it(template):
    def may(role, name, qualifier=":live"):
        arn = ARN.format("lambda", f"function:matinee-shop-dev-{name}{qualifier}")
        return allows(template, role, "lambda:InvokeFunction", arn)

    assert may("UiRole", "recommend") and may("UiRole", "matinee-dispatcher")
    assert not may("UiRole", "recommend", "") and not may("UiRole", "recommend", ":3"), "only what is live"
    assert may("WorkerRolePlan", "recommend") and may("WorkerRolePlan", "matinee-dispatcher")
    assert not may("WorkerRolePlan", "chat"), "plan declares no call of chat"
    assert may("RoleChat", "recommend") and not may("RoleRecommend", "chat")
    assert may("SchedulerRole", "matinee-dispatcher") and not may("SchedulerRole", "recommend")
    assert not may("DispatcherRole", "recommend")


# --- data -------------------------------------------------------------------------------------------------------


def test_a_function_reaches_shared_state_and_nobody_s_runs_users_or_release(template):
    def may(action, *keys, role="RoleRecommend"):
        context = {"dynamodb__LeadingKeys": list(keys)} if keys else {}
        return allows(template, role, f"dynamodb:{action}", TABLE, **context)

    for action in ("GetItem", "PutItem", "UpdateItem"):
        assert may(action, "STATE#counter")
        for key in ("RUN#1", "DOC#user", "RELEASE", "Q#plan", "POOL#plan"):
            assert not may(action, key)
        assert not may(action, "STATE#counter", "RUN#1"), "all keys of a request count"
        assert not may(action), "a request without keys has none that is forbidden, and is refused all the same"
    for action in ("Query", "Scan", "DeleteItem", "BatchGetItem"):
        assert not may(action, "STATE#counter")


def test_a_function_that_calls_another_may_also_record_that_run(template):
    for key in ("STATE#x", "RUN#1", "POOLS"):
        assert allows(template, "RoleChat", "dynamodb:PutItem", TABLE, dynamodb__LeadingKeys=[key])
    assert allows(template, "RoleChat", "dynamodb:GetItem", TABLE, dynamodb__LeadingKeys=["RELEASE"])
    assert allows(template, "RoleChat", "s3:GetObject", FILES + "results/r/1.json"), "what it called answers by file"
    for key in ("DOC#user", "RELEASE"):
        assert not allows(template, "RoleChat", "dynamodb:PutItem", TABLE, dynamodb__LeadingKeys=[key])
    assert not allows(template, "RoleChat", "dynamodb:GetItem", TABLE, dynamodb__LeadingKeys=["RUN#1"])


def test_a_function_that_submits_batch_runs_uses_the_queue_as_a_worker_does(make):
    b = make()
    chat = replace(b.components[2].predictors[0], calls=("plan",))
    b = replace(b, components=(*b.components[:2], replace(b.components[2], predictors=(chat,))))
    template = app_template(b)
    for key in ("Q#plan", "POOL#plan", "TURN#plan#ada", "RUN#1", "ONCE#1", "STATE#x"):
        assert allows(template, "RoleChat", "dynamodb:ConditionCheckItem", TABLE, dynamodb__LeadingKeys=[key]), key
    for key in ("Q#weekly_report", "Q#planning", "DOC#user", "RELEASE"):
        assert not allows(template, "RoleChat", "dynamodb:PutItem", TABLE, dynamodb__LeadingKeys=[key]), key
    dispatcher = ARN.format("lambda", "function:matinee-shop-dev-matinee-dispatcher:live")
    assert allows(template, "RoleChat", "lambda:InvokeFunction", dispatcher)


def test_a_worker_reaches_its_queue_and_those_it_submits_to_and_never_users_tokens_or_release(template):
    def may(action, *keys, role="WorkerRolePlan"):
        return allows(template, role, f"dynamodb:{action}", TABLE, dynamodb__LeadingKeys=list(keys))

    for key in ("Q#plan", "POOL#plan", "POOL#plan#3", "TURN#plan#ada", "RUN#1", "Q#recommend", "POOLS", "STATE#x"):
        assert may("UpdateItem", key) and may("Query", key), key
    assert may("GetItem", "RELEASE") and not may("PutItem", "RELEASE")
    for key in ("DOC#user", "DOC#token", "Q#chat", "POOL#weekly_report", "Q#planning"):
        assert not may("GetItem", key) and not may("UpdateItem", "Q#plan", key), key
    assert not allows(template, "WorkerRolePlan", "dynamodb:Query", TABLE + "/index/by_user")
    assert allows(template, "UiRole", "dynamodb:Query", TABLE + "/index/by_user")


def test_files_are_reached_by_their_prefixes(template):
    def may(role, action, key):
        return allows(template, role, f"s3:{action}", FILES + key)

    assert may("RoleRecommend", "GetObject", "uploads/u/photo.png")
    assert may("RoleRecommend", "PutObject", "results/r/1.json")
    assert not may("RoleRecommend", "PutObject", "uploads/u/photo.png"), "nobody changes what people gave"
    assert may("UiRole", "DeleteObject", "uploads/u/table") and not may("UiRole", "DeleteObject", "results/r/1.json")
    assert may("RoleRecommend", "GetObject", "inputs/recommend/r.json")
    assert not may("RoleRecommend", "GetObject", "inputs/plan/r.json"), "of another predictor"
    assert not may("RoleChat", "GetObject", "inputs/recommend/r.json"), "what it calls reads its own inputs"
    assert may("RoleChat", "PutObject", "inputs/recommend/r.json")
    assert may("WorkerRolePlan", "PutObject", "inputs/recommend/r/0.bin") and not may(
        "WorkerRolePlan", "DeleteObject", "inputs/r"
    )
    for role in ("UiRole", "RoleRecommend", "WorkerRolePlan", "DispatcherRole"):
        for key in ("deploy/template.json", "edge/sleeping.html", "other"):
            assert not any(may(role, action, key) for action in ("GetObject", "PutObject", "DeleteObject"))
        bucket = FILES.rstrip("/")
        assert allows(template, role, "s3:ListBucket", bucket, s3__prefix="results/r/") or role == "DispatcherRole", (
            "or a missing key is a 403"
        )
        assert not allows(template, role, "s3:ListBucket", bucket, s3__prefix="")


def test_secrets_are_read_by_whose_they_are(make):
    b = replace(make(), auth=Auth("password"), optional_secrets=("MATINEE_OWNER_PASSWORD",))
    template = app_template(b)

    def may(role, name):
        return allows(template, role, "ssm:GetParameters", ARN.format("ssm", f"parameter/matinee/shop/dev/{name}"))

    assert all(may("UiExecutionRole", f"MATINEE_{n}") for n in ("PASSWORD", "OWNER_PASSWORD", "COOKIE_SECRET"))
    assert may("ExecutionRoleWeeklyReport", "API_TOKEN")
    for role in ("UiExecutionRole", "ExecutionRolePlan", "RoleRecommend", "UiRole", "WorkerRoleWeeklyReport"):
        assert not may(role, "API_TOKEN")


def test_the_password_in_secrets_manager_is_read_from_there_alone(make):
    b = replace(make({"password_in": "secrets-manager"}), auth=Auth("password"))
    template = app_template(b)
    [statement] = [s for s in statements(template, "UiExecutionRole") if s["Sid"] == "ReadThePassword"]
    assert statement["Action"] == ["secretsmanager:GetSecretValue"] and "*" not in statement["Resource"][0]
    assert not any(
        "MATINEE_PASSWORD" in r for s in statements(template, "UiExecutionRole") for r in s["Resource"] if ":ssm:" in r
    )
    assert data_template(b)["Outputs"]["PasswordSecretArn"]["Value"] == {"Ref": "Password"}


def test_logs_are_written_to_one_s_own_group_and_read_by_the_ui_alone(template):
    def group(name):
        return ARN.format("logs", f"log-group:/matinee/matinee-shop-dev-{name}:log-stream:1")

    assert allows(template, "RoleRecommend", "logs:PutLogEvents", group("recommend"))
    assert not allows(template, "RoleRecommend", "logs:PutLogEvents", group("plan"))
    assert allows(template, "UiRole", "logs:FilterLogEvents", group("plan"))
    assert not allows(template, "UiRole", "logs:FilterLogEvents", group("ui"))
    assert not allows(template, "WorkerRolePlan", "logs:FilterLogEvents", group("plan"))


# --- what is not a role -----------------------------------------------------------------------------------------


def test_a_bucket_takes_encrypted_connections_alone(make):
    [policy] = [r for r in data_template(make())["Resources"].values() if r["Type"] == "AWS::S3::BucketPolicy"]
    [statement] = resolved(policy["Properties"]["PolicyDocument"])["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Deny", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
