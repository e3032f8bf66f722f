"""The app's stack: what runs. Subject by subject, in the order in which people read it."""

from __future__ import annotations

from typing import Any

from troposphere import Ref, Sub, ecs, iam

from matinee.stack import batch, dispatcher, gpu, parameters, permissions, policies, realtime, ui, watch
from matinee.stack.blueprint import Blueprint
from matinee.stack.sheet import Sheet, tags_of


def template(b: Blueprint) -> dict[str, Any]:
    """Return the app's template."""
    title = f"Matinee: {b.title} ({b.names.stage})"
    sheet = Sheet(title, parameters.app_parameters(b), tags_of(b))
    for role in permissions.roles(b):
        sheet.add(_role(b, role))
    cluster = sheet.add(_cluster(b))
    realtime.add(sheet, b)
    batch.add(sheet, b)
    dispatcher.add(sheet, b)
    gpu.add(sheet, b)
    ui.add(sheet, b)
    watch.add(sheet, b)
    sheet.give("Cluster", Ref(cluster), "The cluster of UI and workers")
    return sheet.done()


def _cluster(b: Blueprint) -> ecs.Cluster:
    return ecs.Cluster(
        "Cluster",
        ClusterName=b.names.base,
        CapacityProviders=["FARGATE", "FARGATE_SPOT"],
        DefaultCapacityProviderStrategy=[ecs.CapacityProviderStrategyItem(CapacityProvider="FARGATE", Weight=1)],
        # Container Insights are dear for a prototype: what is watched is counted elsewhere.
        ClusterSettings=[ecs.ClusterSetting(Name="containerInsights", Value="disabled")],
    )


def _role(b: Blueprint, role: permissions.Role) -> iam.Role:
    made = iam.Role(
        role.id,
        RoleName=role.name,
        AssumeRolePolicyDocument=policies.trust(role),
    )
    if role.statements:
        made.Policies = [iam.Policy(PolicyName="own", PolicyDocument=policies.policy(role.statements))]
    if role.managed:
        made.ManagedPolicyArns = [Sub(f"arn:${{AWS::Partition}}:iam::aws:policy/{name}") for name in role.managed]
    if b.aws.permissions_boundary:
        made.PermissionsBoundary = b.aws.permissions_boundary
    forced = {statement.sid: statement.forced for statement in role.statements if statement.forced}
    if forced:
        made.Metadata = {"EveryResourceBecause": forced}
    return made
