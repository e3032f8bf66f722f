"""Make what the stacks run live: publish each function's version, point its alias there, write the release.

`matinee eject` copies this file as `release.py`, beside `release.json` with what it knows. It needs boto3 and nothing
of Matinee. It may be run again, after every change of a stack.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

PART_BYTES = 350_000  # of the release's body in one item: DynamoDB takes 400 KB


def make_live(known: dict[str, Any], endpoint: str | None = None) -> int:
    """Make the stacks of `known` (`release.json`) live and return the release's number."""
    clients = {name: boto3.client(name, endpoint_url=endpoint) for name in ("cloudformation", "dynamodb", "lambda")}
    stack = _describe(clients["cloudformation"], known["stack"])
    edge = _describe(clients["cloudformation"], known["edge"]) if known["edge"] else stack
    versions = {name: _publish(clients["lambda"], function) for name, function in known["functions"].items()}
    release = _release(known, stack, edge["outputs"].get("Url", ""), versions)
    return _put(clients["dynamodb"], known, release)


def _describe(client: Any, name: str) -> dict[str, Any]:
    """Return a stack's id, parameters and outputs."""
    (stack,) = client.describe_stacks(StackName=name)["Stacks"]
    parameters = {item["ParameterKey"]: item.get("ParameterValue", "") for item in stack.get("Parameters", [])}
    outputs = {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}
    return {"id": stack["StackId"], "parameters": parameters, "outputs": outputs}


def _publish(client: Any, function: str) -> str:
    """Publish what the function runs and point the alias `live` at it; return the version."""
    client.get_waiter("function_updated_v2").wait(FunctionName=function)
    version = str(client.publish_version(FunctionName=function)["Version"])
    client.get_waiter("function_active_v2").wait(FunctionName=function, Qualifier=version)
    alias = {"FunctionName": function, "Name": "live", "FunctionVersion": version}
    try:
        client.update_alias(**alias)
    except client.exceptions.ResourceNotFoundException:
        client.create_alias(**alias)
    return version


def _release(known: dict[str, Any], stack: dict[str, Any], url: str, versions: dict[str, str]) -> dict[str, Any]:
    """Return the release: what `known` says of the components, with images and definitions as the stack has them."""
    images = {name: stack["parameters"][parameter] for name, parameter in known["images"].items()}
    release: dict[str, Any] = known["release"]
    for component in release["components"]:
        component["image"] = images[component["name"]].partition("@")[2]
        component["label"] = stack["parameters"][known["labels"][component["name"]]]
    _, _, _, region, account, _ = stack["id"].split(":", 5)
    release["details"]["aws"] = {
        "stage": known["stage"],
        "region": region,
        "account": account,
        "bucket": stack["parameters"]["BucketName"],
        "functions": versions,
        "definitions": {name: stack["outputs"][output] for name, output in known["definitions"].items()},
        "images": images,
        "url": url,
        "stack": stack["id"],
    }
    return release


def _put(client: Any, known: dict[str, Any], release: dict[str, Any]) -> int:
    """Write the release's body, then the head that names it: from then on it is live."""
    table = known["table"]

    def put(sort: str, **values: Any) -> None:
        client.put_item(TableName=table, Item={"pk": {"S": "RELEASE"}, "sk": {"S": sort}, **values})

    head = client.get_item(TableName=table, Key={"pk": {"S": "RELEASE"}, "sk": {"S": "HEAD"}}, ConsistentRead=True).get(
        "Item"
    )
    release["number"] = int(head["number"]["N"]) + 1 if head else 1
    release["created_at"] = time.time()
    body = zlib.compress(json.dumps(release).encode(), 9)
    digest = hashlib.sha256(body).hexdigest()[:32]
    parts = [body[start : start + PART_BYTES] for start in range(0, len(body), PART_BYTES)]
    put("FORMAT", format={"N": str(known["format"])})
    for number, part in enumerate(parts):
        put(f"BODY#{digest}#{number}", part={"B": part})
    put(
        "HEAD",
        digest={"S": digest},
        parts={"N": str(len(parts))},
        number={"N": str(release["number"])},
        app={"S": release["app"]},
    )
    return int(release["number"])


if __name__ == "__main__":
    try:
        number = make_live(json.loads(Path(__file__).with_name("release.json").read_text("utf-8")))
    except (ClientError, KeyError) as error:
        sys.exit(f"The release could not be made: {error}")
    sys.stdout.write(f"Release {number} is live.\n")
