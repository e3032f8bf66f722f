"""Quotas that fresh accounts are caught by: Lambda's concurrency, Fargate's and the GPUs' vCPUs, networks.

Quota codes: https://docs.aws.amazon.com/general/latest/gr/aws-service-information.html
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from matinee.manifest import PredictorManifest
from matinee.ops.deploy.cloud import Cloud
from matinee.ops.deploy.preflight.model import Finding

LAMBDA = "L-B99A9384"  # Concurrent executions
FARGATE = "L-3032A538"  # Fargate On-Demand vCPU resource count
GPU = "L-DB2E81BA"  # Running On-Demand G and VT instances, in vCPUs
VPCS = "L-F678F1CE"  # VPCs per Region
UNRESERVED = 10  # concurrent executions that Lambda keeps for functions without a reservation
VCPUS_OF_A_GPU = 4  # the smallest machine with one has as many
_DEFAULT_VPCS = 5
_UNKNOWN = frozenset(
    {"AccessDenied", "AccessDeniedException", "NoSuchResourceException", "UnrecognizedClientException", "404"}
)


def check_lambda(cloud: Cloud, predictors: Iterable[PredictorManifest]) -> list[Finding]:
    """Return what Lambda's concurrency does not allow: new accounts have 10, and 10 cannot be reserved."""
    reserved = {p.name: p.resources.concurrency for p in predictors if p.kind == "realtime" and p.resources.concurrency}
    answer = cloud.call("lambda", "get_account_settings", absent=_UNKNOWN)
    if answer is None:
        return []
    limit = int(answer["AccountLimit"]["ConcurrentExecutions"])
    wanted = sum(reserved.values())
    if wanted and wanted > limit - UNRESERVED:
        names = ", ".join(f"{name} {count}" for name, count in reserved.items())
        return [
            Finding(
                f"Lambda lets this account run {limit} functions at once and keeps {UNRESERVED} of them unreserved, "
                f"but `concurrency` asks for {wanted} ({names}).",
                f"Leave `concurrency` out, or raise the quota {LAMBDA} (Concurrent executions) under Service Quotas.",
            )
        ]
    if limit <= UNRESERVED:
        text = f"Lambda lets this account run {limit} functions at once: more people than that will wait."
        return [Finding(text, f"Raise the quota {LAMBDA} (Concurrent executions) under Service Quotas.", stops=False)]
    return []


def check_fargate(cloud: Cloud, predictors: Iterable[PredictorManifest], ui_cpu: float) -> list[Finding]:
    """Return what Fargate's quota does not allow: the UI twice while it is replaced, and the largest worker."""
    batch = [p.resources for p in predictors if p.kind == "batch" and not p.resources.gpu]
    wanted = 2 * ui_cpu + max((r.cpu for r in batch), default=0.0)
    limit = _quota(cloud, "fargate", FARGATE)
    if limit is None:
        return []
    if wanted > limit:
        return [
            Finding(
                f"Fargate gives this account {limit:g} vCPU at once, and the app needs {wanted:g}.",
                f"Raise the quota {FARGATE} (Fargate On-Demand vCPU resource count) under Service Quotas.",
            )
        ]
    most = 2 * ui_cpu + sum(r.cpu * r.max_workers for r in batch)
    if most > limit:
        text = (
            f"All workers at once would take {most:g} vCPU, and Fargate gives this account {limit:g}: some will wait."
        )
        return [Finding(text, f"Raise the quota {FARGATE} under Service Quotas.", stops=False)]
    return []


def check_gpu(cloud: Cloud, predictors: Iterable[PredictorManifest]) -> list[Finding]:
    """Return what the quota of machines with a GPU does not allow: it usually starts at 0."""
    wanted = {p.name: p.resources.gpu for p in predictors if p.resources.gpu}
    if not wanted:
        return []
    limit = _quota(cloud, "ec2", GPU)
    needed = VCPUS_OF_A_GPU * max(wanted.values())
    if limit is None or limit >= needed:
        return []
    return [
        Finding(
            f"{', '.join(wanted)} asks for a GPU: a machine with one has {needed} vCPU at least, and this account "
            f"may run {math.floor(limit)} of that kind.",
            f"Raise the quota {GPU} (Running On-Demand G and VT instances) under Service Quotas: it takes days.",
        )
    ]


def check_vpcs(cloud: Cloud) -> list[Finding]:
    """Return whether there is room for one network more: five a region at first."""
    answer = cloud.call("ec2", "describe_vpcs", absent=("UnauthorizedOperation",))
    limit = _quota(cloud, "vpc", VPCS) or _DEFAULT_VPCS
    if answer is None or len(answer["Vpcs"]) < limit:
        return []
    return [
        Finding(
            f"This region has {len(answer['Vpcs'])} networks (VPCs) of {limit:g}, and Matinee's would be one more.",
            f"Remove one, name `vpc` and `subnets` of your own under [aws], or raise the quota {VPCS}.",
        )
    ]


def _quota(cloud: Cloud, service: str, code: str) -> float | None:
    """Return a quota's value, None when it cannot be read."""
    answer = cloud.call("service-quotas", "get_service_quota", absent=_UNKNOWN, ServiceCode=service, QuotaCode=code)
    return None if answer is None else float(answer["Quota"]["Value"])
