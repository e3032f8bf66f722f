"""`matinee status` and `matinee open`."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from matinee.cli import output
from matinee.cli.options import HERE, App, AsJson, Stage, on
from matinee.cli.options import since as since_of

if TYPE_CHECKING:
    from matinee.cost import Bill, CostReport, Line
    from matinee.operate.doctor import Finding
    from matinee.operate.status import AppStatus, Queue
    from matinee.ports import LogLine
_SIGNS = {"ok": ("ok", "green"), "asleep": ("asleep", "blue"), "attention": ("look", "yellow"),
          "down": ("DOWN", "bold red"), "unknown": ("?", "yellow")}  # fmt: skip


def status(
    cost: Annotated[bool, typer.Option("--cost", help="Also what AWS billed this month; asking costs $0.01.")] = False,
    app: App = HERE,
    stage: Stage = "",
    as_json: AsJson = False,
) -> None:
    """Is it well: health, versions, queues and workers, the last errors. Exit code 1 when something is down."""
    from dataclasses import asdict

    from matinee.operate.status import status_of

    found = status_of(app, stage=stage, with_cost=cost)
    if as_json:
        output.print_json({**asdict(found), "is_well": found.is_well})
    else:
        _show_status(found)
    if not found.is_well:
        raise typer.Exit(1)


def open_command(app: App = HERE, stage: Stage = "", as_json: AsJson = False) -> None:
    """Open the app in the browser, and print its address."""
    from matinee.operate.status import open_app

    opened = open_app(app, stage=stage)
    if as_json:
        output.print_json({"url": opened.url, "in_browser": opened.in_browser})
        return
    output.print_text(opened.url)
    if not opened.in_browser:
        output.next_step("No browser could be started here: open the address yourself.")


def _show_status(found: AppStatus) -> None:
    where = f"stage {found.stage}" if found.stage else "here"
    released = time.strftime("%Y-%m-%d %H:%M", time.localtime(found.released_at)) if found.release else ""
    live = f"release {found.release} of {released}" if found.release else "nothing is live"
    output.print_text(f"{found.app}, {where}: {live}" + (f", {found.url}" if found.url else ""))
    for part in found.parts:
        sign, colour = _SIGNS[part.state]
        output.stdout().print(f"[{colour}]{sign:<7}[/{colour}] [bold]{part.name:<14}[/bold] ", end="")
        output.print_text(part.text)
    output.show_mends((part.name, part.hint) for part in found.parts if part.state != "ok")
    _show_tables(found)


def _show_tables(found: AppStatus) -> None:
    from matinee.cli import output

    if found.versions:
        rows = [[v.component, v.label, ", ".join(v.predictors) or v.problem] for v in found.versions]
        output.print_text("")
        output.print_table(["COMPONENT", "VERSION", "PREDICTORS"], rows)
    if found.queues:
        output.print_text("")
        output.print_table(["QUEUE", "WAITING", "OLDEST", "RUNNING", "WORKERS", ""], [_queue(q) for q in found.queues])
    if found.errors:
        output.print_text("")
        errors = [
            [run.id, run.predictor, run.user, output.when(run.finished_at), run.failure.message if run.failure else ""]
            for run in found.errors
        ]
        output.print_table(["FAILED RUN", "PREDICTOR", "USER", "WHEN", "WHY"], errors)
        output.next_step(f"Next: matinee logs --run {found.errors[0].id}{on(found.stage)}")
    if found.cost:
        output.print_text("")
        usd = "" if found.cost.usd is None else f"US $ {found.cost.usd:.2f} "
        output.print_text(f"Cost this month: {usd}{found.cost.text}")


def _queue(queue: Queue) -> list[str]:
    from matinee.operate.status import COUNTED

    oldest = f"{queue.oldest_s:.0f} s" if queue.waiting else ""
    more = "+" if queue.waiting + queue.running >= COUNTED else ""
    workers = f"{queue.workers} of {queue.max_workers}"
    return [queue.predictor, f"{queue.waiting}{more}", oldest, str(queue.running), workers, queue.note]


# --- matinee logs -----------------------------------------------------------------------------------------------------


def logs(
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
    from matinee.operate.logs import Which, read_logs

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
        output.print_json(asdict(line), indent=None)
    else:
        moment = datetime.fromtimestamp(line.at).astimezone()
        clock = moment.strftime("%H:%M:%S.%f" if time.time() - line.at < 43_200 else "%m-%d %H:%M:%S.%f")[:-3]
        output.print_text(f"{clock} {line.component:>12} {line.level:<7} {line.message}")
    sys.stdout.flush()


# --- matinee cost -----------------------------------------------------------------------------------------------------

Json = Any
_SHOWN_USD = 0.005


def cost(
    users: Annotated[int, typer.Option("--users", min=0, help="People who use it in a month.")] = 5,
    predictions: Annotated[int, typer.Option("--predictions", min=0, help="Realtime predictions a month.")] = 1_000,
    runs: Annotated[int, typer.Option("--runs", min=0, help="Batch runs a month.")] = 50,
    seconds: Annotated[float, typer.Option("--prediction-seconds", min=0, help="How long a prediction takes.")] = 1.0,
    run_seconds: Annotated[float, typer.Option("--run-seconds", min=0, help="How long a batch run takes.")] = 300.0,
    stage: Annotated[str, typer.Option("--stage", help="The stage whose settings count.")] = "dev",
    every_line: Annotated[bool, typer.Option("--all", help="Also lines of less than a cent.")] = False,
    app: App = HERE,
    as_json: AsJson = False,
) -> None:
    """What the app costs on AWS a month, from its templates: every line with its price; no AWS is asked."""
    from matinee.cost import Usage, cost_of

    usage = Usage(users, predictions, runs, prediction_s=seconds, run_s=run_seconds)
    found = cost_of(app, stage, usage, output.reporter(quiet=as_json))
    if as_json:
        output.print_json(_json(found))
        return
    _print_headline(found)
    _print_bill(found.bill, every_line=every_line)
    _print_comparison(found)


def _print_headline(found: CostReport) -> None:
    usage = found.bill.usage
    output.say(f"US $ {found.bill.total_usd:.2f} a month: {found.idle_usd:.2f} idle + {found.use_usd:.2f} of use.")
    output.say(
        f"Use: {usage.users} people, {usage.predictions:,} predictions of {usage.prediction_s:g} s, {usage.runs} runs "
        f"of {usage.run_s:g} s."
    )
    output.say("")


def _print_bill(bill: Bill, *, every_line: bool) -> None:
    shown = [line for line in bill.lines if every_line or line.usd >= _SHOWN_USD]
    rows = [_row(line) for line in shown]
    rest = bill.total_usd - sum(line.usd for line in shown)
    if not every_line:
        rows.append(
            ["", f"{len(bill.lines) - len(shown)} lines below a cent (--all shows them)", "", "", f"{rest:.2f}"]
        )
    rows.append(["", "a month", "", "", f"{bill.total_usd:.2f}"])
    output.print_table(["", "WHAT", "QUANTITY", "PRICE (US $), SOURCE", "US $"], rows)
    if bill.unpriced:
        output.say(f"Not priced, because nobody here knows it: {', '.join(bill.unpriced)}.")


def _row(line: Line) -> list[str]:
    price = line.price
    free = f", {price.free:,.0f} free" if price.free else ""
    share = f" x {line.share:g}" if line.share != 1 else ""
    unsure = "" if price.verified else " (not verified)"
    what = f"{line.item} ({line.note})" if line.note else line.item
    return [
        line.subject,
        what,
        f"{_number(line.quantity)} {price.per}{free}",
        f"{price.usd:.10g}{share}, {price.source}{unsure}",
        f"{line.usd:.2f}",
    ]


def _number(quantity: float) -> str:
    return f"{quantity:,.0f}" if quantity >= 1000 else f"{quantity:.4g}"


def _print_comparison(found: CostReport) -> None:
    from matinee.prices import AS_OF, REGION

    output.say("")
    output.say(f"Prices of {REGION}, {AS_OF}; elsewhere typically 10 to 30 % more. Free tiers are the account's own.")
    output.say("The load balancer and public addresses cost the same without anybody.")
    output.say("")
    output.say("In [aws] of the matinee.toml:")
    for switch in found.switches:
        verb = "saves" if switch.saves_usd > 0 else "costs"
        output.say(f"  {verb} {abs(switch.saves_usd):6.2f}   {switch.line}")
    claims = " + ".join(f"{usd:.2f}" for usd in found.claimed_2020_usd)
    output.say("")
    output.say(f"The default layout: {found.default_usd:.2f}. No layout with a load balancer costs less than 16.43.")
    output.say(
        f"The layout of 2020: {found.of_2020.total_usd:.2f}; its document claimed {claims}, "
        "without load balancer and public addresses."
    )


def _json(found: CostReport) -> Json:
    from dataclasses import asdict

    def bill(value: Bill) -> Json:
        lines = [{**asdict(line), "free": line.free, "usd": line.usd} for line in value.lines]
        return {"total_usd": value.total_usd, "lines": lines, "unpriced": list(value.unpriced)}

    return {
        "stage": found.stage,
        "usage": asdict(found.bill.usage),
        "bill": bill(found.bill),
        "idle_usd": found.idle_usd,
        "use_usd": found.use_usd,
        "switches": [asdict(switch) for switch in found.switches],
        "default_usd": found.default_usd,
        "of_2020": {**bill(found.of_2020), "claimed_usd": list(found.claimed_2020_usd)},
    }


# --- matinee doctor ---------------------------------------------------------------------------------------------------


def doctor(
    aws: Annotated[bool, typer.Option("--aws", help="Also at the AWS account, and at the stage in it.")] = False,
    stage: Annotated[str, typer.Option("--stage", help="With --aws: which stage.")] = "dev",
    app: App = HERE,
    as_json: AsJson = False,
) -> None:
    """Look at what this machine has, or what an account has, and say what mends the rest."""
    from matinee.operate.doctor import examine

    found = examine()
    if aws:
        from matinee.operate.doctor import doctor_aws

        found = (*found, *doctor_aws(app, stage, output.reporter(quiet=as_json)))
    if as_json:
        output.print_json([asdict(finding) for finding in found])
    else:
        _show_check(found)
    if not all(finding.ok or not finding.needed for finding in found):
        raise typer.Exit(1)


def _show_check(found: tuple[Finding, ...]) -> None:
    output.print_table(["", "", ""], [[_mark(f.ok, f.needed), f.what, f.detail] for f in found])
    output.show_mends((finding.what, finding.mend) for finding in found)


def _mark(ok: bool, needed: bool) -> str:
    return "ok" if ok else "mend" if needed else "note"
