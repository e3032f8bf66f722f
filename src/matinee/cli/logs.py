"""`matinee logs`."""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from matinee.cli import output
from matinee.cli.options import HERE, App, AsJson, Stage
from matinee.cli.times import since as since_of

if TYPE_CHECKING:
    from matinee.ports import LogLine


def command(
    name: Annotated[
        str,
        typer.Argument(help="Only of this predictor or component; on a stage also ui, dispatcher.", show_default=False),
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C; of a run until it ends.")] = False,
    run: Annotated[str, typer.Option("--run", help="Only of this run.", show_default=False)] = "",
    since: Annotated[str, typer.Option("--since", help="From when on: 2026-11-01T09:00, or 1h, 30m, 2d.")] = "",
    app: App = HERE,
    stage: Stage = "",
    as_json: AsJson = False,
) -> None:
    """What all parts of the app wrote, in the order of time. With --json one JSON document a line."""
    from matinee.ops.logs import Which, read_logs

    begin = since_of(since or ("" if run else "1h"), time.time())
    wrote = False
    for line in read_logs(app, Which(name, run, begin, follow=follow), stage=stage):
        wrote = True
        _print(line, as_json=as_json)
    if not wrote:
        output.next_step("It wrote nothing." if run else "Nothing was written then. --since 1d looks further back.")


def _print(line: LogLine, *, as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        output.print_text(json.dumps(asdict(line), ensure_ascii=False))
    else:
        moment = datetime.fromtimestamp(line.at).astimezone()
        clock = moment.strftime("%H:%M:%S.%f" if time.time() - line.at < 43_200 else "%m-%d %H:%M:%S.%f")[:-3]
        output.print_text(f"{clock} {line.component:>12} {line.level:<7} {line.message}")
    sys.stdout.flush()
