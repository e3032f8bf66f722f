"""Names that AWS takes. All of them follow from the app's, the stage's and the predictors'.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html (3 to 63 characters)
https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html (64 characters)
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cfn-using-console-create-stack-parameters.html (128)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from matinee.names import RESERVED_STAGES, STAGE, STAGE_RULE, Names
from matinee.ops.deploy.preflight.model import Finding
from matinee.settings import DISPATCHER
from matinee.stack.blueprint import UI

BUCKET_CHARACTERS = 63
FUNCTION_CHARACTERS = 64
_HASH = "-0123456789"  # what a bucket's name has beside the stage's
_RESERVED = ("network",)  # `matinee-network` is a stack of its own


def check_names(names: Names, predictors: Iterable[str]) -> list[Finding]:
    """Return what AWS would not take of the names."""
    found: list[Finding] = []
    predictors = tuple(predictors)
    if UI in predictors:
        found.append(Finding(f"A predictor cannot be called {UI!r} on AWS: the UI itself is.", "Rename the function."))
    if not STAGE.fullmatch(names.stage):
        found.append(Finding(f"{names.stage!r} cannot be a stage.", STAGE_RULE))
    if names.stage in RESERVED_STAGES:
        found.append(Finding(f"A stage cannot be called {names.stage!r}.", "It would be mistaken for a part of one."))
    if names.app.endswith("-") or "--" in names.app:
        found.append(Finding(f"{names.app!r} cannot be an app's name on AWS.", "Leave out doubled and last hyphens."))
    if names.app in _RESERVED:
        found.append(Finding(f"An app cannot be called {names.app!r}: Matinee's own network is.", "Rename the app."))
    if len(names.base + _HASH) > BUCKET_CHARACTERS:
        found.append(_too_long("bucket", names.base + _HASH, BUCKET_CHARACTERS))
    functions = ((name, names.resource(name)) for name in (*predictors, DISPATCHER))
    long = (_too_long(f"function of {n}", f, FUNCTION_CHARACTERS) for n, f in functions if len(f) > FUNCTION_CHARACTERS)
    return [*found, *long]


def _too_long(what: str, name: str, limit: int) -> Finding:
    hint = f"Shorten the app's or the stage's name{'' if what == 'bucket' else ', or the predictor'}."
    return Finding(f"The {what} would be called {name}: {len(name)} characters, and AWS takes {limit}.", hint)


def check_region(region: str, known: Iterable[str]) -> list[Finding]:
    """Return what is wrong with the region; `known` are those in which ECS can be used."""
    regions = list(known)
    if not regions or region in regions:
        return []
    near = difflib.get_close_matches(region, regions, n=1)
    hint = f"Did you mean {near[0]}?" if near else "Set `region` under [aws], or AWS_REGION."
    return [Finding(f"AWS has no region {region!r}.", hint)]
