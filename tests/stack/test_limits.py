"""What only AWS refuses is refused here: nothing is found in our own templates, and every planted fault is."""

from __future__ import annotations

import copy
import json
import runpy
from dataclasses import replace
from pathlib import Path

import botocore.session
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from matinee.errors import ProjectError
from matinee.manifest import ComponentManifest
from matinee.names import partition_of
from matinee.stack.limits import DOCUMENTED, problems_of, rules_of
from matinee.stack.templates import app_template, data_template, edge_template, network_template

from .conftest import predictor
from .variants import anything, blueprint, choices

SCRIPT = Path(__file__).parents[2] / "scripts" / "limits.py"
TABLE = json.loads((Path(__file__).parents[2] / "src" / "matinee" / "stack" / "limits.json").read_text("utf-8"))
PARAMETERS = {"BucketName": "matinee-shop-dev-0123456789", "VpcCidr": "10.87.0.0/16"}


def templates(b):
    found = (network_template(), data_template(b), app_template(b), edge_template(b))
    return [template for template in found if template]


def problems(b, region="eu-central-1"):
    return [problem.message for template in templates(b) for problem in problems_of(template, region, PARAMETERS)]


# --- our own templates ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(24))
def test_aws_refuses_nothing_of_any_variant(number):
    assert problems(blueprint(choices()[number])) == []


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=200)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(anything, WORDS, WORDS)
def test_aws_refuses_nothing_of_any_title_and_docstring(b, title, doc):
    components = tuple(replace(c, predictors=tuple(replace(p, doc=doc) for p in c.predictors)) for c in b.components)
    assert problems(replace(b, title=title, components=components)) == []


def test_every_type_that_is_made_has_its_rules_in_the_table():
    made = {r["Type"] for choice in choices() for t in templates(blueprint(choice)) for r in t["Resources"].values()}
    assert made <= TABLE["types"].keys()
    assert all(kind in TABLE["types"] for kind in DOCUMENTED if kind != "*")


def test_the_table_is_what_its_sources_say():
    assert runpy.run_path(str(SCRIPT))["table"]() == (SCRIPT.parents[1] / "src/matinee/stack/limits.json").read_text()


def test_a_rule_that_only_the_documentation_has_names_its_page():
    for kind in DOCUMENTED:
        for rule in DOCUMENTED[kind]:
            assert rule.page.startswith("https://docs.aws.amazon.com/"), (kind, rule.path)


# --- planted faults ---------------------------------------------------------------------------------------------------

# Where a fault is planted: the template's number (network, data, app, edge), the resource, the path; then the fault.
FAULTS = {
    "an apostrophe in a rule's description": (
        (2, "LoadBalancerSecurityGroup", "SecurityGroupEgress/0/Description"),
        "To the UI's tasks",
    ),
    "an umlaut in a group's description": ((2, "WorkersSecurityGroup", "GroupDescription"), "Für alle"),
    "a description that is too long": ((2, "UiSecurityGroup", "SecurityGroupIngress/0/Description"), "x" * 256),
    "an ampersand in a role's tag": ((2, "UiRole", "Tags/0/Value"), "R&D"),
    "a bracket in a function's tag": ((2, "FunctionRecommend", "Tags/0/Value"), "research (Berlin)"),
    "a tag of AWS's": ((1, "Table", "Tags/0/Key"), "aws:team"),
    "a role's name that is too long": ((2, "UiRole", "RoleName"), "r" * 65),
    "a role's name with a slash": ((2, "UiRole", "RoleName"), "matinee/ui"),
    "a function's name with a dot": ((2, "FunctionRecommend", "FunctionName"), "matinee.recommend"),
    "a function's description that is too long": ((2, "FunctionRecommend", "Description"), "x" * 257),
    "a variable that Lambda sets": ((2, "FunctionRecommend", "Environment/Variables/AWS_REGION"), "eu-central-1"),
    "a variable with a hyphen": ((2, "FunctionRecommend", "Environment/Variables/A-B"), "x"),
    "more variables than a function holds": ((2, "FunctionRecommend", "Environment/Variables/LONG"), "x" * 4096),
    "a repository with capitals": ((1, "Repository", "RepositoryName"), "Matinee-shop"),
    "a bucket with capitals": ((1, "Bucket", "BucketName"), "Matinee-shop"),
    "a bucket with an ending of S3's": ((1, "Bucket", "BucketName"), "matinee-shop-s3alias"),
    "a bucket's name that is too long": ((1, "Bucket", "BucketName"), "b" * 64),
    "a table's name with a space": ((1, "Table", "TableName"), "matinee shop"),
    "a log group with a space": ((1, "UiLogs", "LogGroupName"), "/matinee/shop ui"),
    "a schedule's name with a slash": ((2, "BackstopSchedule", "Name"), "back/stop"),
    "an alarm's description that is too long": ((2, "QueueAlarm", "AlarmDescription"), "x" * 1025),
    "a topic's name with a dot": ((2, "AlarmTopic", "TopicName"), "matinee.alarms"),
    "a dashboard's name with a slash": ((2, "Dashboard", "DashboardName"), "matinee/shop"),
    "a budget's name with a colon": ((2, "Budget", "Budget/BudgetName"), "matinee:shop"),
    "a rule's name with a space": ((2, "TaskStoppedRule", "Name"), "task stopped"),
    "a family with a dot": ((2, "DefinitionPlan", "Family"), "matinee.plan"),
    "a definition that is too large": ((2, "DefinitionPlan", "ContainerDefinitions/0/Command/0"), "x" * 65_536),
    "an access control's name that is too long": ((3, "PagesAccess", "OriginAccessControlConfig/Name"), "x" * 65),
    "a comment that is too long": ((3, "Distribution", "DistributionConfig/Comment"), "x" * 129),
}


@pytest.fixture(scope="module")
def whole():
    """Return the templates of an app that has everything."""
    choice = choices()[0] | {"watch": {"alarms_to": "me@example.com", "budget_usd": 40}}
    b = blueprint(choice | {"edge": {}, "hours": {"office_hours": blueprint(choices()[1]).aws.office_hours}})
    found = templates(b)
    assert [problems_of(template) for template in found] == [[], [], [], []]
    return found


def plant(template, title, path, value):
    node = template["Resources"][title]["Properties"]
    *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    for part in parents:
        node = node[part] if isinstance(node, list) else node.setdefault(part, [None] if part == "Command" else {})
    node[last] = value


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_with_its_place(whole, fault):
    (number, title, path), value = FAULTS[fault]
    template = copy.deepcopy(whole[number])
    plant(template, title, path, value)
    [problem, *others] = problems_of(template)
    assert problem.message.startswith(title), problem.message
    assert not [other for other in others if not other.message.startswith(title)]


def test_a_fault_in_what_a_parameter_brings_is_found(make):
    [problem] = problems_of(data_template(make()), parameters={"BucketName": "Shop_Files"})
    assert problem.message.startswith("Bucket, BucketName: AWS would refuse 'Shop_Files'")


def test_a_tag_that_is_on_everything_is_one_problem(make):
    b = make({"tags": {"team": "R&D"}})
    [problem] = {p.message for p in problems_of(app_template(b)) if "R&D" in p.message}
    assert "letters, digits, spaces" in problem


def test_a_policy_that_is_too_long_for_its_role_is_found_with_the_way_out(make):
    many = [predictor(f"predictor_number_{n}", "batch", "plan") for n in range(60)]
    b = make(components=(ComponentManifest("plan", "b" * 16, "v1", tuple(many)),))
    [problem] = problems_of(app_template(b))
    assert problem.message.startswith("DispatcherRole: its inline policies would have 1")
    assert problem.hint.startswith("Split the app in two")


def test_fifty_predictors_fit_a_stack_and_one_with_too_many_is_an_error_with_a_hint(make):
    def template(count):
        predictors = tuple(predictor(f"predictor_{n}", "realtime", "plan") for n in range(count))
        return app_template(make({"alarms_to": "me@example.com"}, components=(component(predictors),)))

    def component(predictors):
        return ComponentManifest("plan", "b" * 16, "v1", predictors)

    assert problems_of(template(50)) == []
    with pytest.raises(ProjectError, match="more than 500 resources") as raised:
        template(60)
    assert raised.value.hint.startswith("About 50 predictors fill a stack: split the app in two.")


# --- regions ----------------------------------------------------------------------------------------------------------


def test_what_a_region_lacks_is_refused_with_what_to_do_instead(make_gpu):
    b = make_gpu({"alarms_to": "me@example.com", "budget_usd": 40, "gpu_instances": ("p5.48xlarge",)})
    hints = {p.message: p.hint for t in (app_template(b), edge_template(b)) for p in problems_of(t, "eu-north-1")}
    assert "budget_usd" in hints["The region eu-north-1 has no AWS::Budgets::Budget."]
    hints = {p.message: p.hint for p in problems_of(edge_template(b), "us-gov-west-1")}
    assert 'edge = "alb"' in hints["The region us-gov-west-1 has no AWS::CloudFront::VpcOrigin."]
    [problem] = [p for p in problems_of(app_template(b), "eu-west-3") if "machines" in p.message]
    assert "gpu_instances = [" in problem.hint


@pytest.mark.parametrize("region", TABLE["regions"])
def test_an_app_with_a_load_balancer_alone_can_be_made_in_every_region(make, region):
    b = make({"edge": "alb", "alarms_to": "me@example.com"})
    assert [p.message for t in templates(b) for p in problems_of(t, region)] == []


def test_the_partition_of_every_region_is_the_one_botocore_knows():
    session = botocore.session.get_session()
    assert {region: partition_of(region) for region in TABLE["regions"]} == {
        region: session.get_partition_for_region(region) for region in TABLE["regions"]
    }


def test_no_template_names_a_partition_by_hand(make_gpu):
    for aws in ({}, {"edge": "alb"}, {"office_hours": blueprint(choices()[1]).aws.office_hours}):
        assert "arn:aws" not in json.dumps(templates(make_gpu({**aws, "alarms_to": "me@example.com"})))


def test_rules_come_from_all_three_sources():
    by_path = {}
    for rule in rules_of("AWS::Lambda::Function"):
        by_path.setdefault(rule.path, []).append(rule)
    assert max(rule.longest for rule in by_path["Description"]) == 256
    assert [rule.words for rule in by_path["Tags/*/Value"] if rule.words]
    assert by_path["Environment/Variables/{key}"]
