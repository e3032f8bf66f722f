"""Charts and maps are drawn under the content security policy, and what a result holds loads nothing from elsewhere."""

from __future__ import annotations

import pytest

from matinee.testing.harness import running_app

from .conftest import wait_for

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FAR = "http://far.example"
APP = f'''
from matinee import Markdown, realtime


@realtime
def note(words: str = "hello") -> Markdown:
    """Write a note."""
    return Markdown(f"**{{words}}** ![far]({FAR}/a.png) [link]({FAR}/)")


@realtime
def clip() -> dict[str, str]:
    """A value that looks like a sound."""
    return {{"$blob": "audio/x,text/html", "base64": "PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg=="}}
'''
PAGE = f'''
import streamlit as st

from matinee.ui import render

trace = {{"type": "scatter", "x": [1, 2, 3], "y": [2, 1, 3]}}
image = {{"source": "{FAR}/plotly.png", "xref": "paper", "yref": "paper", "x": 0, "y": 1, "sizex": 1, "sizey": 1}}
render.plotly({{"data": [trace], "layout": {{"images": [image]}}}})
render.plotly({{"data": [{{"type": "surface", "z": [[1, 2], [3, 4]]}}], "layout": {{}}}})
render.vega_lite(
    {{
        "data": {{"url": "{FAR}/data.json"}},
        "mark": "bar",
        "encoding": {{"x": {{"field": "x", "type": "ordinal"}}}},
    }}
)
values = [{{"x": "a", "y": 1}}, {{"x": "b", "y": 2}}]
encoding = {{"x": {{"field": "x", "type": "ordinal"}}, "y": {{"field": "y", "type": "quantitative"}}}}
calculated = [{{"calculate": "datum.y * 2", "as": "y"}}]
render.vega_lite({{"data": {{"values": values}}, "transform": calculated, "mark": "bar", "encoding": encoding}})
st.map([{{"lat": 52.5, "lon": 13.4}}])
'''


@pytest.fixture(scope="module")
def dev(tmp_path_factory):
    folder = tmp_path_factory.mktemp("apps") / "policy"
    folder.mkdir()
    (folder / "notes.py").write_text(APP)
    (folder / "ui.py").write_text(PAGE)
    (folder / "matinee.toml").write_text('name = "policy"\n')
    with running_app(folder, timeout_s=120) as running:
        yield running


@pytest.fixture
def page(browser, dev):
    """A page that notes what its policy refused: directive and address."""
    context = browser.new_context(viewport={"width": 1200, "height": 1600})
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.refused = []
    page.expose_function("refused", lambda directive, address: page.refused.append((directive, address)))
    page.add_init_script(
        "addEventListener('securitypolicyviolation', e => window.refused(e.effectiveDirective, e.blockedURI))"
    )
    page.asked = []
    page.on("requestfinished", lambda request: page.asked.append(request.url))
    yield page
    context.close()


def test_plotly_vega_and_a_map_are_drawn_and_nothing_comes_from_elsewhere(page, dev):
    page.goto(f"{dev.url}/")
    wait_for(page, "document.querySelectorAll('.js-plotly-plot .main-svg').length >= 2")
    wait_for(page, "document.querySelectorAll('.js-plotly-plot canvas').length >= 1")  # WebGL
    wait_for(page, "document.querySelectorAll('[data-testid=stVegaLiteChart] :is(canvas, svg)').length >= 2")
    wait_for(page, "document.querySelector('[data-testid=stDeckGlJsonChart] canvas')")
    assert all(address.startswith((dev.url, "blob:", "data:")) for address in page.asked)
    assert {directive for directive, _ in page.refused} <= {"img-src", "connect-src"}, page.refused
    assert all(not address.startswith(dev.url) for _, address in page.refused), page.refused


def test_a_note_is_shown_and_asks_nobody_for_its_pictures(page, dev):
    page.goto(f"{dev.url}/note")
    page.get_by_role("button", name="Predict").click()
    page.locator("strong", has_text="hello").wait_for()
    assert all(address.startswith((dev.url, "blob:", "data:")) for address in page.asked)
    assert {directive for directive, _ in page.refused} <= {"img-src"}, page.refused


def test_a_result_carries_its_inputs_is_announced_and_shown_and_marked_once_the_form_changes(page, dev):
    page.set_viewport_size({"width": 1000, "height": 420})
    page.goto(f"{dev.url}/note")
    page.get_by_label("Words").fill("first")
    page.get_by_role("button", name="Predict").click()
    head = page.locator(".matinee-result")
    head.get_by_text("first").wait_for()
    wait_for(page, "document.getElementById('matinee-announcer').textContent === 'Done: Note'")
    wait_for(page, "document.querySelector('.matinee-result').getBoundingClientRect().bottom < innerHeight")
    older = page.get_by_text("The form has changed since")
    assert not older.is_visible()
    page.get_by_label("Words").fill("second")
    older.wait_for()
    page.get_by_role("button", name="Predict").click()
    head.get_by_text("second").wait_for()
    older.wait_for(state="hidden")
    assert {directive for directive, _ in page.refused} <= {"img-src"}, page.refused
