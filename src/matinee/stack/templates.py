"""The CloudFormation stacks of an app, from its manifests and `matinee.toml`: pure, deterministic, in milliseconds.

    network_template()       one per account and region, shared by all apps: VPC, public subnets, no NAT
    data_template(b)         what is kept: repository, table, bucket, log groups
    app_template(b)          what runs: functions, task definitions, cluster, UI behind its load balancer, dispatcher
    edge_template(b)         the public HTTPS address: CloudFront; None where the load balancer is public itself

Each returns the template as JSON values. troposphere is imported here alone, and only when a template is made.
What each is given at deployment (`Parameters`) and gives back (`Outputs`) is in `stack.parameters`.
"""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import Any

from matinee.stack.blueprint import Blueprint

Json = Any
Template = dict[str, Json]

__all__ = ["Blueprint", "Template", "app_template", "data_template", "edge_template", "network_template", "to_text"]


def network_template(zones: int = 3) -> Template:
    """Return the stack of the network that all apps of an account and region share, over so many zones."""
    _load_troposphere()
    from matinee.stack import app

    return app.network_template(zones)


def data_template(blueprint: Blueprint) -> Template:
    """Return the stack of what is kept when the app is destroyed."""
    _load_troposphere()
    from matinee.stack import data

    return data.template(blueprint)


def app_template(blueprint: Blueprint) -> Template:
    """Return the stack of what runs."""
    _load_troposphere()
    from matinee.stack import app

    return app.app_template(blueprint)


def edge_template(blueprint: Blueprint) -> Template | None:
    """Return the stack of the public address; None with `edge = "alb"`."""
    if blueprint.aws.edge != "cloudfront":
        return None
    _load_troposphere()
    from matinee.stack import edge

    return edge.template(blueprint)


def to_text(template: Template) -> str:
    """Return the template as people read it; the same template is the same text."""
    return json.dumps(template, indent=1, ensure_ascii=False) + "\n"


def _load_troposphere() -> None:
    """Import troposphere without its YAML writer, which takes as long as all the rest and is never asked here."""
    if "troposphere" in sys.modules or "cfn_flip" in sys.modules:
        return
    sys.modules["cfn_flip"] = ModuleType("cfn_flip")
    try:
        import troposphere  # noqa: F401 (for what imports it next)
    finally:
        del sys.modules["cfn_flip"]
