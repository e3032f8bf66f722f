"""Charts of the owner's page as Vega-Lite. Pure.

Data is given below `layer`, where Streamlit leaves it alone: at the top it would load pandas, 80 MB, to pack it.
"""

from __future__ import annotations

from typing import Any

from matinee.client.insights_report import Report

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
