"""The checks together, in the order in which a person would want to hear of them."""

from __future__ import annotations

from collections.abc import Mapping

from matinee.ops.deploy.cloud import Cloud
from matinee.ops.deploy.events import Note, Report
from matinee.ops.deploy.preflight import quotas, roles, secrets
from matinee.ops.deploy.preflight.model import Finding, refuse
from matinee.ops.deploy.preflight.permissions import check_permissions
from matinee.stack import Blueprint


def secrets_or_refuse(cloud: Cloud, wanted_by: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the optional secrets that are there, and those that are missing and can be made.

    Raises UsageError for one that only a person can give.
    """
    if not wanted_by:
        return (), ()
    found = secrets.look(cloud, (*wanted_by, *secrets.optional_names()))
    missing = [name for name in found.missing if name not in secrets.optional_names()]
    refuse(secrets.check_secrets(cloud.names.stage, missing, wanted_by))
    there = tuple(name for name in found.there if name in secrets.optional_names())
    return there, secrets.makeable(missing)


def before_the_first(cloud: Cloud, blueprint: Blueprint, *, makes_network: bool, report: Report) -> None:
    """Check what a first deployment is stopped by: permissions and quotas. Raises UsageError that names all of it."""
    findings = check_permissions(cloud)
    if makes_network and not cloud.endpoint:
        findings += quotas.check_vpcs(cloud)
    _tell([*findings, *_quotas(cloud, blueprint)], report)


def before_a_change(cloud: Cloud, blueprint: Blueprint, report: Report) -> None:
    """Check what a change of the app can be stopped by: the quotas of what it now asks for. Raises UsageError."""
    _tell(_quotas(cloud, blueprint), report)


def _tell(findings: list[Finding], report: Report) -> None:
    refuse(findings)
    for finding in findings:
        report(Note(finding.message, finding.hint))


def _quotas(cloud: Cloud, blueprint: Blueprint) -> list[Finding]:
    if cloud.endpoint:
        return []  # emulators have none
    predictors = blueprint.predictors
    return [
        *quotas.check_lambda(cloud, predictors),
        *quotas.check_fargate(cloud, predictors, blueprint.aws.ui.cpu),
        *quotas.check_gpu(cloud, predictors),
    ]


def make_roles(cloud: Cloud, blueprint: Blueprint, report: Report) -> None:
    """Make the service-linked roles that the app's services want."""
    wanted = [*roles.ALWAYS]
    if blueprint.aws.edge == "cloudfront":
        wanted.append(roles.CLOUDFRONT)
    if blueprint.on_gpu:
        wanted += roles.GPU
    roles.ensure_roles(cloud, tuple(wanted), report)


def warnings_of(blueprint: Blueprint) -> tuple[str, ...]:
    """Return what a person should think of before the app is on the internet."""
    found = []
    if blueprint.auth.sign_in_mode.is_open:
        found.append('Anybody who has the address can use the app: [auth] mode = "password" asks them first.')
    if blueprint.aws.edge == "alb" and not blueprint.aws.certificate:
        found.append("Its address is plain http: what people type can be read on the way.")
    return tuple(found)
