"""View blocks as Streamlit elements, each with its downloads. What a predictor or a person wrote is shown as text."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from decimal import Decimal
from html import escape
from typing import Any, Literal

import streamlit as st
from streamlit.elements.lib.layout_utils import LayoutConfig
from streamlit.proto.PlotlyChart_pb2 import PlotlyChart
from streamlit.proto.VegaLiteChart_pb2 import VegaLiteChart

from matinee.errors import MatineeError
from matinee.ui import results
from matinee.ui import text as ui_text
from matinee.ui.results import Block, Download, Json
from matinee.ui.text import escaped
from matinee.values import pictures

_log = logging.getLogger(__name__)

ROWS = 100  # of a table shown on the page; the download has all
COLUMNS = 40
FIXED_ROWS = 12  # a longer table scrolls
SHARES = 8  # probabilities shown, if they are not FAINT
FAINT = 0.001
SEARCHED_ROWS = 5  # a longer table can be searched and sorted
CELL = 80  # characters of a cell shown before it is opened
LONGEST_CELL = 20_000  # characters of an open one

ReadBlob = Callable[[Json], bytes]


def draw(block: Block, key: str, read_blob: ReadBlob) -> None:
    """Draw a block and below it what there is to download; `key` keeps the buttons of a page apart."""
    _draw(block, read_blob, key)
    buttons = _downloads(block)
    with st.container(horizontal=True) if len(buttons) > 1 else nullcontext():
        for i, download in enumerate(buttons):
            _button(download, f"{key}:{i}", read_blob)


def draw_inputs(block: Block, key: str, read_blob: ReadBlob) -> None:
    """Draw inputs: short values in small type, one a line."""
    entries = block.entries if isinstance(block, results.Record) else (("", block),)
    short = [f"{escaped(name)}  **{escaped(_short(part, name))}**" for name, part in entries if _is_short(part)]
    if short:
        st.markdown("  \n".join(short))
    long = tuple((name, part) for name, part in entries if not _is_short(part))
    draw(results.Record(long), key, read_blob)


def _draw(block: Block, read_blob: ReadBlob, key: str) -> None:
    if isinstance(block, results.Media):
        _media(block, read_blob)
    elif isinstance(block, results.Record):
        _record(block, read_blob, key)
    elif isinstance(block, results.Table):
        _table(block, key)
    elif isinstance(block, results.Items):
        for number, part in enumerate(block.blocks):
            _draw(part, read_blob, f"{key}:{number}")
    else:
        _PLAIN[type(block)](block)


def _text(block: results.Text) -> None:
    if block.is_markdown:
        st.markdown(block.text)
    else:
        st.text(block.text)


def _number(block: results.Number) -> None:
    st.markdown(f"**{escaped(_figure(block))}**")


def _figure(block: results.Number, name: str = "") -> str:
    if isinstance(block.value, bool):
        return ui_text.humanize(block.value)
    return ui_text.format_number(block.value, name, ui_text.reader_locale())


def _words(block: results.Words) -> None:
    with st.container(horizontal=True, gap="small"):
        for word in block.words:
            st.badge(escaped(word) or " ", color="gray")


def _shares(block: results.Shares) -> None:
    likely = [(name, share) for name, share in block.shares[:SHARES] if share >= FAINT] or block.shares[:1]
    for name, share in likely:
        st.progress(share, text=f"{escaped(name)} · {share:.1%}")
    others = len(block.shares) - len(likely)
    if others:
        most = max(block.shares[len(likely)][1], FAINT)
        st.caption(f"{others} more, each at most {most:.1%}")


def _empty(_: results.Empty) -> None:
    st.caption("Nothing")


def _tree(block: results.Tree) -> None:
    st.json(block.value, expanded=2)


def _record(block: results.Record, read_blob: ReadBlob, key: str) -> None:
    """Short values stand side by side in large type, in front of what needs the width."""
    short = [(name, _short(part, name)) for name, part in block.entries if _is_short(part)]
    if short:  # one element, where st.metric makes one for each and a row around them
        values = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in short)
        st.html(f'<dl class="matinee-values">{values}</dl>')
    for number, (name, part) in enumerate(block.entries):
        if not _is_short(part):
            st.caption(escaped(name))
            with st.container(border=isinstance(part, results.Record)):
                _draw(part, read_blob, f"{key}:{number}")


def _is_short(part: Block) -> bool:
    if isinstance(part, results.Text):
        return not part.is_markdown and "\n" not in part.text and len(part.text) <= results.SHORT_TEXT
    return isinstance(part, (results.Number, results.Empty))


def _short(part: Block, name: str) -> str:
    if isinstance(part, results.Number):
        return _figure(part, name)
    return part.text if isinstance(part, results.Text) and part.text else "—"


# --- tables -----------------------------------------------------------------------------------------------------------
# A table as plain HTML: it costs no pandas, which would take 80 MB. Long texts open in their cell.


def _table(block: results.Table, key: str) -> None:
    """Draw a table; a longer one can be searched and sorted, all of its rows, whatever the page shows of them."""
    rows = block.rows
    if len(rows) > SEARCHED_ROWS:
        st.fragment(_searched_table)(block, key)
    else:
        _draw_rows(block, rows)


def _searched_table(block: results.Table, key: str) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        words = st.text_input("Search the table", key=f"{key}:search", icon=":material/search:", width=260) or ""
        titles = [escaped(title) or " " for title in block.columns]
        column = st.selectbox(
            "Sort by", range(len(titles)), None, format_func=titles.__getitem__, key=f"{key}:sort", width=200
        )
        is_falling = st.toggle("Largest first", key=f"{key}:falling", disabled=column is None)
    rows = sort_rows(find_rows(block.rows, words), column, is_falling=is_falling)
    if rows:
        _draw_rows(block, rows)
    else:
        st.caption("No row has these words.")


def find_rows(rows: Sequence[Sequence[Json]], text: str) -> list[Sequence[Json]]:
    """Return the rows that hold every word of a text, in any cell, as it is stored or as it is shown."""
    words, locale = text.casefold().split(), ui_text.reader_locale() if text else ""
    return [row for row in rows if all(word in _row_text(row, locale) for word in words)]


def _row_text(row: Sequence[Json], locale: str) -> str:
    shown = (ui_text.format_number(value, "", locale) for value in row if _is_number(value) and value is not None)
    return "\n".join((*map(str, row), *shown)).casefold()


def sort_rows(rows: Sequence[Sequence[Json]], column: int | None, *, is_falling: bool = False) -> list[Sequence[Json]]:
    """Return the rows in the order of a column; numbers before texts, and what is not there always last."""
    if column is None:
        return list(rows)
    there = [row for row in rows if column < len(row) and row[column] is not None]
    missing = [row for row in rows if column >= len(row) or row[column] is None]
    return [*sorted(there, key=lambda row: _rank(row[column]), reverse=is_falling), *missing]


def _rank(value: Json) -> tuple[int, Any, str]:
    if isinstance(value, (int, float)):
        return 0, value, ""
    try:
        return 0, Decimal(value), ""  # how a Decimal is stored
    except (ArithmeticError, TypeError, ValueError):
        return 1, 0, str(value).casefold()


def _draw_rows(block: results.Table, rows: Sequence[Sequence[Json]]) -> None:
    shown = [row[:COLUMNS] for row in rows[:ROWS]]
    with st.container(height=440 if len(shown) > FIXED_ROWS else "content", border=False):
        st.html(table_html(replace(block, rows=tuple(map(tuple, shown))), ui_text.reader_locale()))
    if len(block.columns) > COLUMNS:
        st.caption(f"The first {COLUMNS} of {len(block.columns):,} columns; the download has all.")
    if len(rows) > len(shown):
        st.caption(f"The first {len(shown)} of {len(rows):,} rows; the download has all.")


def table_html(block: results.Table, locale: str = "") -> str:
    """Return the table's HTML, with everything in it as text."""
    columns = block.columns[:COLUMNS]
    kinds = [*block.kinds, *[""] * len(columns)][: len(columns)]
    numeric = [_is_numeric(kind, [row[i] for row in block.rows if i < len(row)]) for i, kind in enumerate(kinds)]
    signs = [' class="matinee-number"' if is_number else "" for is_number in numeric]
    heads = "".join(f'<th scope="col"{sign}>{escape(name)}</th>' for name, sign in zip(columns, signs, strict=True))
    lines = "".join(
        "<tr>"
        + "".join(
            f"<td{sign}>{_cell(value, kind, name, locale)}</td>"
            for value, kind, name, sign in zip(row, kinds, columns, signs, strict=False)
        )
        + "</tr>"
        for row in block.rows
    )
    table = f'<table class="matinee-table"><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>'
    return f'<div class="matinee-scroll" role="region" aria-label="Table" tabindex="0">{table}</div>'


def _is_numeric(kind: str, values: Sequence[Json]) -> bool:
    return bool(values) and (kind == "decimal" or all(map(_is_number, values)))


def _is_number(value: Json) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _cell(value: Json, kind: str, name: str, locale: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return ui_text.humanize(value)
    if isinstance(value, (int, float)):
        return ui_text.format_number(value, name, locale)
    if kind == "decimal" and isinstance(value, str):
        return escape(ui_text.format_number(Decimal(value), name, locale) if _is_finite(value) else value)
    text = str(value)
    if len(text) <= CELL:
        return escape(text)
    rest = "" if len(text) <= LONGEST_CELL else " … (the download has all)"
    return f"<details><summary>{escape(text[: CELL - 1])}…</summary>{escape(text[:LONGEST_CELL])}{rest}</details>"


def _is_finite(text: str) -> bool:
    try:
        return Decimal(text).is_finite()
    except ArithmeticError:
        return False


# --- files and figures --------------------------------------------------------------------------------------------


def _media(block: results.Media, read_blob: ReadBlob) -> None:
    if block.kind in PLAYERS:
        PLAYERS[block.kind](block.blob, read_blob)


def sound(blob: Json, read_blob: ReadBlob) -> None:
    """Draw a sound with its controls."""
    with explain_unreadable():
        st.audio(read_blob(blob), format=str(blob["$blob"]))


def video(blob: Json, read_blob: ReadBlob) -> None:
    """Draw a video with its controls."""
    with explain_unreadable():
        st.video(read_blob(blob), format=str(blob["$blob"]))


def picture(blob: Json, read_blob: ReadBlob, *, width: int | Literal["content"] = "content") -> None:
    """Draw a picture; what only claims to be one is said, never a failure of the page."""
    with explain_unreadable():
        st.image(pictures.preview(read_blob(blob)), width=width, alt=str(blob.get("name") or "picture"))


@contextmanager
def explain_unreadable() -> Iterator[None]:
    """Say instead of raising when a file is gone or is not what it claims to be (Pillow's errors are of many kinds)."""
    try:
        yield
    except MatineeError as error:
        st.caption(escaped(error.message))
    except Exception as error:
        _log.info("A file that cannot be shown: %r", error)
        st.caption("This file cannot be shown.")


def _drawn_figure(block: results.Figure) -> None:
    """The browser draws it from the stored result."""
    if block.kind == "vega-lite":
        vega_lite(block.spec)
    elif block.kind == "plotly":
        plotly(block.spec)
    else:
        st.json(block.spec, expanded=False)


def _downloads(block: Block) -> list[Download]:
    """Return what there is to save, each part's named after it."""
    if isinstance(block, results.Record):
        return [_named(name, download) for name, part in block.entries for download in _downloads(part)]
    if isinstance(block, results.Items):
        return [download for part in block.blocks for download in _downloads(part)]
    return list(getattr(block, "downloads", ()))


def _named(name: str, download: Download) -> Download:
    return replace(download, label=f"{name} · {download.label}")


def _button(download: Download, key: str, read_blob: ReadBlob) -> None:
    """What is saved is made when the button is pressed, not when the page is drawn."""
    st.download_button(
        escaped(download.label),
        data=download.make or (lambda: read_blob(download.blob)),
        file_name=download.file_name,
        mime=download.media_type,
        key=f"download:{key}",
        icon=":material/download:",
        on_click="ignore",
    )


PLAYERS: dict[str, Callable[..., None]] = {"image": picture, "audio": sound, "video": video}  # by row of the registry

_PLAIN: dict[type, Callable[[Any], None]] = {
    results.Empty: _empty,
    results.Text: _text,
    results.Number: _number,
    results.Words: _words,
    results.Shares: _shares,
    results.Figure: _drawn_figure,
    results.Tree: _tree,
}


# --- interactive figures ----------------------------------------------------------------------------------------------
# Figures drawn by the browser from their JSON alone.
#
# `st.plotly_chart` wants plotly (30 MB) and `st.vega_lite_chart` pandas and pyarrow (80 MB) only to pass on what the
# predictor has written already. The messages are Streamlit's own; the browser tests see that it still draws them.


COMPOSED = ("hconcat", "vconcat", "concat", "repeat", "facet")  # several views cannot be fitted into a width


def plotly(spec: Json) -> None:
    """Draw a plotly figure (`data` and `layout`)."""
    chart = PlotlyChart()
    chart.spec = json.dumps(spec)
    chart.id = f"matinee-plotly-{hashlib.sha256(chart.spec.encode()).hexdigest()[:16]}"
    chart.theme = "streamlit"
    chart.config = json.dumps({"displaylogo": False})
    st._main._enqueue("plotly_chart", chart, layout_config=LayoutConfig(width="stretch", height="content"))


def vega_lite(spec: Json) -> None:
    """Draw a Vega-Lite figure, as altair writes them, with its data inside."""
    chart = VegaLiteChart()
    is_single = isinstance(spec, Mapping) and not any(key in spec for key in COMPOSED)
    fitted = {"autosize": {"type": "fit" if is_single else "pad", "contains": "padding"}}
    chart.spec = json.dumps({**fitted, **spec})
    chart.theme = "streamlit"
    width: Any = "stretch" if is_single else "content"
    st._main._enqueue("vega_lite_chart", chart, layout_config=LayoutConfig(width=width, height="content"))
