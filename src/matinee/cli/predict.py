"""`matinee predict`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from matinee.cli import output
from matinee.cli.options import HERE, App, AsJson, InputFile, Output, Readings, Sheet, Stage, Values, on
from matinee.errors import UsageError

if TYPE_CHECKING:
    from matinee.cli.options import TableOptions
    from matinee.operate.predict import SubmitOptions, Submitted
    from matinee.rows.inputs import RowsCheck
    from matinee.runs import Entry, Run


def predict(
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
    from matinee.cli import output
    from matinee.cli.options import read_inputs, table_options
    from matinee.operate.predict import predict

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
        output.print_json(output.run_json(answer.run, result=answer.result))
        raise typer.Exit(1 if answer.run.failure else 0)
    if answer.run.warning:
        output.say(answer.run.warning)
    output.show_result(answer.run, answer.result, save_to)
    output.next_step(f"Run {answer.run.id} in {output.took(answer.run.duration_s)}")


# --- matinee submit ---------------------------------------------------------------------------------------------------

Watch = Callable[["Run", "Entry | None"], None]


def submit(
    predictor: Annotated[
        str, typer.Argument(help="A batch predictor; with --rows a realtime one.", show_default=False)
    ],
    values: Values = None,
    input_file: InputFile = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the result and print it.")] = False,
    key: Annotated[str, typer.Option("--key", help="Submitting again with the same key gives the same run.")] = "",
    rows: Annotated[
        str, typer.Option("--rows", help="A CSV, Excel or Parquet file: predict each row; - reads stdin.")
    ] = "",
    columns: Annotated[
        list[str] | None, typer.Option("--column", help="With --rows: parameter=column, where the names differ.")
    ] = None,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="With --rows: predict the rows that fit.")
    ] = False,
    readings: Readings = None,
    sheet: Sheet = "",
    save_to: Output = None,
    app: App = HERE,
    stage: Stage = "",
    as_json: AsJson = False,
) -> None:
    """Submit a batch run and print its id; with --rows, one that predicts every row of a table."""
    from matinee.cli.options import table_options
    from matinee.operate.predict import SubmitOptions

    tables = table_options(readings or [], sheet)
    options = SubmitOptions(app, predictor, key=key, wait=wait or save_to is not None, output=save_to, stage=stage)
    with _watching() as watch:
        if rows:
            submitted = _submit_rows(options, rows, columns or [], skip_invalid, tables, watch)
        else:
            submitted = _submit(options, values or [], input_file, tables, watch)
    if as_json:
        _print_json(submitted)
    else:
        _show(submitted, options)


def _submit(
    options: SubmitOptions, values: list[str], input_file: str, tables: TableOptions, watch: Watch
) -> Submitted:
    from matinee.cli.options import read_inputs
    from matinee.operate.predict import submit

    inputs = partial(read_inputs, values, input_file, tables=tables)
    return submit(options, inputs, watch=watch, report=output.reporter())


def _submit_rows(
    options: SubmitOptions, file: str, columns: list[str], skip_invalid: bool, tables: TableOptions, watch: Watch
) -> Submitted:
    from dataclasses import asdict

    from matinee.operate.predict import RowsOptions, submit_rows

    chosen = dict(_pair(word) for word in columns)
    asked = RowsOptions(file=file, columns=chosen, skip_invalid=skip_invalid, **tables._asdict(), **asdict(options))
    return submit_rows(asked, watch=watch, report=output.reporter(), checked=_say_check)


def _pair(word: str) -> tuple[str, str]:
    name, equals, column = word.partition("=")
    if not equals:
        raise UsageError(f"{word!r} is not parameter=column.", hint='Write it as --column age="Age in years".')
    return name, column


def _say_check(check: RowsCheck) -> None:
    for note in check.notes:
        output.next_step(note)
    skipped = f", {check.invalid:,} do not fit and get an error" if check.invalid else ""
    output.next_step(f"{check.total:,} rows{skipped}: {', '.join(f'{n} ← {c}' for n, c in check.mapping.items())}")


def _print_json(submitted: Submitted) -> None:
    from matinee.cli import output

    answer = submitted.answer
    output.print_json(output.run_json(answer.run, result=answer.result))
    if answer.run.status in ("failed", "cancelled"):
        raise typer.Exit(1)


def _show(submitted: Submitted, options: SubmitOptions) -> None:
    from matinee.cli import output

    run = submitted.answer.run
    if options.wait:
        output.show_result(run, submitted.answer.result, options.output)
        output.next_step(f"Run {run.id} in {output.took(run.duration_s)}")
        return
    output.print_text(run.id)
    if submitted.is_served:
        output.next_step(f"Follow it: matinee runs show {run.id}{on(options.stage)}")
    else:
        output.next_step("It waits in the queue: `matinee dev` works it off (or submit with --wait).")


@contextmanager
def _watching() -> Iterator[Watch]:
    """Show the run's progress on stderr while it is waited for: a bar on a terminal, else one line a change."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = output.stderr()
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[note]}"))
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("queued", total=None, visible=False, note="")

        def watch(run: Run, entry: Entry | None) -> None:
            fraction = entry.progress.fraction if entry else None
            bars.update(
                task,
                visible=True,
                description=str(run.status),
                total=None if fraction is None else 1.0,
                completed=fraction or 0.0,
                note=entry.progress.message if entry else "",
            )

        yield watch


class _Lines:
    """Says a run's status whenever it changes: what a log can hold."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, run: Run, _entry: Entry | None) -> None:
        status = str(run.status)
        if status != self._last:
            output.say(f"{run.id} {status}")
            self._last = status
