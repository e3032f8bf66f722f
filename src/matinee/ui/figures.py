"""Plotly figures drawn without plotly: the browser has all it needs, and the library would cost 30 MB here.

`st.plotly_chart` wants the library only to check and print the figure, which the predictor's own has done already.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import streamlit as st
from streamlit.elements.lib.layout_utils import LayoutConfig
from streamlit.proto.PlotlyChart_pb2 import PlotlyChart

Json = Any


def plotly(spec: Json) -> None:
    """Draw the figure from its JSON (`data` and `layout`)."""
    chart = PlotlyChart()
    chart.spec = json.dumps(spec)
    chart.id = f"matinee-plotly-{hashlib.sha256(chart.spec.encode()).hexdigest()[:16]}"
    chart.theme = "streamlit"
    chart.config = json.dumps({"displaylogo": False})
    st._main._enqueue("plotly_chart", chart, layout_config=LayoutConfig(width="stretch", height="content"))
