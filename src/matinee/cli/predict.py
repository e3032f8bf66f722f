"""`matinee predict`."""

from __future__ import annotations

from typing import Annotated

import typer

from matinee.cli import output
from matinee.cli.options import HERE, App, AsJson, InputFile, Output, Readings, Sheet, Stage, Values


def command(
    predictor: Annotated[str, typer.Argument(help="A realtime predictor.", show_default=False)],
    values: Values = None,
    input_file: InputFile = "",
    readings: Readings = None,
    sheet: Sheet = "",
    save_to: Output = None,
    app: App = HERE,
    stage: Stage = "",
    as_json: AsJson = False,
) -> None:
    """Predict once and print the result."""
    from matinee.cli import render
    from matinee.cli.values import read_inputs, table_options
    from matinee.ops.predict import predict

    tables = table_options(readings or [], sheet)
    answer = predict(
        app,
        predictor,
        lambda schema: read_inputs(values or [], input_file, schema, tables),
        output=save_to,
        stage=stage,
        report=output.reporter(),
    )
    if as_json:
        output.print_json(render.run_json(answer.run, result=answer.result))
        raise typer.Exit(1 if answer.run.failure else 0)
    render.show_result(answer.run, answer.result, save_to)
    output.next_step(f"Run {answer.run.id} in {render.took(answer.run.duration_s)}")
