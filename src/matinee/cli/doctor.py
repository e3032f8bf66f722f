"""`matinee doctor`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from matinee.cli import output
from matinee.cli.options import HERE, App, AsJson

if TYPE_CHECKING:
    from matinee.ops.doctor import Finding


def command(
    aws: Annotated[bool, typer.Option("--aws", help="Also at the AWS account, and at the stage in it.")] = False,
    stage: Annotated[str, typer.Option("--stage", help="With --aws: which stage.")] = "dev",
    app: App = HERE,
    as_json: AsJson = False,
) -> None:
    """Look at what this machine has, or what an account has, and say what mends the rest."""
    from matinee.ops.doctor import examine

    found = examine()
    if aws:
        from matinee.ops.doctor_aws import doctor_aws

        found = (*found, *doctor_aws(app, stage, output.reporter(quiet=as_json)))
    if as_json:
        output.print_json([asdict(finding) for finding in found])
    else:
        _show(found)
    if not all(finding.ok or not finding.needed for finding in found):
        raise typer.Exit(1)


def _show(found: tuple[Finding, ...]) -> None:
    output.print_table(["", "", ""], [[_mark(f.ok, f.needed), f.what, f.detail] for f in found])
    output.show_mends((finding.what, finding.mend) for finding in found)


def _mark(ok: bool, needed: bool) -> str:
    return "ok" if ok else "mend" if needed else "note"
