"""What travels to AWS and back is what was sent: inputs, results, state, logs and files, or it is refused."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import pytest

import matinee
from matinee.errors import InputError, PredictionError
from matinee.testing.harness import wait_until

APP = "exact"
SOURCES = {
    "echo": '''
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from matinee import File, batch, realtime, state

@dataclass
class Values:
    text: str = ""
    number: float = 0.0
    whole: int = 0
    exact: Decimal = Decimal(0)
    when: datetime | None = None
    day: date | None = None
    clock: time | None = None
    many: dict[str, list[float | None]] | None = None

@realtime(memory_mb=256)
def echo(values: Values) -> Values:
    print(values.text)
    return values

@batch
def later(values: Values) -> Values:
    print(values.text)
    return values

@realtime(memory_mb=256)
def kept(key: str, text: str) -> list[str]:
    """Keep a text in the shared state and give back what is there."""
    state[key] = {"text": text}
    return [state.get(key)["text"], str(state.get(key + " not there"))]

@realtime(memory_mb=256)
def broken(what: str) -> float:
    return float(what)

@realtime(memory_mb=256)
def files(file: File) -> list[File]:
    return [file, File(b"", name="empty.bin"), File(file.data * 3, name="thrice " + file.name)]
'''
}
TEXTS = ["", " ", "ünïcode 日本 🎭", "line\nline\r\n\ttab", "nul \x00", '"quotes" \\ {"$payload": "x"}', "x" * 300_000]
NUMBERS = [0.1 + 0.2, 1e308, 5e-324, -0.0, 3.0, 1 / 3]
ZONES = [UTC, timezone(timedelta(hours=5, minutes=45)), timezone(-timedelta(hours=3, minutes=30))]


@pytest.fixture
def app(laptop, app_folder):
    with matinee.connect(app_folder, stage="dev") as app:
        yield app


def both(app, **values):
    """The values as a realtime and as a batch predictor give them back, and as the records keep them."""
    said = {"text": "", **values}
    run = app.later.submit(values=said)
    answered, done = app.echo(values=said), run.result(timeout_s=60)
    recorded = app.run(app.runs("echo", limit=1)[0].id)
    assert answered == done == recorded.result()
    assert recorded.inputs == run.inputs
    return answered


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: ascii(text[:12]))
def test_texts(app, text):
    assert both(app, text=text).text == text


def test_numbers(app):
    for number in NUMBERS:
        got = app.echo(values={"number": number}).number
        assert (got, math.copysign(1, got)) == (number, math.copysign(1, number))
    whole = both(app, whole=2**53 + 1, many={"": [1.5, None], "ключ.#/": []})
    assert (whole.whole, whole.many) == (2**53 + 1, {"": [1.5, None], "ключ.#/": []})


def test_decimals_keep_every_digit(app):
    exact = Decimal("12345678901234567890.123456789012345678901234567890")
    assert both(app, exact=exact).exact == exact, "on the wire it is text: JSON's numbers have no such digits"
    assert str(app.echo(values={"exact": Decimal("1.10")}).exact) == "1.10"


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_times_keep_their_zone(app, zone):
    when = datetime(2026, 3, 29, 2, 30, 0, 123456, zone)
    got = both(app, when=when, day=date(2024, 2, 29), clock=time(23, 59, 59, 1)).when
    assert (got, got.utcoffset()) == (when, when.utcoffset())


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_cannot_carry_are_refused_with_a_sentence(app, number):
    before = len(app.runs(limit=1000))
    with pytest.raises(InputError, match="number"):
        app.echo(values={"number": number})
    with pytest.raises(InputError):
        app.later.submit(values={"many": {"a": [number]}})
    assert len(app.runs(limit=1000)) == before, "nothing was recorded"
    with pytest.raises(PredictionError) as raised:
        app.broken(what=str(number))
    assert raised.value.kind == "invalid_result"
    assert raised.value.hint


def test_state_keeps_texts_under_any_key(app):
    for key in ("", "a#b", "ü🎭 \n", "STATE#x", "k" * 500):
        assert app.kept(key=key, text=f"{key}!") == [f"{key}!", "None"]


def test_a_value_over_400_kb_is_refused_by_state_and_travels_as_input_and_result(app):
    large = "ü" * 250_000
    with pytest.raises(PredictionError, match="at most 400 KB") as raised:
        app.kept(key="large", text=large)
    assert "files" in raised.value.hint
    assert both(app, text=large).text == large


@pytest.mark.parametrize("name", ["ü 日本.bin", "../../etc/passwd", "a/b\\c", 'q"?*<>|', "n" * 200, ""])
def test_files_of_any_name_come_back_byte_by_byte(app, name):
    data = bytes(range(256)) * 1024
    same, empty, thrice = app.files(file=matinee.File(data, name=name))
    assert (same.read(), empty.read(), thrice.read()) == (data, b"", data * 3)


def test_logs_are_what_was_printed(app):
    text = 'ünïcode 日本 🎭 \ttab {"run_id": 1}'
    app.echo(values={"text": text})
    run = app.later.submit(values={"text": text})
    run.result(timeout_s=60)
    for one in (app.runs("echo", limit=1)[0], run):
        lines = wait_until(one.logs, what="the line")
        assert [line.message for line in lines] == [text]
