"""What everything of one stage is called on AWS: one place, derived from the app's name and the stage's alone."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from matinee.errors import UsageError

NETWORK_STACK = "matinee-network"  # one per account and region, shared by all apps

STAGE = re.compile("[a-z][a-z0-9]{0,15}")  # with a hyphen, `matinee-a-b-c` could be two apps' names
RESERVED_STAGES = ("build", "data", "edge")  # what a stage's own stacks end with
STAGE_RULE = "A stage is at most 16 small letters and digits and starts with a letter, as in dev or prod."


def check_stage(stage: str) -> None:
    """Raise UsageError for what can be no stage."""
    if not STAGE.fullmatch(stage):
        raise UsageError(f"There can be no stage {stage!r}.", hint=STAGE_RULE)
    if stage in RESERVED_STAGES:
        raise UsageError(f"There can be no stage {stage!r}.", hint="It would be mistaken for a part of one.")


@dataclass(frozen=True)
class Names:
    """Names of one stage of an app. Predictors are Python identifiers, so no name with a hyphen meets one of theirs."""

    app: str
    stage: str

    @property
    def base(self) -> str:
        """The common stem: the table, the cluster, the repository and the main stack have it as their name.

        It has no hyphen but the two that divide it. An app `shop-dev` would otherwise be within what stage `dev` of an
        app `shop` is granted, `matinee-shop-dev-*`; no character divides names that all of AWS's services take.
        """
        app = self.app
        if "-" in app:
            app = f"{app.replace('-', '')}{hashlib.sha256(app.encode()).hexdigest()[:4]}"
        return f"matinee-{app}-{self.stage}"

    @property
    def prefix(self) -> str:
        """What the names of functions, task definitions and roles begin with."""
        return f"{self.base}-"

    @property
    def data_stack(self) -> str:
        """The stack of what is kept: repository, table, bucket, log groups."""
        return f"{self.base}-data"

    @property
    def edge_stack(self) -> str:
        """The stack of the public HTTPS address."""
        return f"{self.base}-edge"

    def bucket(self, account: str, region: str) -> str:
        """Return the bucket's name: buckets of all accounts share one name space, so these are part of it, hashed."""
        return f"{self.base}-{hashlib.sha256(f'{account}/{region}'.encode()).hexdigest()[:10]}"

    def resource(self, name: str) -> str:
        """Return the name of a predictor's function or task definition, or of a part of the app's own ("ui")."""
        return self.prefix + name

    def log_group(self, name: str) -> str:
        """Return the log group of a predictor, or of a part of the app's own."""
        return f"/matinee/{self.prefix}{name}"

    def parameter(self, secret: str) -> str:
        """Return the SSM parameter of a secret."""
        return f"/matinee/{self.app}/{self.stage}/{secret}"


def partition_of(region: str) -> str:
    """Return the partition of a region, as ARNs have it: "aws", "aws-cn", "aws-us-gov", …"""
    return next((name for prefix, name in _PARTITIONS.items() if region.startswith(prefix)), "aws")


_PARTITIONS = {
    "cn-": "aws-cn", "us-gov-": "aws-us-gov", "us-iso-": "aws-iso", "us-isob-": "aws-iso-b", "us-isof-": "aws-iso-f",
    "eu-isoe-": "aws-iso-e", "eusc-": "aws-eusc",
}  # fmt: skip

# --- keys and indexes of the table ------------------------------------------------------------------------------------
# The keys and indexes of the one DynamoDB table, which the stack makes. `backends/aws/store_keys` says what for.

EXPIRES = "expires_at"  # the attribute DynamoDB deletes by (TTL), epoch seconds
INDEXES = {
    "by_user": ("list_user", ("run_status", "predictor")),
    "by_predictor": ("list_predictor", ("run_status", "predictor")),
    "unfinished": ("open_user", ("predictor",)),
}


def queue_partitions(predictor: str) -> tuple[str, ...]:
    """Return the partitions of a predictor's queue, pool and turns, as patterns of IAM's.

    A predictor is a Python identifier, so `#` ends its name: `Q#plan#*` is no other predictor's.
    """
    names = tuple(f"{kind}#{predictor}{rest}" for kind in ("Q", "POOL") for rest in ("", "#*"))
    return (*names, f"TURN#{predictor}#*")


def table_definition(name: str) -> dict[str, Any]:
    """Return the arguments of CreateTable; TTL is set apart, on EXPIRES."""
    attributes = ["pk", "sk", "id", *(partition for partition, _ in INDEXES.values())]
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": a, "AttributeType": "S"} for a in attributes],
        "KeySchema": _schema("pk", "sk"),
        "GlobalSecondaryIndexes": [
            {
                "IndexName": index,
                "KeySchema": _schema(partition, "id"),
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(held)},
            }
            for index, (partition, held) in INDEXES.items()
        ],
    }


def _schema(partition: str, sort: str) -> list[dict[str, str]]:
    return [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]


# --- launcher settings ------------------------------------------------------------------------------------------------

CONTAINER = "worker"  # the name of the one container of every worker's definition
