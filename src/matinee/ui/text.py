"""Words for people: labels, ages, durations, sizes; and their text made safe to show."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Callable
from decimal import Decimal
from typing import ParamSpec

import streamlit as st

from matinee.errors import MatineeError

_log = logging.getLogger(__name__)
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$:=^&@])")


def humanize(value: object) -> str:
    """Return a label for a name or a choice: `past_activity` → "Past activity"; what is no identifier stays as is."""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    text = str(value)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", text):
        return text
    spaced = text.replace("_", " ").strip()
    return spaced[:1].upper() + spaced[1:]


def escaped(text: object) -> str:
    """Return one line of text that Markdown (Streamlit's dialect, with `:icons:` and `$maths$`) shows as it is."""
    line = " ".join(str(text).split("\n")).replace("\r", " ")
    return _MARKDOWN.sub(r"\\\1", line)


def format_age(seconds: float) -> str:
    """Return how long ago: "just now", "5 minutes ago", "3 days ago"."""
    if seconds < 45:
        return "just now"
    for size, unit in ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute")):
        count = int(seconds / size + 0.25)
        if count >= 1:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "a minute ago"


def format_duration(seconds: float) -> str:
    """Return a duration: "38 ms", "2.4 s", "3 min 20 s", "2 h 5 min"."""
    if seconds < 0.9995:
        return f"{max(0, round(seconds * 1000))} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(count: int) -> str:
    """Return a size in bytes: "812 B", "1.4 MB"."""
    amount = float(count)
    for unit in ("B", "KB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


# --- formatting numbers -----------------------------------------------------------------------------------------------
# A number is shown with all its digits, in the signs of who reads it; what is saved has the exact value.

DIGITS = 15  # significant ones that every float keeps
LONGEST_INTEGER = 15  # digits; a longer one is an id
ZEROS = 6  # a smaller fraction, or a float of more than 21 digits, is written as a power of ten, as browsers do
_ID = re.compile(r"(^|[\W_])(id|ids|code|zip|plz|postcode|isbn|ean|gtin|sku|iban|phone|year|jahr)s?($|[\W_\d])")
_COMMA_AND_POINT = "de es it nl pt id da el hr sl sr tr ro vi is ca gl eu bs mk"
_COMMA_AND_SPACE = "fr cs sk pl ru uk bg hu fi sv nb nn no lv lt et de-AT pt-PT en-ZA fr-CH"
_POINT_AND_COMMA = "es-MX es-US es-419 es-GT es-PE es-DO es-HN es-NI es-PA es-SV es-PR"
_POINT_AND_APOSTROPHE = "de-CH de-LI it-CH"
SEPARATORS = {  # by language, or language and region: of decimals, of thousands (Unicode CLDR)
    **dict.fromkeys(_COMMA_AND_POINT.split(), (",", ".")),
    **dict.fromkeys(_COMMA_AND_SPACE.split(), (",", "\u00a0")),
    **dict.fromkeys(_POINT_AND_COMMA.split(), (".", ",")),
    **dict.fromkeys(_POINT_AND_APOSTROPHE.split(), (".", "\u2019")),
}


def reader_locale() -> str:
    """Return the locale of the browser that looks at this page, as in "de-CH"; "" if it said none."""
    return str(st.context.locale or "")


def format_number(value: float | Decimal, name: str = "", locale: str = "") -> str:
    """Return a number with all its digits, of a float the DIGITS that it keeps, grouped from five digits on.

    What is no amount is not grouped: a year, an id by the `name` of its field or column or by its length.
    """
    whole, point, fraction = _plain_digits(value).partition(".")
    if "e" in whole + fraction:
        decimal, _ = _separators(locale)
        return f"{whole}{point}{fraction}".replace(".", decimal)
    decimal, group = _separators(locale)
    sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    is_id = isinstance(value, int) and (len(digits) > LONGEST_INTEGER or _names_id(name))
    if len(digits) > 4 and not is_id:
        digits = f"{int(digits):,}".replace(",", group)
    return f"{sign}{digits}{decimal if point else ''}{fraction}"


def _plain_digits(value: float | Decimal) -> str:
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    exact = Decimal(f"{value:.{DIGITS}g}")
    is_plain = exact == 0 or -ZEROS <= exact.adjusted() < 21
    text = f"{exact:f}" if is_plain else f"{exact.normalize():e}"
    return text.rstrip("0").rstrip(".") if is_plain and "." in text else text


def _names_id(name: str) -> bool:
    return _ID.search(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()) is not None


def _separators(locale: str) -> tuple[str, str]:
    language = locale.replace("_", "-")
    return SEPARATORS.get(language) or SEPARATORS.get(language.partition("-")[0]) or (".", ",")


# --- showing errors ---------------------------------------------------------------------------------------------------
# Errors as a person reads them: one sentence and what to do next, wherever on a page they happen.

P = ParamSpec("P")


def show_error(error: MatineeError) -> None:
    """Show any of our errors as one sentence and its hint."""
    st.error(escaped(error.message), icon=":material/error:")
    if error.hint:
        st.caption(escaped(error.hint))


def show_fault() -> None:
    """Say that a fault of ours kept a page from being drawn, and log it: never with Streamlit's own words."""
    _log.exception("A page could not be drawn")
    show_error(
        MatineeError(
            "Something went wrong on this page, and nothing you filled in is to blame.",
            hint="Load it again. If it fails again, tell whoever made this app: its log says why.",
        )
    )


def show_errors_of(draw: Callable[P, None]) -> Callable[P, None]:
    """Return what draws the same and shows an error instead of raising it; a fault of ours is logged, and shown too."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            draw(*args, **kwargs)
        except MatineeError as error:
            show_error(error)
        except Exception:  # whatever it is, a person reads a sentence
            show_fault()

    return drawn
