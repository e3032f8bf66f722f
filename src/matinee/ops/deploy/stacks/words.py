"""What resources are called among people: their kind from CloudFormation's type, their name from ours."""

from __future__ import annotations

import re

_KINDS = {
    "AWS::ApplicationAutoScaling::ScalableTarget": "scaling",
    "AWS::ApplicationAutoScaling::ScalingPolicy": "scaling rule",
    "AWS::CloudFormation::Stack": "stack",
    "AWS::CloudFront::Distribution": "CloudFront distribution",
    "AWS::CloudFront::VpcOrigin": "CloudFront VPC origin",
    "AWS::CloudWatch::Alarm": "alarm",
    "AWS::CloudWatch::Dashboard": "dashboard",
    "AWS::DynamoDB::Table": "table",
    "AWS::EC2::InternetGateway": "internet gateway",
    "AWS::EC2::Route": "route",
    "AWS::EC2::RouteTable": "route table",
    "AWS::EC2::SecurityGroup": "security group",
    "AWS::EC2::Subnet": "subnet",
    "AWS::EC2::SubnetRouteTableAssociation": "route",
    "AWS::EC2::VPC": "network",
    "AWS::EC2::VPCEndpoint": "network endpoint",
    "AWS::EC2::VPCGatewayAttachment": "gateway attachment",
    "AWS::ECR::Repository": "image repository",
    "AWS::ECS::Cluster": "cluster",
    "AWS::ECS::Service": "service",
    "AWS::ECS::TaskDefinition": "task definition",
    "AWS::ElasticLoadBalancingV2::Listener": "listener",
    "AWS::ElasticLoadBalancingV2::LoadBalancer": "load balancer",
    "AWS::ElasticLoadBalancingV2::TargetGroup": "target group",
    "AWS::Events::Rule": "event rule",
    "AWS::IAM::Role": "role",
    "AWS::Lambda::Alias": "alias",
    "AWS::Lambda::Function": "function",
    "AWS::Lambda::Permission": "permission",
    "AWS::Logs::LogGroup": "log group",
    "AWS::Logs::MetricFilter": "log metric",
    "AWS::S3::Bucket": "bucket",
    "AWS::S3::BucketPolicy": "bucket policy",
    "AWS::Scheduler::Schedule": "schedule",
    "AWS::Scheduler::ScheduleGroup": "schedule group",
}


def kind_of(type_: str) -> str:
    """Return what people call a resource of this type: "AWS::SNS::Topic" is an "sns topic"."""
    known = _KINDS.get(type_)
    if known:
        return known
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", " ".join(type_.split("::")[1:]))
    return words.lower()


def called(type_: str, logical: str) -> str:
    """Return kind and name: "function RecommendFunction"."""
    return f"{kind_of(type_)} {logical}"
