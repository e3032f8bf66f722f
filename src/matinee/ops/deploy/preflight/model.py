"""What a check finds, and what it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matinee.errors import MatineeError, UsageError


@dataclass(frozen=True)
class Finding:
    """A sentence and what to do. `stops`: a deployment cannot succeed."""

    message: str
    hint: str = ""
    stops: bool = True


def refuse(findings: Sequence[Finding]) -> None:
    """Raise one error for all findings that stop a deployment."""
    stopping = [finding for finding in findings if finding.stops]
    if not stopping:
        return
    if len(stopping) == 1:
        raise UsageError(stopping[0].message, hint=stopping[0].hint)
    lines = [f"  - {finding.message}{f' {finding.hint}' if finding.hint else ''}" for finding in stopping]
    raise UsageError("\n".join([f"{len(stopping)} things stand in the way:", *lines]))


def of(error: MatineeError, *, stops: bool = True) -> Finding:
    """Return an error as a finding."""
    return Finding(error.message, error.hint, stops)
