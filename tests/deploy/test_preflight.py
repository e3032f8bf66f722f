"""What stands in the way of a deployment, from AWS's recorded answers to the sentence a person gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError, SSOTokenLoadError
from botocore.stub import ANY, Stubber

from matinee import settings
from matinee.backends.aws.session import Session
from matinee.deploy import account, cloud, preflight
from matinee.deploy.cloud import Cloud, Finding, Tools, refuse
from matinee.deploy.desired_state import read_app
from matinee.deploy.destroy import destroy
from matinee.deploy.preflight import check_names, check_permissions, check_region, find_principal
from matinee.deploy.registry import EngineImages
from matinee.errors import BackendError, UsageError
from matinee.manifest import ComponentManifest, PredictorManifest, Resources
from matinee.names import Names
from matinee.project.aws import Aws
from matinee.settings import AwsSettings
from matinee.stack.blueprint import Blueprint

Answers = Callable[[str], Stubber]


def predictor(name: str, kind: str = "realtime", **resources) -> PredictorManifest:
    return PredictorManifest(name, kind, name, "", {}, {}, Resources(**resources))


def sentence(findings: list[Finding]) -> str:
    (finding,) = findings
    return f"{finding.message} {finding.hint}".strip()


# --- credentials, region ----------------------------------------------------------------------------------------


class Broken:
    """A client that fails as botocore does."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def get_caller_identity(self) -> None:
        raise self._error


NO_ACCESS = {
    "no credentials": (NoCredentialsError(), "AWS cannot be used: there are no AWS credentials."),
    "an expired sign-in": (SSOTokenLoadError(error_msg="Token has expired"), "AWS cannot be used: "),
    "no network": (
        EndpointConnectionError(endpoint_url="https://sts.eu-centrl-1.amazonaws.com"),
        "AWS cannot be reached: ",
    ),
}


@pytest.mark.parametrize(("error", "said"), NO_ACCESS.values(), ids=NO_ACCESS)
def test_who_cannot_reach_aws_is_told_how_to(error: Exception, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "client", lambda *_, **__: Broken(error))
    with pytest.raises(BackendError) as raised:
        cloud.open_cloud(Names("activity", "dev"), AwsSettings(region="eu-central-1"))
    assert said in raised.value.message
    assert raised.value.hint


def test_expired_credentials_are_said(recorded: Cloud, answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    answers("sts").add_client_error("get_caller_identity", "ExpiredToken", "The security token is expired")
    monkeypatch.setattr(Session, "client", lambda *_, **__: recorded.session._clients["sts"])
    with pytest.raises(BackendError) as raised:
        cloud.open_cloud(Names("activity", "dev"), AwsSettings(region="eu-central-1"))
    assert str(raised.value).startswith("AWS cannot be used: AWS does not accept the credentials (ExpiredToken).")
    assert "aws sso login" in raised.value.hint


def test_a_region_that_is_none_has_its_nearest() -> None:
    known = ["eu-central-1", "us-east-1"]
    assert sentence(check_region("eu-centrl-1", known)) == (
        "AWS has no region 'eu-centrl-1'. Did you mean eu-central-1?"
    )
    assert check_region("eu-central-1", known) == []


# --- names ------------------------------------------------------------------------------------------------------

NAMES = {
    "a stage": (Names("activity", "My Stage"), (), "'My Stage' cannot be a stage."),
    "a stage with a hyphen": (Names("activity", "my-branch"), (), "'my-branch' cannot be a stage."),
    "a predictor that is called as the UI": (Names("activity", "dev"), ("ui",), "cannot be called 'ui' on AWS"),
    "a stage that is too long": (Names("activity", "a" * 17), (), "cannot be a stage. A stage is at most 16 small"),
    "an app": (Names("a--b", "dev"), (), "'a--b' cannot be an app's name on AWS."),
    "the network's name": (Names("network", "dev"), (), "An app cannot be called 'network'"),
    "a bucket": (Names("a" * 32, "b" * 16), (), "bucket would be called matinee-" + "a" * 32),
    "a function": (
        Names("activity", "dev"),
        ("p" * 45,),
        f"function of {'p' * 45} would be called matinee-activity-dev-{'p' * 45}: 66 characters, and AWS takes 64.",
    ),
}


@pytest.mark.parametrize(("names", "predictors", "said"), NAMES.values(), ids=NAMES)
def test_a_name_that_aws_does_not_take(names: Names, predictors: tuple[str, ...], said: str) -> None:
    assert any(said in f"{finding.message} {finding.hint}" for finding in check_names(names, predictors))


def test_names_as_people_choose_them_are_taken() -> None:
    assert check_names(Names("activity-recommender", "prod"), ["recommend", "plan_days"]) == []


@pytest.mark.parametrize("stage", ["dev-data", "dev-edge", "dev-build", "data", "Ü"])
def test_a_stack_of_a_stage_is_not_taken_for_a_stage_and_destroyed(stage: str, greeting_app: Path) -> None:
    with pytest.raises(UsageError, match="There can be no stage"):
        destroy(greeting_app, stage, Tools(EngineImages()))


# --- permissions ------------------------------------------------------------------------------------------------


def test_a_missing_permission_is_named(recorded: Cloud, answers: Answers) -> None:
    def answer(action: str, decision: str) -> dict:
        return {"EvalActionName": action, "EvalDecision": decision}

    for number in range(8):
        denied = [answer("lambda:PublishVersion", "implicitDeny")] if number == 3 else []
        given = {"EvaluationResults": [answer("x:Y", "allowed"), *denied]}
        wanted = {"PolicySourceArn": recorded.caller, "ActionNames": ANY, "ResourceArns": ANY, "ContextEntries": []}
        answers("iam").add_response("simulate_principal_policy", given, wanted)
    said = sentence(check_permissions(recorded))
    assert said.startswith("ada may not deploy: lambda:PublishVersion is not allowed. `matinee iam-policy` prints ")


def test_who_may_not_simulate_is_not_kept_from_trying(recorded: Cloud, answers: Answers) -> None:
    answers("iam").add_client_error("simulate_principal_policy", "AccessDenied", "no")
    (finding,) = check_permissions(recorded)
    assert "could not be checked: iam:SimulatePrincipalPolicy is not allowed" in finding.message
    assert not finding.stops


def simulate(answers: Answers, count: int = 8, entries: object = ANY, **result: object) -> None:
    """Have the simulation answer so many times; `result` is what the fourth says of an action."""
    for number in range(count):
        denied = [{"EvalActionName": "iam:CreateRole", "EvalDecision": "implicitDeny", **result}] if number == 3 else []
        given = {"EvaluationResults": [{"EvalActionName": "x:Y", "EvalDecision": "allowed"}, *denied]}
        wanted = {"PolicySourceArn": ANY, "ActionNames": ANY, "ResourceArns": ANY, "ContextEntries": entries}
        answers("iam").add_response("simulate_principal_policy", given, wanted)


def test_a_policy_that_asks_for_a_permissions_boundary_is_told_of_it(recorded: Cloud, answers: Answers) -> None:
    boundary = "arn:aws:iam::123456789012:policy/bound"
    entry = {"ContextKeyName": "iam:PermissionsBoundary", "ContextKeyValues": [boundary], "ContextKeyType": "string"}
    simulate(answers, entries=[entry], EvalDecision="allowed")
    assert check_permissions(recorded, boundary) == []


def test_what_the_simulation_cannot_tell_is_a_note_and_never_a_stop(recorded: Cloud, answers: Answers) -> None:
    simulate(answers, MissingContextValues=["aws:RequestTag/team"])
    (finding,) = check_permissions(recorded)
    assert (finding.stops, finding.message) == (
        False,
        "Whether ada may deploy could not be checked whole: iam:CreateRole is allowed on conditions.",
    )


ROLE = {"RoleId": "A" * 16, "CreateDate": "2026-11-26T00:00:00Z"}
SSO = "AWSReservedSSO_Admin_0123456789abcdef"
SSO_ARN = f"arn:aws:iam::12:role/aws-reserved/sso.amazonaws.com/eu-west-1/{SSO}"


def test_a_role_of_sso_is_simulated_by_its_real_arn(recorded: Cloud, answers: Answers) -> None:
    listed = {"Roles": [{"Path": "/aws-reserved/", "RoleName": SSO, "Arn": SSO_ARN, **ROLE}]}
    answers("iam").add_response("list_roles", listed, {"PathPrefix": "/aws-reserved/sso.amazonaws.com/"})
    assert find_principal(replace(recorded, caller=f"arn:aws:sts::12:assumed-role/{SSO}/ada")) == SSO_ARN


def test_a_role_with_a_path_is_found_behind_its_session(recorded: Cloud, answers: Answers) -> None:
    role = {"Path": "/teams/", "RoleName": "ci", "Arn": "arn:aws:iam::12:role/teams/ci", **ROLE}
    answers("iam").add_response("get_role", {"Role": role}, {"RoleName": "ci"})
    session = replace(recorded, caller="arn:aws:sts::12:assumed-role/ci/run-7")
    assert find_principal(session) == "arn:aws:iam::12:role/teams/ci"


def test_a_role_that_may_not_look_at_itself_is_simulated_without_a_path(recorded: Cloud, answers: Answers) -> None:
    answers("iam").add_client_error("get_role", "AccessDenied", "no")
    session = replace(recorded, caller="arn:aws:sts::12:assumed-role/ci/run-7")
    assert find_principal(session) == "arn:aws:iam::12:role/ci"


def test_root_may_everything(recorded: Cloud) -> None:
    assert check_permissions(replace(recorded, caller="arn:aws:iam::123456789012:root")) == []


# --- quotas (correction 5) --------------------------------------------------------------------------------------


def concurrency(answers: Answers, limit: int, unreserved: int | None = None) -> None:
    limits = {
        "ConcurrentExecutions": limit,
        "UnreservedConcurrentExecutions": limit if unreserved is None else unreserved,
    }
    answers("lambda").add_response("get_account_settings", {"AccountLimit": limits})


def test_correction_5_ten_concurrent_executions_cannot_be_reserved(recorded: Cloud, answers: Answers) -> None:
    concurrency(answers, 10)
    said = sentence(account.check_lambda(recorded, [predictor("recommend", concurrency=2)]))
    assert said.startswith("Lambda lets this account run 10 functions at once and keeps 10 of them unreserved, but ")
    assert "ask for 2 (recommend 2). Leave them out, or raise the quota L-B99A9384" in said


def test_warm_processes_are_refused_beforehand_where_the_account_has_none(recorded: Cloud, answers: Answers) -> None:
    concurrency(answers, 10)
    (finding,) = account.check_lambda(recorded, [predictor("recommend", provisioned=1)])
    assert (finding.stops, "ask for 1 (recommend 1)" in finding.message) == (True, True)


def test_what_other_functions_have_reserved_is_not_free_and_what_the_stage_has_is(
    recorded: Cloud, answers: Answers
) -> None:
    now = [predictor("recommend", concurrency=50)]
    concurrency(answers, 1000, unreserved=150)
    said = sentence(account.check_lambda(recorded, [predictor("recommend", concurrency=60)]))
    assert "keeps 100 of them unreserved" in said
    assert "Other functions have reserved 850." in said
    concurrency(answers, 1000, unreserved=150)
    assert account.check_lambda(recorded, [predictor("recommend", concurrency=60)], now) == []


def test_correction_5_ten_concurrent_executions_are_said_even_if_none_is_reserved(
    recorded: Cloud, answers: Answers
) -> None:
    concurrency(answers, 10)
    (finding,) = account.check_lambda(recorded, [predictor("recommend")])
    assert (finding.stops, "more people than that will wait" in finding.message) == (False, True)


def test_a_grown_account_has_nothing_to_hear(recorded: Cloud, answers: Answers) -> None:
    concurrency(answers, 1000)
    assert account.check_lambda(recorded, [predictor("recommend", concurrency=20)]) == []


def quota(answers: Answers, service: str, code: str, value: float) -> None:
    wanted = {"ServiceCode": service, "QuotaCode": code}
    answers("service-quotas").add_response("get_service_quota", {"Quota": {"Value": value}}, wanted)


def test_a_fargate_quota_that_is_too_low(recorded: Cloud, answers: Answers) -> None:
    quota(answers, "fargate", account.FARGATE, 2)
    said = sentence(account.check_fargate(recorded, [predictor("plan", "batch", cpu=2)], 0.25))
    assert said.startswith(
        "Fargate gives this account 2 vCPU at once, and the app needs 2.5. Raise the quota L-3032A538"
    )


def test_workers_that_will_wait_are_said(recorded: Cloud, answers: Answers) -> None:
    quota(answers, "fargate", account.FARGATE, 6)
    (finding,) = account.check_fargate(recorded, [predictor("plan", "batch", cpu=2, max_workers=4)], 0.25)
    assert (finding.stops, finding.message[:45]) == (False, "All workers at once would take 8.5 vCPU, and ")


def test_gpu_quotas_start_at_zero(recorded: Cloud, answers: Answers) -> None:
    quota(answers, "ec2", account.GPU_FAMILIES, 0)
    said = sentence(account.check_gpu(recorded, [predictor("paint", "batch", gpu=1)]))
    assert said.startswith("paint asks for a GPU: a machine with one has 4 vCPU at least, and this account may run 0 ")
    assert "L-DB2E81BA" in said


def test_correction_5_five_networks_a_region(recorded: Cloud, answers: Answers) -> None:
    answers("ec2").add_response("describe_vpcs", {"Vpcs": [{"VpcId": f"vpc-{n}"} for n in range(5)]})
    answers("service-quotas").add_client_error("get_service_quota", "AccessDeniedException")
    said = sentence(account.check_vpcs(recorded))
    assert said.startswith("This region has 5 networks (VPCs) of 5, and Matinee's would be one more. Remove one")


# --- a network of one's own -------------------------------------------------------------------------------------

VPC, FIRST, SECOND = "vpc-1", "subnet-1", "subnet-2"
OPEN, PRIVATE = {"GatewayId": "igw-1"}, {"NatGatewayId": "nat-1"}


def network(
    answers: Answers,
    *,
    zones: tuple[str, str] = ("eu-central-1a", "eu-central-1b"),
    ids: tuple[str, str] = ("euc1-az2", "euc1-az3"),
    gateway: bool = True,
    route: dict[str, str] | None = OPEN,
    until: str = "",
) -> None:
    """Have EC2 answer what the network is like; `until` is the last that is asked."""
    subnets = [
        {"SubnetId": name, "VpcId": VPC, "AvailabilityZone": zone, "AvailabilityZoneId": ident}
        for name, zone, ident in zip((FIRST, SECOND), zones, ids, strict=True)
    ]
    routes = [{"DestinationCidrBlock": "0.0.0.0/0", **route}] if route else []
    said = {
        "describe_subnets": {"Subnets": subnets},
        "describe_vpcs": {"Vpcs": [{"VpcId": VPC}]},
        "describe_internet_gateways": {"InternetGateways": [{"InternetGatewayId": "igw-1"}] if gateway else []},
        "describe_route_tables": {"RouteTables": [{"Associations": [{"Main": True}], "Routes": routes}]},
    }
    for operation, answer in said.items():
        answers("ec2").add_response(operation, answer)
        if operation == until:
            return


def own(**more: object) -> Aws:
    return Aws(vpc=VPC, subnets=(FIRST, SECOND), **more)


GATEWAYS = "describe_internet_gateways"
NETWORKS = {
    "zones": ({"zones": ("a", "a"), "until": GATEWAYS}, {}, "The subnets are all in a: a load balancer takes two"),
    "zone without origins": (
        {"ids": ("use1-az3", "use1-az1"), "until": GATEWAYS},
        {},
        "subnet-1 is in a zone in which",
    ),
    "gateway": ({"gateway": False, "until": GATEWAYS}, {}, "has no internet gateway, which edge"),
    "route": ({"route": None}, {}, "subnet-1, subnet-2 has no route to the internet"),
    "private": ({"route": PRIVATE}, {}, "Add public_ip = false under [aws]."),
    "public": ({}, {"public_ip": False}, "and public_ip is false."),
    "alb": ({"route": PRIVATE}, {"public_ip": False, "edge": "alb"}, "must be in public subnets"),
    "subnet": (
        {"until": "describe_vpcs"},
        {"subnets": (FIRST, "subnet-9")},
        "The network vpc-1 has no subnet subnet-9.",
    ),
}


@pytest.mark.parametrize(("is_like", "asks", "said"), NETWORKS.values(), ids=NETWORKS)
def test_a_network_that_would_fail_half_way_is_refused_beforehand(
    recorded: Cloud, answers: Answers, is_like, asks, said: str
) -> None:
    network(answers, **is_like)
    assert said in sentence(account.check_own_network(recorded, replace(own(), **asks)))


@pytest.mark.parametrize(("route", "public_ip"), [(OPEN, True), (PRIVATE, False)])
def test_a_network_of_public_or_of_private_subnets_is_taken(
    recorded: Cloud, answers: Answers, route: dict[str, str], public_ip: bool
) -> None:
    network(answers, route=route)
    assert account.check_own_network(recorded, own(public_ip=public_ip)) == []


def test_a_network_that_there_is_not_is_named(recorded: Cloud, answers: Answers) -> None:
    answers("ec2").add_response("describe_subnets", {"Subnets": []})
    answers("ec2").add_client_error("describe_vpcs", "InvalidVpcID.NotFound")
    assert sentence(account.check_own_network(recorded, own())).startswith("There is no network vpc-1 in ")


# --- service-linked roles ---------------------------------------------------------------------------------------


def test_missing_service_linked_roles_are_made_by_api(recorded: Cloud, answers: Answers) -> None:
    role = {"Path": "/", "RoleName": "AWSServiceRoleForECS", "RoleId": "A" * 16, "Arn": "arn:aws:iam::1:role/x"}
    made = {"Role": {**role, "CreateDate": "2026-11-26T00:00:00Z"}}
    iam = answers("iam")
    iam.add_response("create_service_linked_role", made, {"AWSServiceName": "ecs.amazonaws.com"})
    iam.add_client_error("create_service_linked_role", "InvalidInput", "has been taken in this account")
    iam.add_client_error("create_service_linked_role", "AccessDenied", "no")
    told = []
    preflight.ensure_roles(recorded, preflight.ROLES_ALWAYS, told.append)
    assert told[0].text == "Made the service-linked role of ecs.amazonaws.com, which this account did not have."
    assert told[1].text.startswith("The service-linked role of ecs.application-autoscaling.amazonaws.com could not be ")
    assert "aws iam create-service-linked-role" in told[1].hint


# --- secrets ----------------------------------------------------------------------------------------------------


def test_a_secret_that_only_a_person_can_give_is_asked_for(recorded: Cloud, answers: Answers) -> None:
    names = ["API_KEY", settings.COOKIE_SECRET]
    wanted = {"Names": [recorded.names.parameter(name) for name in names], "WithDecryption": False}
    answers("ssm").add_response("get_parameters", {"Parameters": []}, wanted)
    found = preflight.find_secrets(recorded, names)
    assert preflight.makeable(found.missing) == (settings.COOKIE_SECRET,)
    assert sentence(preflight.check_secrets("prod", found.missing, {"API_KEY": "recommend"})) == (
        "The secret API_KEY of recommend is not set on the stage prod. matinee secret set API_KEY --stage prod"
    )


def test_a_password_that_is_made_is_shown_once_and_never_in_a_repr(recorded: Cloud, answers: Answers) -> None:
    wanted = {"Name": "/matinee/activity/prod/MATINEE_PASSWORD", "Type": "SecureString", "Value": ANY, "Tags": ANY}
    answers("ssm").add_response("put_parameter", {}, wanted)
    made = preflight.make_secrets(recorded, [settings.PASSWORD])
    assert len(made.password) >= 12
    assert made.password not in repr(made)


def test_all_that_stands_in_the_way_is_said_at_once() -> None:
    with pytest.raises(UsageError) as raised:
        refuse([Finding("One.", "Do."), Finding("Two."), Finding("Not this.", stops=False)])
    assert raised.value.message == "2 things stand in the way:\n  - One. Do.\n  - Two."
    refuse([Finding("Not this.", stops=False)])


def test_all_quotas_are_asked_before_a_change_and_what_stops_it_is_raised(recorded: Cloud, answers: Answers) -> None:
    component = ComponentManifest("paint", "1f", predictors=(predictor("paint", "batch", gpu=1),))
    blueprint = Blueprint(recorded.names, "Activity", (component,))
    concurrency(answers, 10)
    quota(answers, "fargate", account.FARGATE, 6)
    quota(answers, "ec2", account.GPU_FAMILIES, 0)
    with pytest.raises(UsageError, match="paint asks for a GPU"):
        preflight.before_a_change(recorded, blueprint, pytest.fail)
    concurrency(answers, 10)
    quota(answers, "fargate", account.FARGATE, 6)
    quota(answers, "ec2", account.GPU_FAMILIES, 8)
    told = []
    preflight.before_a_change(recorded, blueprint, told.append)
    assert ["more people than that will wait" in note.text for note in told] == [True]


def test_what_only_aws_would_refuse_of_a_stack_is_refused_when_the_app_is_read(app, pretend) -> None:
    """Before anything is looked up or made: here a region without Budgets."""
    folder = app(toml='[aws]\nregion = "mx-central-1"\nbudget_usd = 10\nalarms_to = "me@example.com"\n')
    with pytest.raises(UsageError, match="mx-central-1"):
        read_app(folder, "dev", pretend.tools, lambda _: None, with_images=False)
