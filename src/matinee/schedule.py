"""When a batch predictor runs by itself: `rate(…)` and `cron(…)` as EventBridge Scheduler reads them, in a time zone.

`parse` is pure Python, since it also runs in components' own environments; `next_after` needs cronsim, which knows the
calendar, and the zones of the machine. What cronsim's calendar has not (years, the nearest weekday) is a filter here.
https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from typing import Any

from matinee.errors import UsageError

Json = Any
UTC_ZONE = "UTC"  # of an expression without a time zone; AWS's own default too
MAX_CHARS = 256  # https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html

_HINT = 'As in "rate(5 minutes)" or "cron(0 9 ? * MON-FRI *)": minutes, hours, day of month, month, day of week, year.'
_UNITS_S = {"minute": 60, "hour": 3600, "day": 86400}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)  # days of each month


@dataclass(frozen=True)
class Rate:
    """Every so often. Here the times are whole multiples since 1970, so every host agrees on them."""

    expression: str
    every_s: int

    def next_after(self, at: float) -> float | None:
        """Return the first time after `at`, both in epoch seconds."""
        return (at // self.every_s + 1) * self.every_s


@dataclass(frozen=True)
class Cron:
    """By the calendar. `fields` are cronsim's five: minutes, hours, day of month, month, day of week (0 = Sunday).

    A time that a clock in the zone skips in spring does not come; one that it shows twice in autumn comes the first
    time: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#daylist-savings-time
    """

    expression: str
    fields: tuple[str, str, str, str, str]
    years: tuple[int, ...] = ()  # () = every year
    near_day: int = 0  # the weekday nearest to this day of the month, 0 = any day the fields name
    timezone: str = UTC_ZONE

    def next_after(self, at: float) -> float | None:
        """Return the first time after `at`, both in epoch seconds; None if there is none any more."""
        zone = _zone(self.timezone)
        start = datetime.fromtimestamp(at, zone)
        for shown in self._shown_after(start.replace(tzinfo=None)):
            found = shown.replace(tzinfo=zone)
            comes = found.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == shown  # not skipped in spring
            if comes and found.timestamp() > at:
                return found.timestamp()
        return None

    def _shown_after(self, start: datetime | None) -> Iterator[datetime]:
        """Yield the times after `start` as a clock on the wall shows them, without a time zone."""
        from cronsim import CronSim

        while start is not None:
            next_start = None
            for found in CronSim(" ".join(self.fields), start):
                if self.years and found.year not in self.years:
                    next_start = self._before_next_year(found.year)
                    break
                if not self.near_day or found.day == _nearest_weekday(found.year, found.month, self.near_day):
                    yield found
            start = next_start

    def _before_next_year(self, year: int) -> datetime | None:
        later = [known for known in self.years if known >= year]
        return datetime(min(later) - 1, 12, 31, 23, 59, 59) if later else None


Schedule = Rate | Cron


def parse(text: str, timezone: str = "") -> Schedule:
    """Return the schedule, in UTC unless a time zone is named.

    UsageError in one sentence for what EventBridge Scheduler would not take. `check_comes` looks at the zone, too.
    """
    form = re.fullmatch(r"(\w+)\((.*)\)", text)  # it goes to AWS letter by letter
    if form is None or len(text) > MAX_CHARS or not text.isascii():
        raise UsageError(f"{_shown(text)} is no schedule.", hint=_HINT)
    if form[1] == "rate":
        return _rate(text, form[2])
    if form[1] == "cron":
        return _cron(text, form[2].split(), timezone or UTC_ZONE)
    raise UsageError(f"{_shown(text)} is no schedule: {form[1]}(…) is not known.", hint=_HINT)


def check_comes(text: str, timezone: str, now: float) -> None:
    """Raise UsageError for a time zone that is not known, and for a schedule that never comes after `now`."""
    _zone(timezone or UTC_ZONE)
    if text and parse(text, timezone).next_after(now) is None:
        raise UsageError(
            f"{_shown(text)} never comes.", hint="Mend its day, month and year, or leave the schedule out."
        )


def _zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        hint = 'Name it as the IANA database does, as in "Europe/Berlin"; without one, times are in UTC.'
        raise UsageError(f"{_shown(name)} is no time zone that this machine knows.", hint=hint) from None


def name_of(at: float) -> str:
    """Return a scheduled time as AWS writes it, as in "2026-11-23T09:00:00Z": what makes it submit only one run."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def inputs_of(predictor: str, parameters: Mapping[str, Json], examples: Sequence[Mapping[str, Json]]) -> Json:
    """Return what a scheduled run is given: nothing (so its defaults) where that is enough, else its first example.

    UsageError when it needs inputs and has no example.
    """
    required = parameters.get("required") or []
    if not required:
        return {}
    if examples:
        return dict(examples[0])
    raise UsageError(
        f"{predictor} has a schedule, and nobody is there to give it {' and '.join(required)}.",
        hint="Give its parameters defaults, or add an example: a scheduled run takes the first one.",
    )


def check(
    schedule: str, predictor: str, kind: str, parameters: Mapping[str, Json], examples: Sequence[Mapping[str, Json]]
) -> None:
    """Raise UsageError unless this predictor can run by this schedule; "" is none and always right."""
    if not schedule:
        return
    if kind != "batch":
        raise UsageError(
            f"{predictor} has a schedule, and it is a {kind} predictor.", hint="Only batch predictors have schedules."
        )
    parse(schedule)
    inputs_of(predictor, parameters, examples)


# --- rate schedules -------------------------------------------------------------------------------------------------


def _rate(text: str, inside: str) -> Rate:
    parts = re.fullmatch(r"\s*(\d{1,6})\s+(minute|hour|day)(s?)\s*", inside)
    if parts is None or int(parts[1]) == 0:
        hint = "A rate is a whole number from 1 and minutes, hours or days: rate(5 minutes)."
        raise UsageError(f"{_shown(text)} is no schedule.", hint=hint)
    count, unit = int(parts[1]), parts[2]
    if (count == 1) == bool(parts[3]):
        right = f"rate({count} {unit}{'' if count == 1 else 's'})"
        raise UsageError(f"{_shown(text)} is no schedule.", hint=f"AWS wants {right}.")
    return Rate(text, count * _UNITS_S[unit])


# --- cron schedules -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Field:
    name: str
    low: int
    high: int
    words: tuple[str, ...] = ()  # names of the values from `low` on


_MINUTES, _HOURS = _Field("minutes", 0, 59), _Field("hours", 0, 23)
_DAY, _MONTH = _Field("day of month", 1, 31), _Field("month", 1, 12, _MONTHS)
_WEEKDAY, _YEAR = _Field("day of week", 1, 7, _DAYS), _Field("year", 1970, 2199)


def _cron(text: str, fields: list[str], timezone: str) -> Cron:
    if len(fields) != 6:
        raise UsageError(f"{_shown(text)} has {len(fields)} fields and not 6.", hint=_HINT)
    if (fields[2] == "?") == (fields[4] == "?"):
        raise UsageError(
            f"{_shown(text)} must have ? in exactly one of day of month and day of week.",
            hint='The ? is for the one that does not matter: "cron(0 9 * * ? *)" is every day at nine.',
        )
    months = _values(text, _MONTH, fields[3])
    day, near_day = _day_of_month(text, fields[2], months)
    return Cron(
        text,
        (
            _listed(_values(text, _MINUTES, fields[0]), _MINUTES),
            _listed(_values(text, _HOURS, fields[1]), _HOURS),
            day,
            _listed(months, _MONTH),
            _day_of_week(text, fields[4]),
        ),
        () if fields[5] == "*" else tuple(_values(text, _YEAR, fields[5])),
        near_day,
        timezone,
    )


def _day_of_month(text: str, field_text: str, months: list[int]) -> tuple[str, int]:
    """Return cronsim's field, and the day whose nearest weekday is meant (0 = none)."""
    if field_text in ("?", "*"):
        return "*", 0
    if field_text in ("L", "LW"):
        return field_text, 0
    if near := re.fullmatch(r"(\d{1,2})W", field_text):
        day = _value(text, _DAY, near[1])
        return ",".join(map(str, range(max(1, min(day, 28) - 2), min(31, day + 2) + 1))), day
    days = _values(text, _DAY, field_text)
    if min(days) > max(_LONGEST[month - 1] for month in months):
        raise UsageError(f"{_shown(text)} never comes: no such month has a day {min(days)}.")
    return _listed(days, _DAY), 0


def _day_of_week(text: str, field_text: str) -> str:
    if field_text in ("?", "*"):
        return "*"
    if field_text == "L":  # the last day of the week
        return "6"
    if last := re.fullmatch(r"(\w+)L", field_text):
        return f"{_value(text, _WEEKDAY, last[1]) - 1}L"
    if nth := re.fullmatch(r"(\w+)#([1-5])", field_text):
        return f"{_value(text, _WEEKDAY, nth[1]) - 1}#{nth[2]}"
    return ",".join(str(day - 1) for day in _values(text, _WEEKDAY, field_text))


def _values(text: str, field: _Field, field_text: str) -> list[int]:
    """Return the values a field names, in order."""
    return sorted({value for item in field_text.split(",") for value in _item(text, field, item)})


def _item(text: str, field: _Field, item: str) -> range:
    parts = re.fullmatch(r"(\*|\w+)(?:-(\w+))?(?:/(\d{1,4}))?", item)
    if parts is None or (parts[1] == "*" and parts[2]) or (parts[3] and int(parts[3]) == 0):
        raise _wrong(text, field, item)
    low = field.low if parts[1] == "*" else _value(text, field, parts[1])
    goes_on = parts[1] == "*" or (parts[3] and not parts[2])  # "10/15" counts from 10 to the end
    high = _value(text, field, parts[2]) if parts[2] else field.high if goes_on else low
    if high < low:
        raise _wrong(text, field, item)
    return range(low, high + 1, int(parts[3] or 1))


def _value(text: str, field: _Field, word: str) -> int:
    if word in field.words:
        return field.words.index(word) + field.low
    if not word.isdecimal() or not field.low <= int(word) <= field.high:
        raise _wrong(text, field, word)
    return int(word)


def _wrong(text: str, field: _Field, item: str) -> UsageError:
    words = f" or {field.words[0]} to {field.words[-1]}" if field.words else ""
    hint = f"It takes {field.low} to {field.high}{words}; lists with commas, ranges with - and steps with /."
    return UsageError(f"{_shown(text)} has no valid {field.name}: {item!r}.", hint=hint)


def _listed(values: Sequence[int], field: _Field) -> str:
    return "*" if len(values) == field.high - field.low + 1 else ",".join(map(str, values))


def _nearest_weekday(year: int, month: int, day: int) -> int:
    """Return the day of the weekday nearest to a day, within its month."""
    last = monthrange(year, month)[1]
    day = min(day, last)
    weekday = date(year, month, day).weekday()
    if weekday == 5:  # Saturday
        return day - 1 if day > 1 else day + 2
    if weekday == 6:
        return day + 1 if day < last else day - 2
    return day


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:79] + "…")
