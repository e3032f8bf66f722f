"""`matinee doctor`."""

from __future__ import annotations

from dataclasses import asdict

import typer

from matinee.cli import output
from matinee.cli.options import AsJson


def command(as_json: AsJson = False) -> None:
    """Look at what this machine has, and say what mends the rest."""
    from matinee.ops.doctor import examine

    found = examine()
    if as_json:
        output.print_json([asdict(finding) for finding in found])
    else:
        output.print_table(["", "", ""], [[_mark(f.ok, f.needed), f.what, f.detail] for f in found])
        for finding in found:
            if finding.mend:
                output.next_step(f"{finding.what}: {finding.mend}")
    if not all(finding.ok or not finding.needed for finding in found):
        raise typer.Exit(1)


def _mark(ok: bool, needed: bool) -> str:
    return "ok" if ok else "missing" if needed else "without"
