"""A number is read with all its digits, in the reader's own signs."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matinee.ui.text import DIGITS, format_number


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (30_319_000.0, "30,319,000"),
        (30319000, "30,319,000"),
        (1234567.125, "1,234,567.125"),
        (123456789.123456, "123,456,789.123456"),
        (0.1 + 0.2, "0.3"),
        (1 / 3, "0.333333333333333"),
        (3.0, "3"),
        (-0.0, "-0"),
        (1234, "1234"),
        (1234.5, "1234.5"),
        (12345, "12,345"),
        (-12345.5, "-12,345.5"),
        (2_000_000_000_000_000_000, "2000000000000000000"),  # an id
        (1e20, "100,000,000,000,000,000,000"),
        (1e300, "1e+300"),
        (0.000001, "0.000001"),
        (2.5e-9, "2.5e-9"),
        (Decimal("1234567.1000"), "1,234,567.1000"),
        (Decimal("0.1234567890123456789"), "0.1234567890123456789"),
    ],
)
def test_all_digits_are_shown(value, shown):
    assert format_number(value) == shown


@pytest.mark.parametrize("name", ["id", "customer_id", "Customer id", "customerId", "IDs", "year", "Zip code", "sku_1"])
def test_what_is_no_amount_is_not_grouped(name):
    assert format_number(12345678, name) == "12345678"


@pytest.mark.parametrize("name", ["", "price", "width", "paid", "valid amount", "keyboard sales", "yearly income"])
def test_what_only_sounds_like_an_id_is_grouped(name):
    assert format_number(12345678, name) == "12,345,678"


@pytest.mark.parametrize(
    ("locale", "shown"),
    [
        ("", "1,234,567.5"),
        ("en-GB", "1,234,567.5"),
        ("de-DE", "1.234.567,5"),
        ("de", "1.234.567,5"),
        ("de-CH", "1\u2019234\u2019567.5"),
        ("fr-FR", "1\u00a0234\u00a0567,5"),
        ("pt-BR", "1.234.567,5"),
        ("es-MX", "1,234,567.5"),
        ("xx-YY", "1,234,567.5"),
    ],
)
def test_the_reader_s_locale_decides_the_signs(locale, shown):
    assert format_number(1234567.5, locale=locale) == shown


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_what_is_shown_is_the_value_to_the_last_digit_that_a_float_keeps(value):
    shown = format_number(value)
    assert float(shown.replace(",", "")) == float(f"{value:.{DIGITS}g}")
    assert format_number(value, locale="de-DE").replace(".", "").replace(",", ".") == shown.replace(",", "")
