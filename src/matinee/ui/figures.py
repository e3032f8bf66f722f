"""Figures drawn by the browser from their JSON alone.

`st.plotly_chart` wants plotly (30 MB) and `st.vega_lite_chart` pandas and pyarrow (80 MB) only to pass on what the
predictor has written already. The messages are Streamlit's own; the browser tests see that it still draws them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import streamlit as st
from streamlit.elements.lib.layout_utils import LayoutConfig
from streamlit.proto.PlotlyChart_pb2 import PlotlyChart
from streamlit.proto.VegaLiteChart_pb2 import VegaLiteChart

Json = Any

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
