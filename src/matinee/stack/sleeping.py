"""The page that CloudFront shows while the UI is asleep: one file, no other, in the words of office hours."""

from __future__ import annotations

import html
import json

from matinee.project.aws import DAYS, OfficeHours

_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
RETRY_S = 30  # the page looks again whether somebody is there


def sleeping_page(title: str, hours: OfficeHours) -> str:
    """Return the page: when it wakes, in the reader's own time where their browser can say so, else in the app's."""
    days = [DAYS.index(day) for day in hours.days]
    told = json.dumps({"days": days, "start": hours.start, "end": hours.end, "zone": hours.timezone})
    awake = json.dumps(f"{title} is waking").replace("<", "\\u003c")  # a title must not end the script
    words = {"title": html.escape(title), "hours": html.escape(in_words(hours)), "told": told, "awake": awake}
    return _PAGE.format(**words, retry_s=RETRY_S)


def in_words(hours: OfficeHours) -> str:
    """Return as in "Monday to Friday, 08:00 to 18:00 (Europe/Berlin)"."""
    return f"{_days(hours.days)}, {hours.start} to {hours.end} ({hours.timezone})"


def _days(days: tuple[str, ...]) -> str:
    names = [_NAMES[DAYS.index(day)] for day in days]
    if len(days) == len(DAYS):
        return "Every day"
    if len(days) > 2 and DAYS.index(days[-1]) - DAYS.index(days[0]) == len(days) - 1:
        return f"{names[0]} to {names[-1]}"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="{retry_s}">
<title>{title}: asleep</title>
<style>
  body {{ font: 1.1rem/1.6 system-ui, sans-serif; margin: 18vh auto 0; max-width: 34rem; padding: 0 1.5rem; }}
  h1 {{ font-size: 1.6rem; }}
  @media (prefers-color-scheme: dark) {{ body {{ background: #0e1117; color: #fafafa; }} }}
</style>
<main>
<h1>{title} is asleep</h1>
<p id="wakes">It is there in its office hours.</p>
<p>Office hours: {hours}.</p>
<p>Nothing is lost: runs that were queued go on, and results are kept. This page looks again by itself.</p>
</main>
<script>
const told = {told};
const clock = new Intl.DateTimeFormat("en-GB", {{
  timeZone: told.zone, weekday: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
}});
function there(at) {{
  const value = Object.fromEntries(clock.formatToParts(at).map(part => [part.type, part.value]));
  const day = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].indexOf(value.weekday);
  return {{ open: told.days.includes(day), time: value.hour + ":" + value.minute }};
}}
function isAwake(at) {{
  const now = there(at);
  return now.open && told.start <= now.time && now.time < told.end;
}}
function wakes(now) {{
  const minute = 60000, first = Math.ceil(now / minute) * minute;
  for (let at = first; at < first + 8 * 1440 * minute; at += minute) {{
    const then = there(at);
    if (then.open && then.time === told.start) return new Date(at);
  }}
}}
function tell(now) {{
  if (isAwake(now)) {{
    document.querySelector("h1").textContent = document.title = {awake};
    document.getElementById("wakes").textContent = "It cannot be reached for the moment: it may just be starting.";
    return;
  }}
  const form = {{ weekday: "long", day: "numeric", month: "long", hour: "2-digit", minute: "2-digit" }};
  const at = wakes(now);
  if (at) document.getElementById("wakes").textContent = "It wakes " + at.toLocaleString([], form) + ".";
}}
tell(Date.now());
</script>
</html>
"""
