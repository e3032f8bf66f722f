"""The layout this framework began with in 2020, as a template: what it costs, beside what its document claimed."""

from __future__ import annotations

from typing import Any

Json = Any
CLAIMED_USD = (8.88, 1.17)  # a month; load balancer and public addresses were left out

_TASK = {"Cpu": "256", "Memory": "512", "ContainerDefinitions": [{"Name": "ui", "Image": "ui"}]}
_PUBLIC = {"AwsvpcConfiguration": {"AssignPublicIp": "ENABLED"}}
TEMPLATE: dict[str, Json] = {
    "Resources": {
        "LoadBalancer": {
            "Type": "AWS::ElasticLoadBalancingV2::LoadBalancer",
            "Properties": {"Type": "application", "Scheme": "internet-facing"},
        },
        "Ui": {"Type": "AWS::ECS::TaskDefinition", "Properties": _TASK},
        "UiService": {
            "Type": "AWS::ECS::Service",
            "Properties": {"TaskDefinition": {"Ref": "Ui"}, "DesiredCount": 1, "NetworkConfiguration": _PUBLIC},
        },
        "Worker": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"Cpu": "256", "Memory": "512"}},
        "Realtime": {"Type": "AWS::Lambda::Function", "Properties": {"MemorySize": 512}},
        "Table": {"Type": "AWS::DynamoDB::Table", "Properties": {"BillingMode": "PAY_PER_REQUEST"}},
        "Bucket": {"Type": "AWS::S3::Bucket"},
    }
}
