"""The keys and indexes of the one DynamoDB table, which the stack makes. `backends/aws/store_keys` says what for."""

from __future__ import annotations

from typing import Any

EXPIRES = "expires_at"  # the attribute DynamoDB deletes by (TTL), epoch seconds
INDEXES = {
    "by_user": ("list_user", ("run_status", "predictor")),
    "by_predictor": ("list_predictor", ("run_status", "predictor")),
    "unfinished": ("open_user", ("predictor",)),
}


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
