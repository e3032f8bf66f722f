"""The policy of who deploys: what the tool calls is in it, and of what is not the app's nothing may be changed."""

from __future__ import annotations

import ast
import fnmatch
from functools import cache
from pathlib import Path

import botocore.session
import pytest

import matinee
from matinee.errors import UsageError
from matinee.names import Names
from matinee.operate.eject import iam_policy
from matinee.project.aws import DAYS, Aws, OfficeHours
from matinee.stack.deployer_policy import LONGEST_POLICY, Scope, length, policy, statements

TOOLS = [Path(matinee.__file__).parent / folder for folder in ("deploy", "operate")]
NAMES = Names("shop", "dev")
ACCOUNT = "111122223333"
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/limits"
EVERYTHING = {
    "office_hours": OfficeHours(DAYS, "08:00", "18:00"),
    "alarms_to": "me@example.com",
    "budget_usd": 40,
    "password_in": "secrets-manager",
    "permissions_boundary": BOUNDARY,
    "domain": "app.example.com",
    "certificate": "arn:aws:acm:us-east-1:111122223333:certificate/abc",
    "hosted_zone": "Z0A1B2",
}
# boto3's name of a service or operation, where IAM's is another
SERVICES = {
    "elbv2": "elasticloadbalancing",
    "service-quotas": "servicequotas",
    "resourcegroupstaggingapi": "tag",
    "ce": "ce",
}
OPERATIONS = {
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:HeadBucket": "s3:ListBucket",
    "lambda:Invoke": "lambda:InvokeFunction",
}


def scope(aws=None, **more):
    return Scope(NAMES, Aws().changed(aws or {}), "eu-central-1", ACCOUNT, **more)


def allowed(found, action, resource="*"):
    return [
        statement
        for statement in found
        if any(fnmatch.fnmatchcase(action, pattern) for pattern in statement.actions)
        and any(fnmatch.fnmatchcase(resource, pattern) or resource == "*" for pattern in statement.resources)
    ]


def called():
    """Return the actions of every call that operations make by `cloud.call("service", "operation", …)`."""
    for file in (file for folder in TOOLS for file in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and len(node.args) >= 2):
                continue
            said = [arg.value for arg in node.args[:2] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
            if node.func.attr in ("call", "pages") and len(said) == 2 and said[1].replace("_", "").isalnum():
                service, operation = said
                name = "".join(word.capitalize() for word in operation.split("_"))
                action = f"{SERVICES.get(service, service)}:{name}"
                yield OPERATIONS.get(action, action)


def test_everything_the_tool_calls_is_allowed():
    actions = set(called())
    assert {"cloudformation:ExecuteChangeSet", "lambda:PublishVersion", "ecr:GetAuthorizationToken"} <= actions
    found = statements(scope(EVERYTHING, gpu=True, remote_builds=True))
    assert {action for action in actions if not allowed(found, action)} == set()


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("lambda:UpdateFunctionCode", f"arn:aws:lambda:eu-central-1:{ACCOUNT}:function:matinee-other-dev-x"),
        ("dynamodb:DeleteTable", f"arn:aws:dynamodb:eu-central-1:{ACCOUNT}:table/matinee-shop-prod"),
        ("s3:DeleteObject", "arn:aws:s3:::somebody-s/file"),
        ("iam:CreateRole", f"arn:aws:iam::{ACCOUNT}:role/Admin"),
        ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/Admin"),
        ("iam:CreateUser", f"arn:aws:iam::{ACCOUNT}:user/me"),
        ("cloudformation:DeleteStack", f"arn:aws:cloudformation:eu-central-1:{ACCOUNT}:stack/payroll/1"),
        ("ssm:PutParameter", f"arn:aws:ssm:eu-central-1:{ACCOUNT}:parameter/matinee/other/dev/X"),
    ],
)
def test_what_is_not_the_stage_s_cannot_be_changed(action, resource):
    assert allowed(statements(scope(EVERYTHING, gpu=True)), action, resource) == []


def test_what_aws_names_itself_is_made_and_changed_by_tag():
    for statement in statements(scope(EVERYTHING, gpu=True)):
        writes = [a for a in statement.actions if a.startswith(("ec2:", "elasticloadbalancing:", "cloudfront:"))]
        if "*" not in statement.resources and writes and statement.sid not in ("InYourNetwork", "SleepingPage"):
            assert statement.conditions, statement.sid


def test_only_what_reads_and_what_aws_has_no_resource_for_is_allowed_everywhere():
    everywhere = {s.sid: s for s in statements(scope(EVERYTHING, gpu=True)) if "*" in s.resources}
    assert set(everywhere) == {"Look", "MakeTheAddress", "SleepingPage"}
    assert all(s.forced.startswith("https://docs.aws.amazon.com/") for s in everywhere.values())
    assert everywhere["MakeTheAddress"].conditions, "what is made must have the tag"
    look = everywhere["Look"]
    reads = ("Describe", "List", "Get", "Validate", "Simulate")
    others = {action for action in look.actions if not action.partition(":")[2].startswith(reads)}
    tags = "ce:UpdateCostAllocationTagsStatus"
    assert others == {"ecs:DeregisterTaskDefinition", "batch:DeregisterJobDefinition", "sns:Unsubscribe", tags}


def test_roles_are_made_within_the_boundary_where_there_is_one_and_given_to_aws_s_services_alone():
    found = {s.sid: s for s in statements(scope(EVERYTHING))}
    assert found["MakeRoles"].conditions == {"StringEquals": {"iam:PermissionsBoundary": BOUNDARY}}
    passed = found["GiveRoles"].conditions["StringEquals"]["iam:PassedToService"]
    assert set(passed) == {f"{n}.amazonaws.com" for n in ("ecs-tasks", "ecs", "lambda", "scheduler", "batch", "ec2")}
    assert not {s.sid: s for s in statements(scope())}["MakeRoles"].conditions


def test_the_usual_policy_fits_into_one_managed_policy():
    assert length(policy(scope({"permissions_boundary": BOUNDARY}))) <= LONGEST_POLICY


def test_a_network_of_one_s_own_is_not_to_be_changed():
    found = statements(scope({"vpc": "vpc-1", "subnets": ("subnet-1", "subnet-2")}))
    assert not [s for s in found if s.sid in ("MakeTheNetwork", "KeepTheNetwork")]


def test_the_policy_of_an_app_says_whether_it_is_bounded(greeting_app):
    made = iam_policy(greeting_app, "dev", account=ACCOUNT)
    assert not made.is_bounded and made.fits
    text = str(made.document)
    assert f":{ACCOUNT}:function:matinee-tiny-dev-*" in text and "${" not in text
    with (greeting_app / "matinee.toml").open("a") as toml:
        toml.write(f'[aws]\npermissions_boundary = "{BOUNDARY}"\n')
    assert iam_policy(greeting_app, "dev").is_bounded


# Actions that no operation of the same name is behind.
OF_THEIR_OWN = {"iam:PassRole", "elasticloadbalancing:AddTags", "ec2:GetManagedPrefixListEntries"}
CLIENTS = {"elasticloadbalancing": "elbv2", "servicequotas": "service-quotas", "tag": "resourcegroupstaggingapi"}


@pytest.mark.parametrize(("stage", "account"), [("a b", ""), ("dev", "12")])
def test_what_can_be_no_stage_and_no_account_is_refused(greeting_app, stage, account):
    with pytest.raises(UsageError, match=r"no stage|no AWS account"):
        iam_policy(greeting_app, stage, account=account)


def test_every_action_is_one_that_aws_has():
    for statement in statements(scope(EVERYTHING, gpu=True, remote_builds=True)):
        for action in set(statement.actions) - OF_THEIR_OWN:
            service, _, pattern = action.partition(":")
            assert fnmatch.filter(operations(service), pattern), action


@cache
def operations(service):
    """The operations that botocore knows of a service; reading them takes a while."""
    return botocore.session.get_session().get_service_model(CLIENTS.get(service, service)).operation_names
