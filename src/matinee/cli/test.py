"""`matinee test`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from matinee.cli import output
from matinee.cli.options import HERE, App, AsJson

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matinee.ops.test import Tested
    from matinee.ops.test_containers import Measured


def command(
    predictor: Annotated[str, typer.Argument(help="Only this predictor's examples.", show_default=False)] = "",
    containers: Annotated[
        bool, typer.Option("--containers", help="Each in its image: size, cold start, memory, and what to change.")
    ] = False,
    app: App = HERE,
    as_json: AsJson = False,
) -> None:
    """Run every predictor's declared examples and check the results against their types."""
    if containers:
        _in_containers(predictor, app, as_json=as_json)
        return
    from matinee.ops.test import test

    tested = test(app, only=predictor, report=output.reporter())
    if as_json:
        output.print_json({**asdict(tested), "ok": tested.ok})
    else:
        _show(tested)
    if not tested.ok:
        raise typer.Exit(1)


def _in_containers(predictor: str, app: Path, *, as_json: bool) -> None:
    from matinee.ops.test_containers import test_containers

    done = test_containers(app, only=predictor, report=output.reporter())
    if as_json:
        measured = [{**asdict(item), "advice": item.advice} for item in done.measured]
        output.print_json({**asdict(done.tested), "ok": done.ok, "measured": measured})
    else:
        _show(done.tested)
        _show_measured(done.measured)
    if not done.ok:
        raise typer.Exit(1)


def _show_measured(measured: Sequence[Measured]) -> None:
    from matinee.cli import render

    rows = [
        [
            item.predictor,
            item.image,
            f"{item.image_mb:.0f} MB",
            render.took(item.cold_start_s),
            f"{item.peak_mb:.0f} of {item.memory_mb} MB" if item.peak_mb else "too quick to see",
        ]
        for item in measured
    ]
    output.print_table(["PREDICTOR", "IMAGE", "SIZE", "COLD START", "MEMORY"], rows)
    for advice in (sentence for item in measured for sentence in item.advice):
        output.next_step(advice)


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
