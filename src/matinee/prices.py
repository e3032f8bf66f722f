"""What AWS charges, dated and sourced, and what one run costs by it. An estimate: free tiers and logs are left out.

On-demand prices of us-east-1 in November 2026; other regions are typically 10 to 30 % dearer. `verified` is False where
no source could be read: such a figure is to be checked before money depends on it. `matinee cost` multiplies them out.
"""

from __future__ import annotations

from dataclasses import dataclass

AS_OF = "November 2026"
REGION = "us-east-1"
HOUR_S = 3600.0
MONTH_H = 730.0  # of an average month, as AWS's own calculator has it


@dataclass(frozen=True)
class Price:
    """US dollars for one `per`. `free`: how many an account has for nothing each month."""

    usd: float
    per: str
    source: str
    verified: bool = True
    free: float = 0.0
    as_of: str = AS_OF


_LAMBDA = "aws.amazon.com/lambda/pricing"
_FARGATE = "aws.amazon.com/fargate/pricing"
_BALANCER = "aws.amazon.com/elasticloadbalancing/pricing"
_VPC = "aws.amazon.com/vpc/pricing"
_DYNAMODB = "aws.amazon.com/dynamodb/pricing"
_S3 = "aws.amazon.com/s3/pricing"
_CLOUDWATCH = "aws.amazon.com/cloudwatch/pricing"
_CLOUDFRONT = "aws.amazon.com/cloudfront/pricing"
_EC2 = "aws.amazon.com/ec2/pricing/on-demand"

LAMBDA_GB_S = Price(0.0000166667, "GB-s", _LAMBDA, free=400_000)
LAMBDA_ARM_GB_S = Price(0.0000133334, "GB-s", _LAMBDA, verified=False, free=400_000)
LAMBDA_REQUEST = Price(0.20 / 1e6, "request", _LAMBDA, free=1e6)
LAMBDA_PROVISIONED_GB_S = Price(0.0000041667, "GB-s", _LAMBDA)
FARGATE_VCPU_H = Price(0.04048, "vCPU-h", _FARGATE)
FARGATE_GB_H = Price(0.004445, "GB-h", _FARGATE)
FARGATE_ARM_VCPU_H = Price(0.03238, "vCPU-h", _FARGATE)
FARGATE_ARM_GB_H = Price(0.00356, "GB-h", _FARGATE)
SPOT_SHARE = Price(0.5, "of the on-demand price", _FARGATE, verified=False)  # 50 to 70 % off, and it varies
BALANCER_H = Price(0.0225, "h", _BALANCER)
BALANCER_LCU_H = Price(0.008, "LCU-h", _BALANCER)
ADDRESS_H = Price(0.005, "h", _VPC)  # of every public IPv4 address
NAT_H = Price(0.045, "h", _VPC)
NAT_GB = Price(0.045, "GB", _VPC)
DYNAMODB_WRITE = Price(0.625 / 1e6, "write request unit", "aws.amazon.com/dynamodb/pricing/on-demand")
DYNAMODB_READ = Price(0.125 / 1e6, "read request unit", "aws.amazon.com/dynamodb/pricing/on-demand")
DYNAMODB_WRITE_H = Price(0.00065, "WCU-h", "aws.amazon.com/dynamodb/pricing/provisioned", verified=False)
DYNAMODB_READ_H = Price(0.00013, "RCU-h", "aws.amazon.com/dynamodb/pricing/provisioned", verified=False)
DYNAMODB_GB = Price(0.25, "GB", _DYNAMODB, free=25)
DYNAMODB_RECOVERY_GB = Price(0.20, "GB", _DYNAMODB, verified=False)  # point-in-time recovery
S3_GB = Price(0.023, "GB", _S3)
S3_PUT = Price(0.005 / 1e3, "PUT", _S3)
S3_GET = Price(0.0004 / 1e3, "GET", _S3, verified=False)
IMAGE_GB = Price(0.10, "GB", "aws.amazon.com/ecr/pricing")
LOG_IN_GB = Price(0.50, "GB written", _CLOUDWATCH, free=5)
LOG_KEPT_GB = Price(0.03, "GB kept", _CLOUDWATCH)
ALARM = Price(0.10, "alarm", _CLOUDWATCH, free=10)
METRIC = Price(0.30, "metric", _CLOUDWATCH, verified=False, free=10)  # made from log lines
DASHBOARD = Price(3.0, "dashboard", _CLOUDWATCH, free=3)
CLOUDFRONT_GB = Price(0.085, "GB", _CLOUDFRONT, verified=False, free=1024)
CLOUDFRONT_REQUEST = Price(1.0 / 1e6, "request", _CLOUDFRONT, verified=False, free=1e7)
DATA_OUT_GB = Price(0.09, "GB", "aws.amazon.com/ec2/pricing/on-demand", verified=False, free=100)
SCHEDULER_CALL = Price(1.0 / 1e6, "invocation", "aws.amazon.com/eventbridge/pricing", verified=False, free=14e6)
SECRET = Price(0.40, "secret", "aws.amazon.com/secrets-manager/pricing")
PARAMETER = Price(0.0, "standard parameter", "aws.amazon.com/systems-manager/pricing", verified=False)
ZONE = Price(0.50, "hosted zone", "aws.amazon.com/route53/pricing")
BUILD_MIN = Price(0.005, "min", "aws.amazon.com/codebuild/pricing", free=100)
GPU_H = Price(0.526, "g4dn.xlarge-h", _EC2, verified=False)
GPU_G5_H = Price(1.006, "g5.xlarge-h", _EC2)

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
