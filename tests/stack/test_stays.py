"""What stays as it is when an app changes, and what everything has."""

from __future__ import annotations

import json
from dataclasses import replace

from matinee.names import EXPIRES, Names, table_definition
from matinee.project.aws import Aws
from matinee.stack.blueprint import Blueprint
from matinee.stack.templates import app_template, data_template, edge_template, to_text

from .variants import blueprint, choices

KEPT = ("Repository", "Table", "Bucket", "UiLogs", "DispatcherLogs")
UNTAGGED = {  # kinds that take no tags, or have none of their own
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::Budgets::Budget",
    "AWS::CloudFront::OriginAccessControl",
    "AWS::EC2::Route",
    "AWS::EC2::SubnetRouteTableAssociation",
    "AWS::EC2::VPCGatewayAttachment",
    "AWS::IAM::InstanceProfile",
    "AWS::Lambda::Alias",
    "AWS::Lambda::Permission",
    "AWS::Logs::MetricFilter",
    "AWS::Route53::RecordSet",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::TopicPolicy",
    "AWS::Scheduler::Schedule",
}


def renamed(b, old, new):
    """The app with one predictor called otherwise."""
    components = [
        replace(c, predictors=tuple(replace(p, name=new) if p.name == old else p for p in c.predictors))
        for c in b.components
    ]
    return replace(b, components=tuple(components))


def test_a_predictor_that_is_renamed_or_removed_never_touches_table_bucket_or_repository(make):
    b = make()
    before = data_template(b)["Resources"]
    without_it = replace(b, components=tuple(c for c in b.components if c.name != "plan"))
    for changed in (renamed(b, "plan", "planning"), without_it, make({"spot": False, "edge": "alb"})):
        after = data_template(changed)["Resources"]
        assert {title: after[title] for title in KEPT} == {title: before[title] for title in KEPT}


def test_what_is_beside_a_renamed_predictor_keeps_its_id_and_its_name(make):
    b = make()
    before, after = (
        app_template(b)["Resources"],
        app_template(renamed(b, "weekly_report", "monthly_report"))["Resources"],
    )
    gone, new = before.keys() - after.keys(), after.keys() - before.keys()
    assert {title.replace("Weekly", "Monthly") for title in gone} == new
    for title in before.keys() & after.keys():
        was, now = before[title]["Properties"], after[title]["Properties"]
        assert {key for key in was if was[key] != now.get(key)} <= {"Policies"}, title


def test_the_order_of_components_changes_no_resource(make):
    b = make()
    turned = replace(b, components=tuple(reversed(b.components)))
    left, right = app_template(b)["Resources"], app_template(turned)["Resources"]
    assert left.keys() == right.keys()
    same = {title for title in left if left[title] == right[title]}
    assert left.keys() - same <= {"UiRole", "DispatcherRole", "Dashboard"}, "lists of all predictors alone"


def test_no_way_to_set_the_switches_gives_table_or_bucket_another_id_or_name():
    for choice in choices():
        resources = data_template(blueprint(choice))["Resources"]
        assert resources["Table"]["Properties"]["TableName"] == "matinee-shop-dev"
        assert resources["Bucket"]["Properties"]["BucketName"] == {"Ref": "BucketName"}
        for title in ("Table", "Bucket"):
            policies = resources[title]["DeletionPolicy"], resources[title]["UpdateReplacePolicy"]
            assert policies == ("RetainExceptOnCreate", "Retain")


def test_the_same_app_is_the_same_text():
    for choice in choices(6):
        b = blueprint(choice)
        for template in (data_template, app_template, edge_template):
            made = template(b)
            assert made is None or to_text(made) == to_text(template(b))


def test_two_stages_share_no_name(make):
    one, other = make(), replace(make(), names=Names("shop", "prod"))
    assert "matinee-shop-dev" not in json.dumps([data_template(other), app_template(other), edge_template(other)])
    assert app_template(one) != app_template(other)


def test_everything_that_takes_tags_has_the_app_s_and_the_user_s():
    for choice in choices():
        b = blueprint({**choice, "tags": {"tags": {"team": "research"}}})
        wanted = {"matinee:app": "shop", "matinee:stage": "dev", "matinee:name": "matinee-shop-dev", "team": "research"}
        for template in filter(None, (data_template(b), app_template(b), edge_template(b))):
            for title, resource in template["Resources"].items():
                tags = resource["Properties"].get("Tags")
                if tags is None:
                    assert resource["Type"] in UNTAGGED, title
                    continue
                assert (tags if isinstance(tags, dict) else {t["Key"]: t["Value"] for t in tags}) == wanted, title


def test_the_table_is_the_one_the_store_uses():
    b = Blueprint(Names("shop", "dev"), "Shop", ())
    table = data_template(b)["Resources"]["Table"]["Properties"]
    said = table_definition("matinee-shop-dev")
    assert {key: table[key] for key in said} == said
    assert table["TimeToLiveSpecification"] == {"AttributeName": EXPIRES, "Enabled": True}


def test_capacity_that_is_paid_ahead_is_the_table_s_and_each_index_s(make):
    from matinee.project.aws import Capacity

    table = data_template(make({"table": Capacity(5, 10)}))["Resources"]["Table"]["Properties"]
    units = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 10}
    assert table["BillingMode"] == "PROVISIONED"
    assert [table["ProvisionedThroughput"], *(i["ProvisionedThroughput"] for i in table["GlobalSecondaryIndexes"])] == [
        units
    ] * 4


def test_an_app_without_predictors_has_its_ui_all_the_same():
    b = Blueprint(Names("shop", "dev"), "Shop", (), Aws(dashboard=False))
    assert "UiService" in app_template(b)["Resources"]
