"""`matinee doctor --aws`: every check by what AWS answers, with the command that mends it."""

from __future__ import annotations

import json

import pytest

from matinee.cli import main
from matinee.manifest import ComponentManifest, PredictorManifest, Resources
from matinee.operate import doctor
from matinee.operate.doctor import doctor_aws
from matinee.project.aws import Aws
from matinee.project.model import Project
from matinee.project.sections import Auth
from matinee.rehearsal.world import REGION
from matinee.settings import AwsSettings
from matinee.stack.blueprint import Blueprint

PREFIX = "/aws-service-role/{}/"
SERVICES = (
    "ecs.amazonaws.com",
    "elasticloadbalancing.amazonaws.com",
    "ecs.application-autoscaling.amazonaws.com",
    "vpcorigin.cloudfront.amazonaws.com",
)
ROLE = {"Path": "/", "RoleName": "r", "RoleId": "A" * 16, "Arn": "arn:aws:iam::1:role/r", "CreateDate": "2026-11-01"}


def blueprint(cloud, auth="none", **resources):
    predictor = PredictorManifest("ask", "realtime", "ask", "", {}, {}, Resources(**resources))
    return Blueprint(
        cloud.names, "Shop", (ComponentManifest("ask", "h", "v1", (predictor,)),), Aws(), auth=Auth(mode=auth)
    )


def shown(checks):
    return [(check.what, state(check), f"{check.detail} {check.mend}".strip()) for check in checks]


def state(check):
    return "ok" if check.ok else "problem" if check.needed else "attention"


def test_an_account_in_which_all_is_well(cloud, stubs):
    allowed = {"EvaluationResults": [{"EvalActionName": "x:Y", "EvalDecision": "allowed"}]}
    stubs["iam"].add_response("get_role", {"Role": ROLE}, {"RoleName": "Admin"})
    for _ in range(8):
        stubs["iam"].add_response("simulate_principal_policy", allowed)
    stubs["lambda"].add_response("get_account_settings", {"AccountLimit": {"ConcurrentExecutions": 1000}})
    stubs["service-quotas"].add_response("get_service_quota", {"Quota": {"Value": 100.0}})
    stubs["cloudformation"].add_client_error("describe_stacks", "ValidationError", "no data, so nothing is live")
    stack = {"StackName": "matinee-network", "StackId": "id", "StackStatus": "CREATE_COMPLETE", "CreationTime": "2026"}
    stubs["cloudformation"].add_response("describe_stacks", {"Stacks": [stack]})
    for service in SERVICES:
        asked = {"PathPrefix": PREFIX.format(service), "MaxItems": 1}
        stubs["iam"].add_response("list_roles", {"Roles": [ROLE]}, asked)
    assert shown(doctor._account(cloud, blueprint(cloud))) == [
        ("permissions", "ok", "You may do what a deployment does."),
        ("quotas", "ok", "Lambda, Fargate and networks have room for it."),
        ("roles", "ok", "AWS's own roles of the services are there."),
    ]


def test_correction_5_a_fresh_account_is_told_its_quotas(cloud, stubs):
    stubs["lambda"].add_response("get_account_settings", {"AccountLimit": {"ConcurrentExecutions": 10}})
    stubs["service-quotas"].add_response("get_service_quota", {"Quota": {"Value": 0.25}})
    for _ in ("matinee-shop-dev-data", "matinee-network"):
        stubs["cloudformation"].add_client_error("describe_stacks", "ValidationError", "does not exist")
    stubs["ec2"].add_response("describe_vpcs", {"Vpcs": [{"VpcId": f"vpc-{n}"} for n in range(5)]})
    stubs["service-quotas"].add_response("get_service_quota", {"Quota": {"Value": 5.0}})
    found = list(doctor._asked("quotas", lambda: doctor._quotas(cloud, blueprint(cloud)), "well"))
    assert [state(check) for check in found] == ["attention", "problem", "problem"]
    assert "Lambda lets this account run 10 functions at once" in found[0].detail
    assert "Fargate gives this account 0.25 vCPU at once, and the app needs 0.5." in found[1].detail
    assert "5 networks (VPCs) of 5" in found[2].detail
    assert all("quota" in check.mend for check in found)


def test_service_linked_roles_that_are_missing_come_with_the_command(cloud, stubs):
    for service in SERVICES:
        is_there = service != "ecs.amazonaws.com"
        stubs["iam"].add_response("list_roles", {"Roles": [ROLE] if is_there else []})
    (check,) = doctor._asked("roles", lambda: doctor._roles(cloud, blueprint(cloud)), "well")
    assert state(check) == "attention"
    assert check.mend == "aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com"


def test_who_may_not_ask_is_told_and_the_other_checks_go_on(cloud, stubs):
    denied = "User: arn:aws:iam::1:user/ada is not authorized to perform: iam:ListRoles on resource: *"
    stubs["iam"].add_client_error("list_roles", "AccessDenied", denied)
    (check,) = doctor._asked("roles", lambda: doctor._roles(cloud, blueprint(cloud)), "well")
    assert (state(check), "iam:ListRoles is not allowed" in check.detail) == ("attention", True)
    assert "Allow iam:ListRoles" in check.mend


def test_secrets_that_are_not_set_come_with_the_command_and_those_that_are_made_are_said(cloud, stubs):
    stubs["ssm"].add_response("get_parameters", {"Parameters": []})
    found = list(
        doctor._asked("secrets", lambda: doctor._secrets(cloud, blueprint(cloud, "password", secrets=("KEY",))), "")
    )
    assert shown(found)[0] == (
        "secrets",
        "problem",
        "The secret KEY of ask is not set on the stage dev. matinee secret set KEY --stage dev",
    )
    assert {check.detail for check in found[1:]} == {
        "MATINEE_PASSWORD is not set; the first deployment makes one.",
        "MATINEE_COOKIE_SECRET is not set; the first deployment makes one.",
    }
    assert {state(check) for check in found[1:]} == {"attention"}


def test_an_app_without_secrets_asks_nothing(cloud, stubs):
    (check,) = doctor._asked("secrets", lambda: doctor._secrets(cloud, blueprint(cloud)), "well")
    assert state(check) == "ok"


def test_a_stage_on_which_nothing_is_deployed_is_well_and_told_the_command(cloud, stubs):
    stubs["dynamodb"].add_client_error("get_item", "ResourceNotFoundException", "no table")
    project = Project("shop", "Shop", None, ())
    found = list(doctor._stage(cloud, project, blueprint(cloud)))
    assert shown(found)[-1] == ("stage", "ok", "Nothing is deployed on dev yet. matinee deploy --stage dev")


@pytest.fixture
def app(tmp_path, monkeypatch):
    (tmp_path / "matinee.toml").write_text('name = "shop"\ncomponents = ["ask.py"]\n')
    (tmp_path / "ask.py").write_text("from matinee import realtime\n\n@realtime\ndef ask() -> int:\n    return 1\n")
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    return tmp_path


def test_without_credentials_it_says_how_to_sign_in_and_ends_with_1(app, capsys, monkeypatch):
    monkeypatch.setenv("AWS_REGION", REGION)
    assert main.run(["doctor", "--aws", "--app", str(app)]) == 1
    out, err = capsys.readouterr()
    assert any(line.split()[:2] == ["mend", "credentials"] for line in out.splitlines())
    assert "there are no AWS credentials" in out
    assert "aws sso login" in err


def test_a_region_that_there_is_not_is_told_with_the_nearest(app, monkeypatch):
    monkeypatch.setenv("AWS_REGION", "eu-centrl-1")
    check = list(doctor_aws(app, "dev"))[-1]
    assert (check.what, state(check), check.detail) == ("region", "problem", "AWS has no region 'eu-centrl-1'.")
    assert check.mend == "Did you mean eu-central-1?"
    assert doctor._region(AwsSettings(region="us-gov-west-1")) == []


def test_what_is_wrong_with_the_app_is_found_without_aws(app, capsys):
    (app / "ask.py").write_text(
        "from matinee import realtime, batch\n\n@realtime(memory_mb=20000)\ndef ask() -> int:\n    return 1\n"
    )
    (app / "broken.py").write_text("import nothing_like_it\nfrom matinee import batch\n")
    (app / "matinee.toml").write_text('name = "shop"\ncomponents = ["ask.py", "broken.py"]\n')
    assert main.run(["doctor", "--aws", "--app", str(app), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    broken, size = (check for check in found if check["what"] in ("broken", "app"))
    assert (broken["ok"], "nothing_like_it" in broken["detail"]) == (False, True)
    assert (size["ok"], "memory_mb" in size["detail"]) == (False, True)


def test_a_stage_that_cannot_be_is_bad_input(app, capsys):
    assert main.run(["doctor", "--aws", "--stage", "My Stage", "--app", str(app)]) == 2
    assert "There can be no stage 'My Stage'." in capsys.readouterr().err
