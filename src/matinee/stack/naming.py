"""Whether AWS takes the names that an app's and a stage's lead to. Pure: no CloudFormation."""

from __future__ import annotations

import re

from matinee.errors import ProjectError
from matinee.names import Names
from matinee.settings import DISPATCHER
from matinee.stack.blueprint import UI, Blueprint
from matinee.stack.sizes import check_predictor, check_size

LONGEST_STAGE = 16
_LONGEST_FUNCTION = 64  # https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
_LONGEST_BUCKET = 63  # https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html


def check(b: Blueprint) -> None:
    """Raise ProjectError for the first thing AWS would refuse: a name, or a size."""
    check_names(b.names, tuple(p.name for p in b.predictors))
    check_size("[aws.ui]", b.aws.ui.cpu, b.aws.ui.memory_mb)
    for predictor in b.predictors:
        check_predictor(predictor)


def check_names(names: Names, predictors: tuple[str, ...] = ()) -> None:
    """Raise ProjectError for a stage, an app or a predictor whose resources could not be called so."""
    if not re.fullmatch(f"[a-z][a-z0-9]{{0,{LONGEST_STAGE - 1}}}", names.stage):
        plain = re.sub("[^a-z0-9]", "", names.stage.lower())[:LONGEST_STAGE]
        raise ProjectError(
            f"A stage on AWS cannot be called {names.stage!r}.",
            hint=f"At most {LONGEST_STAGE} small letters and digits, a letter first"
            + (f", as in {plain!r}." if plain[:1].isalpha() else "."),
        )
    if names.app.endswith("-") or "--" in names.app:
        raise ProjectError(
            f"AWS does not take the name {names.app!r}.", hint="One hyphen between words, none at the end."
        )
    if UI in predictors:
        raise ProjectError(
            f"A predictor cannot be called {UI!r} on AWS: the UI itself is.", hint="Rename the function."
        )
    bucket = names.bucket("000000000000", "us-east-1")
    if len(bucket) > _LONGEST_BUCKET:
        raise _too_long(names, "the bucket", bucket, _LONGEST_BUCKET)
    for name in (DISPATCHER, *predictors):
        function = names.resource(name)
        if len(function) > _LONGEST_FUNCTION:
            raise _too_long(names, f"the function of {name}" if name in predictors else "a function", function, 64)


def _too_long(names: Names, what: str, name: str, longest: int) -> ProjectError:
    return ProjectError(
        f"The name of {what}, {name}, has {len(name)} characters, and AWS takes {longest}.",
        hint=f"Shorten the app's name ({names.app}) or the stage's ({names.stage}) by {len(name) - longest}.",
    )
