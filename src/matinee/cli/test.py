"""`matinee test`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from matinee.cli import output
from matinee.cli.options import HERE, App, AsJson

if TYPE_CHECKING:
    from matinee.ops.test import Tested


def command(
    predictor: Annotated[str, typer.Argument(help="Only this predictor's examples.", show_default=False)] = "",
    app: App = HERE,
    as_json: AsJson = False,
) -> None:
    """Run every predictor's declared examples and check the results against their types."""
    from matinee.ops.test import test

    tested = test(app, only=predictor, report=output.reporter())
    if as_json:
        output.print_json({**asdict(tested), "ok": tested.ok})
    else:
        _show(tested)
    if not tested.ok:
        raise typer.Exit(1)


def _show(tested: Tested) -> None:
    import json

    from matinee.cli import render

    rows = [
        [
            "passed" if item.ok else "FAILED",
            f"{item.predictor} {item.number}",
            json.dumps(item.inputs, ensure_ascii=False)[:60],
            render.took(item.duration_s),
            item.problem,
        ]
        for item in tested.tried
    ]
    if rows:
        output.print_table(["", "EXAMPLE", "INPUTS", "TOOK", "PROBLEM"], rows)
    for component, trouble in tested.troubles.items():
        output.show_error(f"{component}: {trouble.message}", trouble.hint)
    for hint in dict.fromkeys(item.hint for item in tested.tried if item.hint):
        output.say(f"hint: {hint}")
    for name in tested.without_examples:
        output.next_step(f"{name} declares no examples: add examples=[{{…}}] to its decorator.")
    passed = sum(item.ok for item in tested.tried)
    output.say(f"{passed} of {len(tested.tried)} examples passed.")
