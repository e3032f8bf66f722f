"""What AWS charges, dated and sourced, and what one run costs by it. An estimate: free tiers and logs are left out.

On-demand prices of us-east-1 in November 2026; other regions are typically 10 to 30 % dearer. `verified` is False where
no source could be read: such a figure is to be checked before money depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass

AS_OF = "November 2026"
REGION = "us-east-1"
HOUR_S = 3600.0


@dataclass(frozen=True)
class Price:
    """US dollars for one `per`."""

    usd: float
    per: str
    source: str
    verified: bool = True


_LAMBDA = "aws.amazon.com/lambda/pricing"
_FARGATE = "aws.amazon.com/fargate/pricing"
LAMBDA_GB_S = Price(0.0000166667, "GB-s", _LAMBDA)
LAMBDA_REQUEST = Price(0.20 / 1e6, "request", _LAMBDA)
FARGATE_VCPU_H = Price(0.04048, "vCPU-h", _FARGATE)
FARGATE_GB_H = Price(0.004445, "GB-h", _FARGATE)
DYNAMODB_WRITE = Price(0.625 / 1e6, "write request unit", "aws.amazon.com/dynamodb/pricing/on-demand")
GPU_H = Price(0.526, "g4dn.xlarge-h", "aws.amazon.com/ec2/pricing/on-demand", verified=False)

REALTIME_WRITES = 4  # the run is written once; an item of up to 2 KB, and once more in the index
BATCH_WRITES = 27  # submit, claim and finish are transactions: items count twice, indexes too (`bench/store.py`)
HEARTBEAT_S = 20.0  # one unit for each renewal of the lease


@dataclass(frozen=True)
class Size:
    """What a predictor's process has. `memory_mb` in MiB as AWS counts it; `cpu` in vCPU."""

    memory_mb: int
    cpu: float = 0.25
    gpu: int = 0


def realtime_usd(runs: int, seconds: float, size: Size) -> float:
    """Return what `runs` predictions that took `seconds` in all cost on Lambda (x86), with their record."""
    per_run = LAMBDA_REQUEST.usd + REALTIME_WRITES * DYNAMODB_WRITE.usd
    return runs * per_run + seconds * size.memory_mb / 1024 * LAMBDA_GB_S.usd


def batch_usd(runs: int, seconds: float, size: Size) -> float:
    """Return what `runs` batch runs that took `seconds` in all cost on Fargate (x86), without the start of workers."""
    machine_h = GPU_H.usd * size.gpu or size.cpu * FARGATE_VCPU_H.usd + size.memory_mb / 1024 * FARGATE_GB_H.usd
    writes = runs * BATCH_WRITES + seconds / HEARTBEAT_S
    return seconds / HOUR_S * machine_h + writes * DYNAMODB_WRITE.usd
