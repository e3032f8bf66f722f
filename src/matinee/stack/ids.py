"""Logical ids and names of resources: stable, so that a change elsewhere never replaces anything."""

from __future__ import annotations

import hashlib
import re

LONGEST_NAME = 64  # of a role, a function, a schedule


def logical(name: str) -> str:
    """Return a name as a part of logical ids: `plan_days` → "PlanDays"; two names never give the same."""
    if re.fullmatch("[a-z][a-z0-9]*(_[a-z][a-z0-9]*)*", name):
        return "".join(word.capitalize() for word in name.split("_"))
    plain = re.sub("[^A-Za-z0-9]", "", name)
    return f"{plain[:1].upper()}{plain[1:]}X{digest(name)}"  # an X and six digits: no plain name ends so


def shortened(name: str, longest: int = LONGEST_NAME) -> str:
    """Return the name, its end replaced by a digest where AWS would not take the whole."""
    return name if len(name) <= longest else f"{name[: longest - 7]}-{digest(name)}"


def digest(name: str) -> str:
    """Return six digits that tell a name from others."""
    return hashlib.sha256(name.encode()).hexdigest()[:6]
