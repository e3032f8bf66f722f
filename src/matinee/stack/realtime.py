"""Realtime predictors: a Lambda function each, from its component's image."""

from __future__ import annotations

import math
from typing import Any

from troposphere import GetAtt, Ref, awslambda

from matinee.manifest import PredictorManifest
from matinee.settings import LIVE
from matinee.stack import parameters as p
from matinee.stack import permissions
from matinee.stack.blueprint import Blueprint
from matinee.stack.ids import logical
from matinee.stack.sheet import Sheet
from matinee.stack.workloads import for_a_function, predictor_environment


def add(sheet: Sheet, b: Blueprint) -> None:
    """Add the function of every realtime predictor, with its alias."""
    for predictor in b.realtime:
        _add(sheet, b, predictor)


def _add(sheet: Sheet, b: Blueprint, predictor: PredictorManifest) -> None:
    resources = predictor.resources
    reserved = {"ReservedConcurrentExecutions": resources.concurrency} if resources.concurrency else {}
    function = sheet.add(
        awslambda.Function(
            f"Function{logical(predictor.name)}",
            **image_of(b, predictor.component, "" if predictor.plain == "image" else "realtime"),
            FunctionName=b.names.resource(predictor.name),
            Description=predictor.doc.strip().partition("\n")[0][:256],
            Role=GetAtt(permissions.role_id(predictor.name), "Arn"),
            MemorySize=resources.memory_mb,
            Timeout=max(1, math.ceil(resources.timeout_s)),
            Environment=awslambda.Environment(
                Variables={**predictor_environment(b, predictor), **for_a_function(b, resources.secrets)}
            ),
            LoggingConfig=logging_to(b, predictor.name),
            **reserved,
        )
    )
    sheet.add(live_alias(f"Alias{logical(predictor.name)}", function))


def image_of(b: Blueprint, component: str, command: str) -> dict[str, Any]:
    """Return the properties that say which image a function runs, and what of it ("" = as the image says)."""
    return {
        "PackageType": "Image",
        "Code": awslambda.Code(ImageUri=Ref(p.image_parameter(component))),
        **({"ImageConfig": awslambda.ImageConfig(Command=[command])} if command else {}),
        "Architectures": [b.architecture(component)],
    }


def logging_to(b: Blueprint, name: str) -> awslambda.LoggingConfig:
    """Return where a function's lines go: lines as they are, since they are read by run as a worker's are."""
    return awslambda.LoggingConfig(LogGroup=b.names.log_group(name))


def live_alias(title: str, function: Any) -> awslambda.Alias:
    """Return the alias `live`, by which alone functions are called.

    It is made here so that what points at it can be made too, on $LATEST as no version exists yet. Versions are the
    tool's: one exists only after the update that makes it, so it can be no parameter of that update. CloudFormation
    changes only what a template changes, and nothing here ever does: the tool moves the alias, and it stays.
    """
    return awslambda.Alias(title, FunctionName=Ref(function), FunctionVersion="$LATEST", Name=LIVE)
