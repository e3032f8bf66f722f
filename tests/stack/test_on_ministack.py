"""The stacks are made on an emulated AWS, and go again without a trace."""

from __future__ import annotations

import json
import time

import boto3
import pytest

from matinee.project.aws import DAYS, OfficeHours
from matinee.rehearsal.rehearsal import NOT_ON_MINISTACK, without_types
from matinee.rehearsal.world import REGION
from matinee.stack.blueprint import BUCKET, DEPLOY_PREFIX, PREFIX_LIST, UI_COMPONENT, image_parameter, label_parameter
from matinee.stack.templates import app_template, data_template, edge_template, network_template

EVERYTHING = {
    "office_hours": OfficeHours(DAYS, "08:00", "18:00"),
    "alarms_to": "me@example.com",
    "budget_usd": 40,
    "domain": "app.example.com",
    "certificate": "arn:aws:acm:us-east-1:111122223333:certificate/abc",
    "hosted_zone": "Z0A1B2",
}
ACCOUNT = "222233334444"  # of its own: an account has one network per region, and other tests' apps stand in theirs


@pytest.fixture
def cloud(endpoint, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCOUNT)  # a key of 12 digits is that account's
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return boto3.client("cloudformation", endpoint_url=endpoint, region_name=REGION)


def create(cloud, name, template, bucket="", **values):
    """Make a stack and return its outputs; a template too long for the call goes through the bucket, as deployed."""
    told = [{"ParameterKey": k, "ParameterValue": values[k]} for k in template.get("Parameters", {}) if k in values]
    where = {"TemplateBody": json.dumps(template, separators=(",", ":"))}
    if bucket:
        s3 = boto3.client("s3", endpoint_url=cloud.meta.endpoint_url, region_name=REGION)
        s3.put_object(Bucket=bucket, Key=f"{DEPLOY_PREFIX}{name}.json", Body=where["TemplateBody"])
        where = {"TemplateURL": f"{cloud.meta.endpoint_url}/{bucket}/{DEPLOY_PREFIX}{name}.json"}
    cloud.create_stack(StackName=name, Parameters=told, Capabilities=["CAPABILITY_NAMED_IAM"], **where)
    cloud.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    [stack] = cloud.describe_stacks(StackName=name)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def delete(cloud, name):
    cloud.delete_stack(StackName=name)
    cloud.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def test_network_data_and_app_are_made_one_after_another_and_go_again(cloud, make):
    b = make()
    bucket = b.names.bucket(ACCOUNT, REGION)
    network = create(cloud, "matinee-network", network_template(2), Zones="eu-central-1a,eu-central-1b")
    data = create(cloud, b.names.data_stack, data_template(b), BucketName=bucket)
    assert (data["Table"], data["Bucket"]) == ("matinee-shop-dev", bucket)
    told = {image_parameter(c): f"{data['Repository']}@sha256:{'a' * 64}" for c in (UI_COMPONENT, *names(b))}
    told |= {label_parameter(c): "v1" for c in names(b)}
    told |= {BUCKET: bucket, PREFIX_LIST: "pl-1"}
    app = create(cloud, b.names.base, without_types(app_template(b)), bucket, **network, **told)
    assert app["DefinitionPlan"].endswith(":task-definition/matinee-shop-dev-plan:1")
    for stack in (b.names.base, b.names.data_stack, "matinee-network"):
        delete(cloud, stack)


def test_exactly_the_types_that_are_left_out_there_are_the_ones_it_does_not_take(cloud, make_gpu):
    b = make_gpu(EVERYTHING)
    made = [network_template(2), data_template(b), app_template(b), edge_template(b)]
    kinds = {resource["Type"] for template in made for resource in template["Resources"].values()}
    assert kinds >= NOT_ON_MINISTACK, "what none of our stacks has need not be left out"
    refused = {kind for kind in kinds if is_refused(cloud, kind)}
    assert refused == NOT_ON_MINISTACK


def is_refused(cloud, kind):
    """Whether a stack of one resource of this kind fails because the kind is unknown; without properties all fail."""
    name = "one-" + kind.replace("::", "-").lower()
    template = json.dumps({"Resources": {"One": {"Type": kind, "Properties": {}}}})
    try:
        cloud.create_stack(StackName=name, TemplateBody=template, Capabilities=["CAPABILITY_NAMED_IAM"])
    except cloud.exceptions.ClientError as error:
        return "Unsupported resource type" in str(error) or "unrecognized resource type" in str(error).lower()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        events = cloud.describe_stack_events(StackName=name)["StackEvents"]
        said = " ".join(event.get("ResourceStatusReason", "") for event in events)
        if "Unsupported resource type" in said:
            return True
        if not cloud.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"].endswith("IN_PROGRESS"):
            return False
        time.sleep(0.05)
    raise AssertionError(f"{kind} came to no end")


def names(b):
    return [component.name for component in b.components]
