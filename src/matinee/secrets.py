"""The secrets of predictors: which names they may have, and their values on this machine, in `.env`.

A predictor declares names; only its own processes get the values, as variables of their environment. On AWS they come
from SSM (`runtime.secrets`, and ECS by itself). Values are in no manifest, no content hash, no log and no image.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from matinee.errors import UsageError
from matinee.settings import PREFIX

FILE = ".env"  # beside the matinee.toml; `matinee new` has git ignore it
_RESERVED = (
    "AWS_",
    "LAMBDA_",
    PREFIX,
    "PYTHON",
    "LD_",
)  # what the platform sets, or what changes how Python starts
ENVIRONMENT_BYTES = 3000  # a function's variables hold 4 KB, and some are Matinee's own
_TAKEN = {"PATH", "HOME", "TZ", "LANG", "_HANDLER", "_X_AMZN_TRACE_ID"}


def check_name(name: str) -> None:
    """Raise UsageError unless the name can be a variable's and a parameter's."""
    if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]{0,99}", name, re.ASCII):
        raise UsageError("A secret cannot be called that.", hint="Use letters, digits and _, as in API_KEY.")


def check_declared(predictor: str, names: Iterable[str]) -> None:
    """Raise UsageError for a name that a predictor cannot declare."""
    for name in names:
        if not isinstance(name, str) or not re.fullmatch("[A-Za-z_][A-Za-z0-9_]{0,99}", name, re.ASCII):
            raise UsageError(
                f"{predictor} declares the secret {name!r}, which is no name.",
                hint="Use letters, digits and _, as in API_KEY: the name, never the value.",
            )
        if _is_reserved(name):
            raise UsageError(
                f"{predictor} declares the secret {name}, which the platform sets itself.", hint="Choose another name."
            )


def check_environment(predictor: str, environment: Mapping[str, str], secrets: Iterable[str]) -> None:
    """Raise UsageError for variables that a predictor cannot have."""
    for name in environment:
        if not re.fullmatch("[A-Za-z][A-Za-z0-9_]{0,99}", name, re.ASCII):  # as Lambda has them
            raise UsageError(f"the variable {name!r} of {predictor} has no name.", hint="Write it as in MODEL_SIZE.")
        if _is_reserved(name):
            raise UsageError(
                f"the platform itself sets {name}, the variable of {predictor}.", hint="Choose another name."
            )
        if name in set(secrets):
            raise UsageError(f"{predictor} has {name} as a variable and as a secret.", hint="Keep one of the two.")
    size_bytes = sum(len(name.encode()) + len(value.encode()) for name, value in environment.items())
    if size_bytes > ENVIRONMENT_BYTES:
        raise UsageError(
            f"the variables of {predictor} hold {size_bytes} bytes, and on AWS there is room for {ENVIRONMENT_BYTES}.",
            hint="Put what is long into a file of the component.",
        )


def _is_reserved(name: str) -> bool:
    return name.upper().startswith(_RESERVED) or name.upper() in _TAKEN


def read(folder: Path) -> dict[str, str]:
    """Return the secrets of `.env` in an app's folder, as written: `${…}` is not replaced. UsageError if unreadable."""
    from dotenv import dotenv_values

    file = folder / FILE
    try:
        with file.open(encoding="utf-8") as stream:
            return {name: value for name, value in dotenv_values(stream=stream, interpolate=False).items() if value}
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise UsageError(f"{file} cannot be read: {reason}.", hint="It holds lines as NAME=value.") from None


def of_predictor(
    predictor: str, names: Iterable[str], from_file: Mapping[str, str], environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Return the values of a predictor's secrets: those `from_file` (`.env`), else its own variables.

    UsageError for one that is in neither.
    """
    found = {name: from_file.get(name) or environ.get(name, "") for name in names}
    for name, value in found.items():
        if not value:
            raise UsageError(
                f"{predictor} needs the secret {name}, and it is not set.",
                hint=f"Write a line {name}=… into {FILE} beside the matinee.toml: matinee secret set {name}",
            )
    return found
