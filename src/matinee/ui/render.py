"""View blocks as Streamlit elements, each with its downloads. What a predictor or a person wrote is shown as text."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
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
CELL = 80  # characters of a cell shown

ReadBlob = Callable[[Json], bytes]


def draw(block: Block, key: str, read_blob: ReadBlob) -> None:
    """Draw a block and below it what there is to download; `key` keeps the buttons of a page apart."""
    _draw(block, read_blob)
    buttons = _downloads(block)
    with st.container(horizontal=True) if len(buttons) > 1 else nullcontext():
        for i, download in enumerate(buttons):
            _button(download, f"{key}:{i}", read_blob)


def draw_inputs(block: Block, key: str, read_blob: ReadBlob) -> None:
    """Draw inputs: short values in small type, one a line."""
    entries = block.entries if isinstance(block, results.Record) else (("", block),)
    short = [f"{escaped(name)}  **{escaped(_short(part))}**" for name, part in entries if _is_short(part)]
    if short:
        st.markdown("  \n".join(short))
    long = tuple((name, part) for name, part in entries if not _is_short(part))
    draw(results.Record(long), key, read_blob)


def _draw(block: Block, read_blob: ReadBlob) -> None:
    if isinstance(block, results.Media):
        _media(block, read_blob)
    elif isinstance(block, results.Record):
        _record(block, read_blob)
    elif isinstance(block, results.Items):
        for part in block.blocks:
            _draw(part, read_blob)
    else:
        _PLAIN[type(block)](block)


def _text(block: results.Text) -> None:
    if block.is_markdown:
        st.markdown(block.text)
    else:
        st.text(block.text)


def _number(block: results.Number) -> None:
    st.markdown(f"**{_figure(block)}**")


def _figure(block: results.Number) -> str:
    return ui_text.humanize(block.value) if isinstance(block.value, bool) else ui_text.format_number(block.value)


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


def _record(block: results.Record, read_blob: ReadBlob) -> None:
    """Short values stand side by side in large type, in front of what needs the width."""
    short = [(name, _short(part)) for name, part in block.entries if _is_short(part)]
    if short:  # one element, where st.metric makes one for each and a row around them
        values = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in short)
        st.html(f'<dl class="matinee-values">{values}</dl>')
    for name, part in block.entries:
        if not _is_short(part):
            st.caption(escaped(name))
            with st.container(border=isinstance(part, results.Record)):
                _draw(part, read_blob)


def _is_short(part: Block) -> bool:
    if isinstance(part, results.Text):
        return not part.is_markdown and "\n" not in part.text and len(part.text) <= results.SHORT_TEXT
    return isinstance(part, (results.Number, results.Empty))


def _short(part: Block) -> str:
    if isinstance(part, results.Number):
        return _figure(part)
    return part.text if isinstance(part, results.Text) and part.text else "—"


def _table(block: results.Table) -> None:
    """Draw a Markdown table: it costs no pandas, which would take 80 MB, and no HTML of ours."""
    columns, shown = block.columns[:COLUMNS], [row[:COLUMNS] for row in block.rows[:ROWS]]
    numeric = [all(_is_number(row[i]) for row in shown if i < len(row)) for i in range(len(columns))]
    lines = [
        _line(map(str, columns)),
        _line_of(["---:" if n and shown else "---" for n in numeric]),
        *(_line(map(_cell, row)) for row in shown),
    ]
    with st.container(height=440 if len(shown) > FIXED_ROWS else "content", border=False):
        st.markdown("\n".join(lines))
    if len(block.columns) > COLUMNS:
        st.caption(f"The first {COLUMNS} of {len(block.columns):,} columns; the download has all.")
    if len(block.rows) > len(shown):
        st.caption(f"The first {len(shown)} of {len(block.rows):,} rows; the download has all.")


def _is_number(value: Json) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _line(cells: Any) -> str:
    return _line_of([escaped(cell) or " " for cell in cells])


def _line_of(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Json) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = ui_text.humanize(value) if isinstance(value, bool) else str(value)
    return text if len(text) <= CELL else f"{text[: CELL - 1]}…"


def _media(block: results.Media, read_blob: ReadBlob) -> None:
    if block.kind in PLAYERS:
        PLAYERS[block.kind](block.blob, read_blob)


def sound(blob: Json, read_blob: ReadBlob) -> None:
    """Draw a sound with its controls."""
    with _said():
        st.audio(read_blob(blob), format=str(blob["$blob"]))


def video(blob: Json, read_blob: ReadBlob) -> None:
    """Draw a video with its controls."""
    with _said():
        st.video(read_blob(blob), format=str(blob["$blob"]))


def picture(blob: Json, read_blob: ReadBlob, *, width: int | Literal["content"] = "content") -> None:
    """Draw a picture; what only claims to be one is said, never a failure of the page."""
    with _said():
        st.image(pictures.preview(read_blob(blob)), width=width, alt=str(blob.get("name") or "picture"))


@contextmanager
def _said() -> Iterator[None]:
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
    results.Table: _table,
    results.Figure: _drawn_figure,
    results.Tree: _tree,
}


# --- figures ----------------------------------------------------------------------------------------------------------
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
