"""Columns, and what their texts mean: numbers, dates, yes and no, decided for the column and never for a cell.

`1.234` is 1234 in Berlin and 1.234 in Boston; only the cells beside it can tell. A `Survey` looks at all of them and
says which reading they have. Where two are left it is `ambiguous`, and a `Question` shows what each would give.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

Json = Any

POINT, COMMA = "point", "comma"  # which mark begins the decimals
DAY_FIRST, MONTH_FIRST = "day-first", "month-first"
MIXED = "mixed"  # the cells contradict each other: only those that every reading takes alike are read
MAX_CHARS = 420  # of a number
READINGS = (POINT, COMMA, DAY_FIRST, MONTH_FIRST)

_GROUPS = "'\u2019 \u00a0\u202f"  # what else stands between thousands
_CURRENCY = r"[€$£¥₹]|(?:EUR|USD|CHF|GBP|JPY|SEK|NOK|DKK|PLN|CZK)(?![A-Za-z])"
_AMOUNT = re.compile(
    rf"([+\-\u2212]?)\s*({_CURRENCY})?\s*([+\-\u2212]?)((?:\d[\d.,{_GROUPS}]*\d|\d|[.,]\d+)[.,]?)"
    rf"([eE][+-]?\d{{1,4}})?\s*({_CURRENCY}|%)?"
)
_PLAIN = r"\d+(?:{mark}\d*)?|{mark}\d+"
_GROUPED = r"[1-9]\d{{0,2}}(?P<g>[{other}" + _GROUPS + r"])\d{{3}}(?:(?P=g)\d{{3}})*(?:{mark}\d*)?"
_BODIES = {
    name: re.compile("|".join((_PLAIN, _GROUPED)).format(mark=re.escape(mark), other=re.escape(other)))
    for name, mark, other in ((POINT, ".", ","), (COMMA, ",", "."))
}
_CLOCK = r"(?:[T ]\s*(\d{1,2}):(\d{2})(?::(\d{2})(\.\d{1,6})?)?\s?([AaPp][Mm])?)?"
_DATE = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})" + _CLOCK)
_YEAR_FIRST = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})" + _CLOCK)
_FAST = re.compile(r"-?\d{1,300}(?:\.\d{1,300})?")
_OBVIOUS = re.compile(r"-?(?:\d*(?:(\.)|,)(?:\d{1,2}|\d{4,20})|(?:0|\d{4,20})(?:(\.)|,)\d{3})")
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_ISO_DATETIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:?\d{2})?")
_WHOLE = re.compile(r"[+-]?(0|[1-9]\d*)")
_PHONE = re.compile(r"\+\d{7,}")
_ZEROS = re.compile(r"[+-]?0\d+")
_YES_NO = (
    ("true", "false"), ("wahr", "falsch"), ("vrai", "faux"), ("verdadero", "falso"), ("vero", "falso"),
    ("yes", "no"), ("ja", "nein"), ("oui", "non"), ("sí", "no"), ("si", "no"), ("sì", "no"), ("on", "off"),
)  # fmt: skip
_SURE = frozenset(word for pair in _YES_NO[:5] for word in pair)  # a spreadsheet's own words for true and false
_INT64 = 1 << 63


@dataclass(frozen=True)
class Column:
    """One column. `type` is `text` where it is not known, else one of `string`, `integer`, `number`, `decimal` (its
    digits as a text), `boolean`, `date`, `datetime` (ISO 8601), `json`.
    """

    name: str
    type: str = "text"


@dataclass(frozen=True)
class Table:
    """Columns and, once, their rows. A row of another width than the header stays as it is.

    `total` is None when only reading tells; `notes` are sentences about how the file was understood; `sheets` are those
    of a workbook, the one that is read first.
    """

    columns: tuple[Column, ...]
    rows: Iterator[list[Json]]
    notes: tuple[str, ...] = ()
    delimiter: str = ""
    total: int | None = None
    sheets: tuple[str, ...] = ()


def unique_names(names: list[str]) -> list[str]:
    """Return column names that differ, with one for those that have none."""
    taken: set[str] = set()
    found = []
    for number, title in enumerate(names, 1):
        name = base = title.strip() or f"column {number}"
        count = 2
        while name in taken:
            name, count = f"{base}_{count}", count + 1
        taken.add(name)
        found.append(name)
    return found


class Choice(NamedTuple):
    """One reading of a column, with (text, value) of two cells as it would have them."""

    reading: str
    examples: tuple[tuple[str, str], ...]

    @property
    def label(self) -> str:
        """The choice for people: `1.234 is 1234, 5.678 is 5678`."""
        return ", ".join(f"{text} is {value}" for text, value in self.examples)


class Question(NamedTuple):
    """A column that can be read in two ways, and what each way gives."""

    column: str
    choices: tuple[Choice, ...]

    def __str__(self) -> str:
        ways = "; or ".join(f"{choice.label} ({choice.reading})" for choice in self.choices)
        return f"Column {self.column} can be read in two ways: {ways}."


# --- converting one cell ------------------------------------------------------------------------------------------


def number_text(text: str, reading: str = POINT) -> str | None:
    """Return the number of a text in Python's own notation, exactly; None when it is none in this reading.

    Thousands separators and currency signs are left out; a per cent is a hundredth: `12,5 %` is 0.125.
    """
    if reading == POINT and _FAST.fullmatch(text):
        return text
    found = _AMOUNT.fullmatch(text.strip()) if len(text) <= MAX_CHARS else None
    if not found or (found[2] and found[6] and found[6] != "%") or (found[1] and found[3]):
        return None
    if reading not in (POINT, COMMA):
        both = {_body(found[4], POINT), _body(found[4], COMMA)}
        body = both.pop() if len(both) == 1 else None
    else:
        body = _body(found[4], reading)
    if body is None:
        return None
    sign = "-" if (found[1] or found[3]) in ("-", "\u2212") else ""
    value = f"{sign}{body}{found[5] or ''}"
    return _plain(Decimal(value) / 100 if len(body) < 27 else Decimal(value).scaleb(-2)) if found[6] == "%" else value


def _plain(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _body(body: str, reading: str) -> str | None:
    if not _BODIES[reading].fullmatch(body):
        return None
    mark, other = (".", ",") if reading == POINT else (",", ".")
    digits = "".join(char for char in body if char not in _GROUPS and char != other)
    return digits.replace(mark, ".").rstrip(".")


def date_text(text: str, reading: str = "") -> str | None:
    """Return a date, or a date with a time, as ISO 8601; None when the text is none in this reading."""
    stripped = text.strip()
    if _ISO_DATE.fullmatch(stripped):
        return stripped if _reads(stripped) else None
    found = _YEAR_FIRST.fullmatch(stripped)
    if found:
        return _iso(found[1], found[2], found[3], found.groups()[3:])
    found = _DATE.fullmatch(stripped)
    if not found:
        return None
    first, mark, second = int(found[1]), found[2], int(found[3])
    if mark != "." and first != second and reading not in (DAY_FIRST, MONTH_FIRST):
        return None
    day, month = (second, first) if reading == MONTH_FIRST and mark != "." else (first, second)
    return _iso(found[4], month, day, found.groups()[4:])


def _iso(year: str, month: str | int, day: str | int, clock: tuple[str | None, ...]) -> str | None:
    hour, minute, second, fraction, half = clock
    try:
        day_text = date(int(year), int(month), int(day)).isoformat()
        if hour is None:
            return day_text
        hours = int(hour) if not half else int(hour) % 12 + 12 * (half.lower() == "pm")
        moment = datetime.fromisoformat(f"{day_text}T{hours:02}:{minute}:{second or '00'}")
    except ValueError:
        return None
    return moment.isoformat() + (fraction or "")


def parse_boolean(text: str) -> bool | None:
    """Return what a word of yes or no means, in the languages of spreadsheets; None for other words."""
    return _SWITCH.get(text.strip().casefold())


_SWITCH: dict[str, bool] = {word: place == 0 for pair in _YES_NO for place, word in enumerate(pair)}
_SWITCH |= {"1": True, "0": False}


# --- inferring a column -----------------------------------------------------------------------------------------------


class Survey:
    """What the texts of one column say about its reading. It keeps two examples, nothing else."""

    def __init__(self) -> None:
        self._sure: set[str] = set()
        self._units: set[str] = set()
        self._unsure: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {}  # text → its two readings
        self._has_comma = False

    def add(self, text: Json) -> None:
        """Look at one cell."""
        if not isinstance(text, str) or not text or text.isalpha():
            return
        if text.isdigit():
            self._units.add("")
        elif found := _OBVIOUS.fullmatch(text):
            self._units.add("")
            self._sure.add(POINT if found[1] or found[2] else COMMA)
        elif not _ISO_DATE.fullmatch(text):
            self._look(text.strip())

    def _look(self, text: str) -> None:
        if len(text) > MAX_CHARS:
            return
        if _DATE.fullmatch(text):
            self._weigh(text, (DAY_FIRST, MONTH_FIRST), date_text)
        elif amount := _AMOUNT.fullmatch(text):
            self._units.add(amount[2] or amount[6] or "")
            self._weigh(text, (POINT, COMMA), number_text)

    def _weigh(self, text: str, kinds: tuple[str, str], read: Any) -> None:
        values = {kind: value for kind in kinds if (value := read(text, kind)) is not None}
        if len(values) == 1 or (kinds[0] == DAY_FIRST and "." in text[:3] and values):
            self._sure.add(next(iter(values)))
        elif len(values) == 2 and values[kinds[0]] != values[kinds[1]]:
            self._has_comma = self._has_comma or "," in text
            if len(self._unsure) < 2:
                first, second = kinds
                self._unsure[text] = ((first, values[first]), (second, values[second]))

    def reading(self, delimiter: str = "") -> str:
        """Return the reading that all cells have, MIXED when they contradict each other, "" when it must be asked.

        Where commas separate the columns, a bare point begins the decimals.
        """
        if len(self._units) > 1 and ("%" in self._units or len(self._units - {""}) > 1):
            return MIXED
        if self._sure:
            return next(iter(self._sure)) if len(self._sure) == 1 else MIXED
        if not self._unsure:
            return POINT
        is_number = next(iter(self._unsure.values()))[0][0] == POINT
        return POINT if is_number and delimiter == "," and not self._has_comma else ""

    def question(self, column: str) -> Question:
        """Return what to ask where `reading` is ""."""
        pairs = list(self._unsure.items())
        choices = []
        for place in (0, 1):
            reading = pairs[0][1][place][0]
            examples = tuple((text, found[place][1]) for text, found in pairs if found[place][0] == reading)
            choices.append(Choice(reading, examples))
        return Question(column, tuple(choices))


def decide_readings(
    names: Sequence[str],
    rows: Iterable[Sequence[Json]],
    kinds_asked: Mapping[str, str],
    answers: Mapping[str, str],
    delimiter: str = "",
) -> tuple[dict[str, str], tuple[Question, ...]]:
    """Return the readings of the columns of `kinds_asked` ("number", "date" or "any"), and the questions that are left.

    `answers` says the reading of a column before anything is looked at. POINT, the rule, is left out.
    """
    places = {name: names.index(name) for name in kinds_asked if name not in answers}
    surveys = {name: Survey() for name in places}
    if places:
        looks = [(surveys[name].add, place) for name, place in places.items()]
        for row in rows:
            for add, place in looks:
                if place < len(row):
                    add(row[place])
    readings = {name: reading for name, reading in answers.items() if name in kinds_asked}
    questions = []
    for name, survey in surveys.items():
        reading = survey.reading(delimiter)
        if not reading and (
            kinds_asked[name] == "any" or survey.question(name).choices[0].reading in _ASKED[kinds_asked[name]]
        ):
            questions.append(survey.question(name))
        elif reading:
            readings[name] = reading
    return {name: reading for name, reading in readings.items() if reading != POINT}, tuple(questions)


_ASKED = {"number": (POINT, COMMA), "date": (DAY_FIRST, MONTH_FIRST)}


def infer_column(texts: Sequence[str | None], reading: str = POINT) -> tuple[str, list[Json]]:
    """Return the type of a column of texts and its values as that type; what fits no type stays text, exactly.

    Leading zeros stay text, whole numbers beyond 64 bits too; numbers that a float would change are `decimal`.
    """
    cells = [text for text in texts if text]
    for kind, read in (
        ("integer", _integers), ("number", _numbers), ("boolean", _booleans), ("date", _dates), ("datetime", _datetimes)
    ):  # fmt: skip
        values = read(cells, reading) if cells else None
        if values is not None:
            filled = iter(values)
            found = "decimal" if kind == "number" and values and isinstance(values[0], str) else kind
            return found, [next(filled) if text else None for text in texts]
    return "string", [text or None for text in texts]


def _integers(cells: list[str], reading: str) -> list[Json] | None:
    values = []
    for cell in cells:
        text = number_text(cell, reading)
        if text is None or not _WHOLE.fullmatch(text) or _PHONE.fullmatch(cell) or _ZEROS.fullmatch(cell.strip()):
            return None
        values.append(int(text))
    return values if all(-_INT64 <= value < _INT64 for value in values) else None


def _numbers(cells: list[str], reading: str) -> list[Json] | None:
    texts = []
    for cell in cells:
        text = number_text(cell, reading)
        if text is None or _ZEROS.fullmatch(text) or _PHONE.fullmatch(cell):
            return None
        texts.append(text)
    numbers = [float(text) for text in texts]
    if all(_is_exact(text, number) for text, number in zip(texts, numbers, strict=True)):
        return numbers
    is_whole = all(_WHOLE.fullmatch(text) for text in texts)
    return None if is_whole else [text.lstrip("+") for text in texts]


def _is_exact(text: str, number: float) -> bool:
    is_finite = abs(number) <= 1.7976931348623157e308
    return is_finite and (len(text) <= 15 or Decimal(repr(number)) == Decimal(text))


def _booleans(cells: list[str], _reading: str) -> list[Json] | None:
    """A column that says only `no` may be Norway's: both words must be there, unless they are a spreadsheet's own."""
    words = {cell.strip().casefold() for cell in cells}
    is_pair = any(words == set(pair) for pair in _YES_NO)
    is_sure = words <= _SURE and any(words <= set(pair) for pair in _YES_NO)
    return [_SWITCH[cell.strip().casefold()] for cell in cells] if is_pair or is_sure else None


def _dates(cells: list[str], reading: str) -> list[Json] | None:
    values = [date_text(cell, reading) for cell in cells]
    return values if all(value and _ISO_DATE.fullmatch(value) for value in values) else None


def _datetimes(cells: list[str], reading: str) -> list[Json] | None:
    values: list[Json] = []
    for cell in cells:
        value = cell.strip().replace(" ", "T", 1) if _ISO_DATETIME.fullmatch(cell.strip()) else date_text(cell, reading)
        if not value or len(value) < 16 or not _reads(value):
            return None
        values.append(value)
    zoned = {datetime.fromisoformat(value).tzinfo is None for value in values}
    return values if len(zoned) == 1 else None


def _reads(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
