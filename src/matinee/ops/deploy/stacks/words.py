"""What resources are called among people: their kind from CloudFormation's type, their name from ours."""

from __future__ import annotations

import re

_KINDS = {
    "AWS::Lambda::Function": "function",
    "AWS::ECS::Service": "service",
    "AWS::ECS::TaskDefinition": "task definition",
    "AWS::ECS::Cluster": "cluster",
    "AWS::DynamoDB::Table": "table",
    "AWS::S3::Bucket": "bucket",
    "AWS::ECR::Repository": "image repository",
    "AWS::Logs::LogGroup": "log group",
    "AWS::IAM::Role": "role",
    "AWS::EC2::VPC": "network",
    "AWS::ElasticLoadBalancingV2::LoadBalancer": "load balancer",
    "AWS::ElasticLoadBalancingV2::TargetGroup": "target group",
    "AWS::CloudFront::Distribution": "CloudFront distribution",
    "AWS::CloudFront::VpcOrigin": "CloudFront VPC origin",
    "AWS::CloudWatch::Alarm": "alarm",
    "AWS::Scheduler::Schedule": "schedule",
    "AWS::CloudFormation::Stack": "stack",
}


def kind_of(type_: str) -> str:
    """Return what people call a resource of this type: "AWS::Events::Rule" is an "events rule"."""
    known = _KINDS.get(type_)
    if known:
        return known
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", " ".join(type_.split("::")[1:]))
    return words.lower()


def called(type_: str, logical: str) -> str:
    """Return kind and name: "function RecommendFunction"."""
    return f"{kind_of(type_)} {logical}"
