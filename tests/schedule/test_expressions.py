"""What EventBridge Scheduler's expressions mean here, and what is said of those it would not take."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from matinee.errors import UsageError
from matinee.schedule import Cron, Rate, check, check_comes, inputs_of, name_of, parse


def times(text, start, count=3):
    at, found = datetime.fromisoformat(start).replace(tzinfo=UTC).timestamp(), []
    for _ in range(count):
        at = parse(text).next_after(at)
        found.append(None if at is None else name_of(at))
        if at is None:
            break
    return found


@pytest.mark.parametrize(
    ("text", "start", "expected"),
    [
        ("rate(5 minutes)", "2026-11-26T09:02:10", ["2026-11-26T09:05:00Z", "2026-11-26T09:10:00Z"]),
        ("rate(1 hour)", "2026-11-26T09:00:00", ["2026-11-26T10:00:00Z", "2026-11-26T11:00:00Z"]),
        ("rate(1 day)", "2026-11-26T09:00:00", ["2026-11-27T00:00:00Z"]),
        ("cron(0 9 ? * MON-FRI *)", "2026-11-26T09:00:00", ["2026-11-27T09:00:00Z", "2026-11-30T09:00:00Z"]),
        ("cron(0 9 ? * 2-6 *)", "2026-11-26T09:00:00", ["2026-11-27T09:00:00Z", "2026-11-30T09:00:00Z"]),
        ("cron(0/15 8 * * ? *)", "2026-11-26T08:20:00", ["2026-11-26T08:30:00Z", "2026-11-26T08:45:00Z"]),
        ("cron(15 10 ? * 6L 2027-2028)", "2026-11-26T00:00:00", ["2027-01-29T10:15:00Z", "2027-02-26T10:15:00Z"]),
        ("cron(0 9 L * ? *)", "2027-02-01T00:00:00", ["2027-02-28T09:00:00Z", "2027-03-31T09:00:00Z"]),
        ("cron(0 9 LW * ? *)", "2027-02-01T00:00:00", ["2027-02-26T09:00:00Z", "2027-03-31T09:00:00Z"]),
        ("cron(0 9 15W * ? *)", "2026-11-01T00:00:00", ["2026-11-16T09:00:00Z", "2026-12-15T09:00:00Z"]),
        ("cron(0 9 1W 8 ? *)", "2026-01-01T00:00:00", ["2026-08-03T09:00:00Z"]),  # the 1st is a Saturday
        ("cron(0 9 31W 2 ? *)", "2026-01-01T00:00:00", ["2026-02-27T09:00:00Z"]),  # the last day is a Saturday
        ("cron(0 9 ? * MON#1 *)", "2026-11-26T00:00:00", ["2026-12-07T09:00:00Z", "2027-01-04T09:00:00Z"]),
        ("cron(0 9 ? * L *)", "2026-11-26T00:00:00", ["2026-11-28T09:00:00Z"]),  # Saturday ends AWS's week
        ("cron(0 0 29 2 ? *)", "2026-11-26T00:00:00", ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]),
        ("cron(0 9 1 JAN,JUL ? *)", "2026-11-26T00:00:00", ["2027-01-01T09:00:00Z", "2027-07-01T09:00:00Z"]),
        ("cron(0 9 * * ? 2030)", "2026-11-26T00:00:00", ["2030-01-01T09:00:00Z", "2030-01-02T09:00:00Z"]),
        ("cron(0 9 * * ? 2020)", "2026-11-26T00:00:00", [None]),
        ("cron(0 9 31 12 ? 2026)", "2026-12-31T08:00:00", ["2026-12-31T09:00:00Z", None]),
    ],
)
def test_the_next_times_of_an_expression(text, start, expected):
    assert times(text, start, len(expected)) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("every day", "'every day' is no schedule"),
        ("0 9 * * *", "is no schedule"),
        ("at(2026-11-26T09:00:00)", "at(…) is not known"),
        (" rate(5 minutes)", "' rate(5 minutes)' is no schedule"),
        ("cron(0 9 ? * mon *)", "no valid day of week: 'mon'. It takes 1 to 7 or SUN to SAT"),
        ("rate(5)", "is no schedule. A rate is a whole number"),
        ("rate(0 minutes)", "is no schedule. A rate is a whole number"),
        ("rate(30 seconds)", "is no schedule. A rate is a whole number"),
        ("rate(1 minutes)", "AWS wants rate(1 minute)"),
        ("rate(5 minute)", "AWS wants rate(5 minutes)"),
        ("cron(0 9 * * *)", "has 5 fields and not 6"),
        ("cron(0 9 * * * *)", "must have ? in exactly one"),
        ("cron(0 9 ? * ? *)", "must have ? in exactly one"),
        ("cron(60 9 * * ? *)", "no valid minutes: '60'. It takes 0 to 59;"),
        ("cron(0 24 * * ? *)", "no valid hours: '24'"),
        ("cron(0 9 0 * ? *)", "no valid day of month: '0'"),
        ("cron(0 9 * 13 ? *)", "no valid month: '13'. It takes 1 to 12 or JAN to DEC"),
        ("cron(0 9 ? * 0 *)", "no valid day of week: '0'. It takes 1 to 7 or SUN to SAT"),
        ("cron(0 9 ? * MONDAY *)", "no valid day of week: 'MONDAY'"),
        ("cron(0 9 ? * FRI-MON *)", "no valid day of week: 'FRI-MON'"),
        ("cron(0 9 ? * MON#6 *)", "no valid day of week: 'MON#6'"),
        ("cron(0 9 * * ? 1969)", "no valid year: '1969'"),
        ("cron(0/0 9 * * ? *)", "no valid minutes: '0/0'"),
        ("cron(*-5 9 * * ? *)", "no valid minutes: '*-5'"),
        ("cron(0, 9 * * ? *)", "no valid minutes: ''"),
        ("cron(0 9 31 2,4 ? *)", "never comes: no such month has a day 31"),
        ("cron(" + "0" * 300 + ")", "is no schedule"),
        ("rate(٣ days)", "is no schedule"),
    ],
)
def test_nonsense_is_refused_with_what_is_wrong_and_what_would_be_right(text, says):
    with pytest.raises(UsageError) as told:
        parse(text)
    assert says in str(told.value)


MINUTES = st.sampled_from(["*", "0", "7,8", "0/20", "10-12", "*/17", "5/7"])
HOURS = st.sampled_from(["*", "9", "0,23", "8-18/5", "20/1"])
DAYS = st.sampled_from([("*", "?"), ("13", "?"), ("?", "FRI"), ("?", "1,7"), ("31", "?"), ("1/9", "?"), ("?", "2/2")])
MONTHS = st.sampled_from(["*", "FEB", "1-3", "12", "*/5"])


def plain(said, low, high, words=()):
    """A field's values, written as plainly as can be."""
    found = set()
    for item in said.split(","):
        span, _, step = item.partition("/")
        first, _, last = span.partition("-")
        number = [low if first == "*" else words.index(first) + low if first in words else int(first)]
        end = int(last) if last else high if step or first == "*" else number[0]
        found |= set(range(number[0], end + 1, int(step or 1)))
    return found


@settings(max_examples=150, deadline=None)
@given(MINUTES, HOURS, DAYS, MONTHS, st.datetimes(datetime(2026, 1, 1), datetime(2032, 1, 1)))
def test_the_next_time_fits_every_field_and_none_before_it_does(minutes, hours, days, months, start):
    day, weekday = days
    assume((day, months) != ("31", "FEB"))
    at = parse(f"cron({minutes} {hours} {day} {months} {weekday} *)").next_after(start.replace(tzinfo=UTC).timestamp())
    month_words = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
    day_words = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")

    def day_fits(when):
        return (
            (day == "?" or when.day in plain(day, 1, 31))
            and when.month in plain(months, 1, 12, month_words)
            and (weekday == "?" or (when.weekday() + 1) % 7 + 1 in plain(weekday, 1, 7, day_words))
        )

    found = datetime.fromtimestamp(at, UTC).replace(tzinfo=None)
    clock = [(h, m) for h in sorted(plain(hours, 0, 23)) for m in sorted(plain(minutes, 0, 59))]
    when = datetime(start.year, start.month, start.day)
    while True:  # day by day, then by the clock
        first = [x for h, m in clock if (x := when.replace(hour=h, minute=m)) > start.replace(microsecond=0)]
        if first and day_fits(when):
            break
        when += timedelta(days=1)
    assert found == first[0]


def test_what_a_template_needs_is_the_expression_itself():
    assert parse("cron(0 9 ? * MON-FRI *)").expression == "cron(0 9 ? * MON-FRI *)"
    assert isinstance(parse("cron(0 9 ? * MON *)"), Cron)
    assert parse("rate(2 days)") == Rate("rate(2 days)", 172_800)


NEEDS = {"required": ["start", "end"]}


def test_a_scheduled_run_takes_its_defaults_and_only_else_its_first_example():
    assert inputs_of("plan", {"required": []}, [{"days": 3}]) == {}
    assert inputs_of("plan", {}, []) == {}
    assert inputs_of("plan", NEEDS, [{"start": 1, "end": 2}, {"start": 3, "end": 4}]) == {"start": 1, "end": 2}
    with pytest.raises(UsageError, match=r"nobody is there to give it start and end\. Give its"):
        inputs_of("plan", NEEDS, [])


def test_a_realtime_predictor_has_no_schedule():
    check("", "greet", "realtime", {}, [])
    with pytest.raises(UsageError, match="greet has a schedule, and it is a realtime predictor"):
        check("rate(1 day)", "greet", "realtime", {}, [])


# --- time zones -------------------------------------------------------------------------------------------------


def in_berlin(expression, after, many):
    """The next times of an expression in Berlin, as UTC says them."""
    schedule, at, found = parse(expression, "Europe/Berlin"), datetime.fromisoformat(after).timestamp(), []
    for _ in range(many):
        at = schedule.next_after(at)
        found.append(datetime.fromtimestamp(at, UTC).strftime("%m-%d %H:%M"))
    return found


def test_nine_in_berlin_is_another_time_in_summer_and_in_winter():
    assert in_berlin("cron(0 9 * * ? *)", "2026-03-28T00:00+00:00", 2) == ["03-28 08:00", "03-29 07:00"]
    assert in_berlin("cron(0 9 * * ? *)", "2026-10-24T00:00+00:00", 2) == ["10-24 07:00", "10-25 08:00"]


def test_a_time_that_the_clock_skips_in_spring_does_not_come_on_that_day():
    assert in_berlin("cron(30 2 * * ? *)", "2026-03-28T00:00+00:00", 2) == ["03-28 01:30", "03-30 00:30"]


def test_a_time_that_the_clock_shows_twice_in_autumn_comes_once():
    assert in_berlin("cron(30 2 * * ? *)", "2026-10-24T00:00+00:00", 3) == ["10-24 00:30", "10-25 00:30", "10-26 01:30"]


def test_within_the_hour_that_comes_twice_the_next_time_is_never_in_the_past():
    second = datetime.fromisoformat("2026-10-25T01:10+00:00").timestamp()  # 02:10 for the second time
    for expression in ("cron(0/15 * * * ? *)", "cron(30 2 * * ? *)", "cron(0 3 * * ? *)"):
        assert parse(expression, "Europe/Berlin").next_after(second) > second


def test_a_rate_is_the_same_in_every_zone():
    assert parse("rate(1 day)", "Asia/Tokyo").next_after(5.0) == parse("rate(1 day)").next_after(5.0)


@pytest.mark.parametrize(
    ("expression", "now", "comes"),
    [
        ("cron(0 9 1 JAN ? 2020)", "2026-11-30T00:00+00:00", False),
        ("cron(0 9 29 FEB ? 2027)", "2026-11-30T00:00+00:00", False),
        ("cron(0 9 29 FEB ? 2028)", "2026-11-30T00:00+00:00", True),
        ("cron(0 9 30 NOV ? 2026)", "2026-11-30T08:30+00:00", False),  # nine in Berlin was half an hour ago
        ("rate(1 day)", "2026-11-30T00:00+00:00", True),
        ("", "2026-11-30T00:00+00:00", True),
    ],
)
def test_a_schedule_that_never_comes_is_refused(expression, now, comes):
    at = datetime.fromisoformat(now).timestamp()
    if comes:
        check_comes(expression, "Europe/Berlin", at)
        return
    with pytest.raises(UsageError, match="never comes"):
        check_comes(expression, "Europe/Berlin", at)


@pytest.mark.parametrize("zone", ["Europe/Berlinn", "../etc/passwd", "CET+99", " "])
def test_a_time_zone_that_nobody_knows_is_refused_in_words(zone):
    with pytest.raises(UsageError, match="is no time zone"):
        check_comes("rate(1 day)", zone, 0.0)
