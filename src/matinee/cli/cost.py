"""`matinee cost`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from matinee.cli import output
from matinee.cli.options import HERE, App, AsJson

if TYPE_CHECKING:
    from matinee.ops.cost.bill import Bill, Line
    from matinee.ops.cost.report import CostReport

Json = Any
_SHOWN_USD = 0.005


def command(
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
    from matinee.ops.cost import Usage
    from matinee.ops.cost.report import cost_of

    usage = Usage(users, predictions, runs, prediction_s=seconds, run_s=run_seconds)
    found = cost_of(app, stage, usage, output.reporter(quiet=as_json))
    if as_json:
        output.print_json(_json(found))
        return
    _print_bill(found.bill, every_line=every_line)
    _print_comparison(found)


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

    usage = found.bill.usage
    output.say("")
    output.say(f"Prices of {REGION}, {AS_OF}; elsewhere typically 10 to 30 % more. Free tiers are the account's own.")
    output.say(
        f"With {usage.users} people, {usage.predictions:,} predictions of {usage.prediction_s:g} s, {usage.runs} runs "
        f"of {usage.run_s:g} s. The load balancer and public addresses cost the same without anybody."
    )
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
        "switches": [asdict(switch) for switch in found.switches],
        "default_usd": found.default_usd,
        "of_2020": {**bill(found.of_2020), "claimed_usd": list(found.claimed_2020_usd)},
    }
