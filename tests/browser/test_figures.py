"""A chart is drawn by the browser from the stored result; the UI's process loads neither altair nor pandas for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from matinee.testing.harness import running_app

from .conftest import wait_for

pytestmark = [pytest.mark.browser, pytest.mark.slow]

APP = '''
import altair as alt

from matinee import realtime


@realtime()
def bars(heights: list[int]) -> alt.Chart:
    """Draw bars."""
    values = [{"x": str(i), "y": height} for i, height in enumerate(heights)]
    return alt.Chart(alt.Data(values=values)).mark_bar().encode(x="x:O", y="y:Q")
'''


@pytest.fixture(scope="module")
def dev(tmp_path_factory):
    folder = tmp_path_factory.mktemp("apps") / "figures"
    folder.mkdir()
    (folder / "bars.py").write_text(APP)
    (folder / "matinee.toml").write_text('name = "figures"\n')
    with running_app(folder, timeout_s=120) as running:
        yield running


def test_a_chart_has_its_bars_and_costs_the_ui_no_pandas(open_tab, loaded_by_ui):
    page = open_tab()
    page.get_by_label("Heights").fill("3\n1\n2")
    page.get_by_role("button", name="Predict").click()
    chart = page.get_by_test_id("stVegaLiteChart")
    chart.wait_for()
    wait_for(page, "document.querySelector('[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg')")
    box = chart.bounding_box()
    assert box is not None
    assert box["width"] > 500
    assert box["height"] > 150
    if Path("/proc/self/maps").exists():
        assert "/pandas/" not in loaded_by_ui()
