"""What a column of texts means: decided by all of its cells, asked where they leave two readings, exact."""

from __future__ import annotations

from typing import Any

import pytest

from matinee.errors import InputError, UsageError
from matinee.tables.columns import (
    COMMA,
    DAY_FIRST,
    MIXED,
    MONTH_FIRST,
    POINT,
    Survey,
    date_text,
    number_text,
    parse_boolean,
)
from matinee.tables.uploads import AmbiguousTableError, read_frame


def reading(*texts: str, delimiter: str = "") -> str:
    survey = Survey()
    for text in texts:
        survey.add(text)
    return survey.reading(delimiter)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("1.234", "1.234,5"), COMMA),
        (("1,234", "1,234.5"), POINT),
        (("1.234", "0.5"), POINT),
        (("1.234", "0,5"), COMMA),
        (("1.234.567",), COMMA),
        (("1,234,567",), POINT),
        (("1.234", "12.345"), ""),
        (("1,234", "x"), ""),
        (("0.125",), POINT),
        (("1234.567",), POINT),
        (("12", "7"), POINT),
        (("1,5", "1.5"), MIXED),
        (("5 €", "5 $"), MIXED),
        (("12 %", "0,5"), MIXED),
        (("31/01/1998", "01/02/1998"), DAY_FIRST),
        (("01/31/1998", "01/02/1998"), MONTH_FIRST),
        (("01/02/1998", "03/04/1998"), ""),
        (("01/01/1998",), POINT),
        (("01.02.1998",), DAY_FIRST),
        (("31/01/1998", "01/31/1998"), MIXED),
    ],
)
def test_all_cells_of_a_column_decide_its_reading(texts: tuple[str, ...], expected: str) -> None:
    assert reading(*texts) == expected
    assert reading(*reversed(texts)) == expected


def test_where_commas_separate_the_columns_a_bare_point_begins_the_decimals() -> None:
    assert reading("1.234", delimiter=",") == POINT
    assert reading("1,234", delimiter=",") == ""
    assert reading("1.234", delimiter=";") == ""


@pytest.mark.parametrize(
    ("text", "by_point", "by_comma"),
    [
        ("1.234", "1.234", "1234"),
        ("1,234", "1234", "1.234"),
        ("1.234,5", None, "1234.5"),
        ("1 234,5", None, "1234.5"),
        ("1'234.50", "1234.50", None),
        ("-1,5", None, "-1.5"),
        ("1,234,5", None, None),
        ("€ 5", "5", "5"),
        ("5,00 EUR", None, "5.00"),
        ("-$5.50", "-5.50", None),
        ("12 %", "0.12", "0.12"),
        ("12,5%", None, "0.125"),
        ("1e3", "1e3", "1e3"),
        ("12345678901234567.89", "12345678901234567.89", None),
        ("nan", None, None),
        ("1_000", None, None),
        ("5 kg", None, None),
        ("-" + " " * 1000 + "x", None, None),
    ],
)
def test_a_number_is_read_exactly_in_a_reading(text: str, by_point: str | None, by_comma: str | None) -> None:
    assert (number_text(text, POINT), number_text(text, COMMA)) == (by_point, by_comma)
    expected = by_point if by_point == by_comma else None
    assert number_text(text, MIXED) == expected, "a contradictory column has only what all readings take alike"


@pytest.mark.parametrize(
    ("text", "how", "expected"),
    [
        ("31.01.1998", "", "1998-01-31"),
        ("1.2.1998", MONTH_FIRST, "1998-02-01"),
        ("01/02/1998", DAY_FIRST, "1998-02-01"),
        ("01/02/1998", MONTH_FIRST, "1998-01-02"),
        ("01/02/1998", "", None),
        ("1998/02/01", "", "1998-02-01"),
        ("31.01.1998 14:30", "", "1998-01-31T14:30:00"),
        ("1/31/1998 2:05:09 PM", MONTH_FIRST, "1998-01-31T14:05:09"),
        ("31.02.1998", "", None),
        ("31.01.98", "", None),
        ("1998-02-30", "", None),
    ],
)
def test_a_date_is_read_in_a_reading_or_not_at_all(text: str, how: str, expected: str | None) -> None:
    assert date_text(text, how) == expected


def test_words_of_yes_and_no_are_those_of_spreadsheets() -> None:
    assert [parse_boolean(word) for word in ("ja", "Nein", "WAHR", "FALSCH", "yes", "non", "vielleicht")] == [
        True, False, True, False, True, False, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["1009513310189256287", "1"], "integer", [1009513310189256287, 1]),
        (["99999999999999999999"], "string", ["99999999999999999999"]),
        (["12345678901234567.89", ""], "decimal", ["12345678901234567.89", None]),
        (["0.30000000000000004"], "number", [0.30000000000000004]),
        (["007", "1"], "string", ["007", "1"]),
        (["+491701234567"], "string", ["+491701234567"]),
        (["WAHR", "FALSCH"], "boolean", [True, False]),
        (["ja", "nein"], "boolean", [True, False]),
        (["NO", "NO"], "string", ["NO", "NO"]),
        (["yes", "nein"], "string", ["yes", "nein"]),
        (["31.01.1998", "1.2.1998"], "date", ["1998-01-31", "1998-02-01"]),
        (["31.01.1998 10:00"], "datetime", ["1998-01-31T10:00:00"]),
        (["2026-06-01T08:30:00+02:00"], "datetime", ["2026-06-01T08:30:00+02:00"]),
        (["2026-06-01T08:30:00+02:00", "2026-06-01T08:30:00"], "string", None),
        (["inf", "1"], "string", ["inf", "1"]),
        (["1,5", "1.5"], "string", ["1,5", "1.5"]),
    ],
)
def test_a_column_without_a_declared_type_has_that_of_its_cells_exactly(
    cells: list[str], kind: str, values: list[Any] | None
) -> None:
    table = read_frame("\n".join(["id;column", *(f"x;{cell}" for cell in cells)]).encode())
    assert table["$table"][1]["type"] == kind
    assert [row[1] for row in table["rows"]] == (cells if values is None else values)


def test_two_readings_are_asked_with_two_examples_of_each() -> None:
    data = b"id;amount\na;1.234\nb;5.678\nc;9.999\n"
    with pytest.raises(AmbiguousTableError) as error:
        read_frame(data, "df", how="Say {column}={reading}.")
    (question,) = error.value.questions
    assert [(choice.reading, choice.examples) for choice in question.choices] == [
        (POINT, (("1.234", "1.234"), ("5.678", "5.678"))),
        (COMMA, (("1.234", "1234"), ("5.678", "5678"))),
    ]
    assert "df: Column amount can be read in two ways: 1.234 is 1.234" in str(error.value)
    assert "Say amount=point." in str(error.value)
    assert [row[1] for row in read_frame(data, readings={"amount": COMMA})["rows"]] == [1234, 5678, 9999]
    assert [row[1] for row in read_frame(data, readings={"amount": POINT})["rows"]] == [1.234, 5.678, 9.999]
    with pytest.raises(UsageError, match="no reading 'comma ' for amount"):
        read_frame(data, readings={"amount": "comma "})


def test_dates_of_two_orders_are_asked() -> None:
    with pytest.raises(InputError, match=r"01/02/2020 is 2020-02-01.*day-first.*2020-01-02.*month-first"):
        read_frame(b"day\n01/02/2020\n")
