"""Insights, for the owner: who uses the app, how fast it is, what fails, what it costs, what people think of it."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from matinee.client.core import Client
from matinee.client.insights import Insights, Report, Worst
from matinee.errors import MatineeError, NotFoundError
from matinee.manifest import Release
from matinee.prices import AS_OF, REGION
from matinee.tables.write import LABELS
from matinee.ui import export, session, site
from matinee.ui import text as ui_text
from matinee.ui.run_list import summary_of
from matinee.ui.text import escaped, humanize, show_errors_of

RANGES = {7: "7 days", 30: "30 days", 90: "90 days", 365: "A year"}
AGAIN_S = 0.5  # while older runs are being read
SHOWN_WORST = 5
_CAUSES = {
    "exception": "Error in the code", "invalid_input": "Values it rejected", "invalid_result": "Result of another type",
    "timeout": "Took too long", "out_of_memory": "Out of memory", "crash": "Process ended", "start": "Could not start",
    "lost": "Worker was lost",
}  # fmt: skip


def draw(_: Release) -> None:
    """Draw the page."""
    st.title("Insights", anchor=False)
    days = st.segmented_control(
        "Days", list(RANGES), default=30, format_func=RANGES.__getitem__, label_visibility="collapsed", required=True
    )
    show_errors_of(_draw)(days or 30)


def _draw(days: int) -> None:
    view = insights_view(session.client(), days)
    if view.is_complete:
        _sections(view, days)
    else:
        st.fragment(show_errors_of(_reading), run_every=AGAIN_S)(days)


def _reading(days: int) -> None:
    """Older runs are read a slice at a time; what is known is shown meanwhile."""
    view = insights_view(session.client(), days)
    if view.is_complete:
        st.rerun()
    st.caption(f":material/hourglass_top: Reading older runs: {view.report.runs:,} so far.")
    _sections(view, days)


def _sections(view: View, days: int) -> None:
    report = view.report
    _totals(report)
    if not report.runs and not report.costs:
        st.info("Nothing has run in these days.", icon=":material/query_stats:")
    else:
        st.header("Runs per day", anchor=False)
        st.vega_lite_chart(None, view.runs_chart, width="stretch")
        st.header("People per day", anchor=False)
        st.vega_lite_chart(None, view.people_chart, width="stretch")
        _latency(report)
        _causes(report)
        _costs(report)
    _ratings(report)
    _worst(report.worst)
    _export(days)


def _totals(report: Report) -> None:
    failed = f"{report.failed / report.runs:.1%}" if report.runs else "—"
    facts = [("Runs", f"{report.runs:,}"), ("People", f"{report.people:,}"), ("Failed", failed)]
    with st.container(horizontal=True, gap="large"):
        for label, value in [*facts, ("Cost on AWS", _usd(report.total_usd))]:
            st.metric(label, value.replace("$", "\\$"), width="content")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], right: int) -> None:
    """Draw a Markdown table whose last `right` columns are numbers: cells are given as Markdown."""
    rule = ["---"] * (len(head) - right) + ["---:"] * right
    st.markdown("\n".join(f"| {' | '.join(cells)} |" for cells in [head, rule, *rows]))


def _latency(report: Report) -> None:
    if not report.latency:
        return
    st.header("How long it takes", anchor=False)
    rows = [[_name(x.predictor), f"{x.runs:,}", _time(x.p50_s), _time(x.p95_s)] for x in report.latency]
    _table(["Predictor", "Successful runs", "Half within", "95 % within"], rows, 3)


def _causes(report: Report) -> None:
    if not report.causes:
        return
    st.header("Why runs failed", anchor=False)
    rows = [
        [
            _name(cause.predictor),
            escaped(_CAUSES.get(cause.kind, humanize(cause.kind))),
            f"[{escaped(_short(cause.message) or 'open')}](run?id={cause.run_id})",
            f"{cause.count:,}",
        ]
        for cause in report.causes
    ]
    _table(["Predictor", "Cause", "The newest", "Runs"], rows, 1)


def _costs(report: Report) -> None:
    known = [cost for cost in report.costs if cost.runs]
    if not known:
        return
    st.header("What it would cost on AWS", anchor=False)
    rows = [
        [
            _name(x.predictor) + (" (in the background)" if x.kind == "batch" else ""),
            f"{x.runs:,}",
            escaped(_usd(None if x.per_run_usd is None else x.per_run_usd * 1000)),
            escaped(_usd(x.total_usd)),
        ]
        for x in known
    ]
    _table(["Predictor", "Runs and calls", "A thousand cost", "All these cost"], rows, 3)
    st.caption(
        f"An estimate by the on-demand prices of {REGION} in {AS_OF} and the present sizes of predictors: computing "
        "and storing, without free tiers, logs, starting workers and what runs all day."
    )


def _ratings(report: Report) -> None:
    st.header("What people think, by version", anchor=False)
    if not report.ratings:
        st.caption("Nobody has rated a run of these days yet.")
        return
    rows = [
        [
            _name(x.predictor),
            escaped(x.version),
            "—" if x.share_good is None else f"{x.share_good:.0%}",
            *(f"{count:,}" for count in (x.good, x.bad, x.comments, x.corrections)),
        ]
        for x in report.ratings
    ]
    _table(["Predictor", "Version", "Good", "👍", "👎", "Comments", "Corrections"], rows, 5)


def _worst(runs: Sequence[Worst]) -> None:
    if not runs:
        return
    st.header("Rated worst", anchor=False)
    for run in runs[:SHOWN_WORST]:
        with st.container(border=True):
            what, way = st.columns([5, 1], vertical_alignment="center")
            votes = f"👎 {run.bad}" + (f" 👍 {run.good}" if run.good else "")
            inputs = _inputs(run.run_id)
            what.markdown(
                f"**{_name(run.predictor)}** {escaped(run.version)} · {votes}"
                + (f"  \n:gray[{escaped(inputs)}]" if inputs else "")
                + "".join(f"  \n“{escaped(_short(comment))}”" for comment in run.comments[:3])
            )
            with way:
                site.link(site.RUN, "Open", query={"id": run.run_id})


def _inputs(run_id: str) -> str:
    client = session.client()
    try:
        return session.poll.read(("inputs", run_id), 60.0, lambda: summary_of(client.inputs(client.run(run_id)), 160))
    except NotFoundError:
        return ""
    except MatineeError as error:
        return error.message


def _export(days: int) -> None:
    st.header("Export", anchor=False)
    feedback_only = st.toggle("Only runs somebody rated or commented", value=True, key="export:feedback")
    with st.container(horizontal=True):
        for form, label in LABELS.items():
            query = urlencode({"format": form, "days": days, "feedback_only": int(feedback_only)})
            st.link_button(label, f"{export.EXPORT}?{query}", icon=":material/download:")
    st.caption("With inputs, results, ratings, comments and corrections, of everybody, for these days.")


def _name(predictor: str) -> str:
    return escaped(humanize(predictor))


def _time(seconds: float | None) -> str:
    return "—" if seconds is None else escaped(ui_text.format_duration(seconds))


def _usd(amount: float | None) -> str:
    """Return dollars as people read them: two significant digits of what is less than a dollar."""
    if amount is None:
        return "—"
    digits = 2 if amount >= 1 or amount <= 0 else 1 - math.floor(math.log10(amount))
    return f"${amount:,.{min(digits, 9)}f}"


def _short(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:119]}…"


# --- the report of the owner ------------------------------------------------------------------------------------------
# The owner's counts of this process: one for all sessions, a report and its charts made once for a range of days.

REPORT_S = 10.0  # how old what the page shows may be
SLICE_S = 0.2  # how long one look reads


@dataclass(frozen=True)
class View:
    """A report with its charts. Not `is_complete`: older runs are still being read."""

    report: Report
    runs_chart: Any
    people_chart: Any
    is_complete: bool


@functools.lru_cache(1)
def _insights(store: Any) -> Insights:
    return Insights(store)


def insights_view(client: Client, days: int) -> View:
    """Return the last `days` days, today included, at most REPORT_S old; AccessError for a mere user."""
    known = session.poll.read(("insights", days, client.owner), REPORT_S, lambda: _made(client, days))
    if known.is_complete:
        return known
    return _made(client, days)  # it goes on reading


def _made(client: Client, days: int) -> View:
    store: Any = client.backend.store  # hashed as the object it is
    counts = _insights(store)
    last = date.today()
    first = last - timedelta(days=days - 1)
    counts.report(last, last, client)  # before anything is read: is this an owner?
    since = _midnight(first)
    is_complete = counts.refresh(since, late_s=_longest_s(client.release()), budget_s=SLICE_S)
    report = counts.report(first, last, client)
    charts = (runs_per_day(report), people_per_day(report))
    return View(report, *charts, is_complete)


def _midnight(day: date) -> float:
    return datetime.combine(day, time()).timestamp()


def _longest_s(release: Release) -> float:
    """How long after its start a prediction may be recorded."""
    return max((p.resources.timeout_s for p in release.predictors if p.kind == "realtime"), default=30.0)


# --- charts -----------------------------------------------------------------------------------------------------------
# Charts of the owner's page as Vega-Lite. Pure.
#
# Data is given below `layer`, where Streamlit leaves it alone: at the top it would load pandas, 80 MB, to pack it.

Json = Any
HEIGHT = 180
_DAY = {"field": "day", "type": "temporal", "title": None, "axis": {"format": "%-d %b", "tickCount": 8, "grid": False}}
_COUNT = {"type": "quantitative", "axis": {"tickMinStep": 1, "tickCount": 4}}


def runs_per_day(report: Report) -> Json:
    """Runs a day, the failed ones apart."""
    values = [
        {"day": day.day.isoformat(), "runs": count, "what": what}
        for day in report.days
        for what, count in (("fine", day.runs - day.failed), ("failed", day.failed))
    ]
    color = {
        "field": "what",
        "title": None,
        "scale": {"domain": ["fine", "failed"], "range": ["#5b7fc7", "#c2453d"]},
        "legend": {"orient": "top"} if report.failed else None,
    }
    return _chart(values, {"y": {"field": "runs", "title": "runs", **_COUNT}, "color": color})


def people_per_day(report: Report) -> Json:
    """People a day."""
    values = [{"day": day.day.isoformat(), "people": day.people} for day in report.days]
    return _chart(values, {"y": {"field": "people", "title": "people", **_COUNT}, "color": {"value": "#5b7fc7"}})


def _chart(values: list[dict[str, Json]], encoding: dict[str, Json]) -> Json:
    mark = {"type": "bar", "tooltip": True, "width": {"band": 0.8}}
    x = {**_DAY, "timeUnit": "yearmonthdate"}
    return {"height": HEIGHT, "layer": [{"data": {"values": values}, "mark": mark, "encoding": {"x": x, **encoding}}]}
