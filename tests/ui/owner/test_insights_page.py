"""What the owner sees of everybody, and nobody else."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest
from starlette.testclient import TestClient

from matinee.access.people import Person
from matinee.runs import Failure, Feedback, Status
from matinee.ui import session
from matinee.ui.pages import insights
from matinee.ui.pages.insights import people_per_day, runs_per_day


@pytest.fixture
def history(world):
    now = time.time()
    runs = [world.ran(now - n * 3600, inputs={"name": f"<b>{n}</b>"}) for n in range(5)]
    world.ran(now - 30, status=Status.FAILED, failure=Failure("timeout", "It took *too* long"), result=None)
    world.ran(now - 20, user="eve", version="v2")
    world.ran(now - 86400 * 200)
    world.store.put_feedback(Feedback(runs[1].id, "bo", -1, "=wrong <script>", None, now))
    world.store.put_feedback(Feedback(runs[2].id, "bo", 1, "", None, now))
    return runs


def test_the_owner_sees_runs_people_failures_costs_and_what_people_think(world, history, open_page, shown):
    text = shown(open_page("insights"))
    assert "Runs 7" in text
    assert "People 2" in text
    assert "Took too long" in text
    assert "It took *too* long" in text
    assert "| Greet | v1 | 50% | 1 | 1 | 1 | 0 |" in text
    assert "Cost on AWS $0.0000" in text
    assert "“=wrong <script>”" in text
    assert "<b>1</b>" in text


def test_what_people_wrote_is_escaped(world, history, open_page):
    said = "\n".join(element.value for element in open_page("insights").markdown)
    assert "<script>" not in said
    assert "<b>" not in said


def test_another_range_of_days(world, history, open_page, shown):
    page = open_page("insights")
    page.segmented_control[0].set_value(365).run()
    assert "Runs 8" in shown(page)


def test_a_user_has_no_such_page(world, history, open_page, shown):
    world.who = ("bo", False)
    text = shown(open_page("insights"))
    assert "Insights" not in text
    assert "Do greet" in text  # as at any address there is not


def test_an_app_nobody_used_says_so(world, open_page, shown):
    text = shown(open_page("insights"))
    assert "Nothing has run in these days." in text
    assert "Nobody has rated" in text


def test_older_runs_are_read_a_slice_at_a_time_and_shown_meanwhile(world, history, open_page, shown, monkeypatch):
    monkeypatch.setattr(insights, "SLICE_S", 0.0)
    monkeypatch.setattr(insights, "Insights", lambda store: Insights(store, page=2))
    from matinee.client.insights import Insights

    page = open_page("insights")
    assert "Reading older runs" in shown(page)
    for _ in range(20):
        page.run()
    assert "Reading older runs" not in shown(page)
    assert "Runs 7" in shown(page)


def test_a_report_and_its_charts_are_made_once_for_all_who_look(world, history):
    client = world.client()
    assert insights.insights_view(client, 30) is insights.insights_view(client, 30)


def test_charts_keep_their_data_where_streamlit_leaves_it_alone(world, history):
    view = insights.insights_view(world.client(), 7)
    for chart in (runs_per_day(view.report), people_per_day(view.report)):
        assert "data" not in chart
        assert len(chart["layer"][0]["data"]["values"]) in (7, 14)
    code = f"""
import json, sys, streamlit as st
st.vega_lite_chart(None, json.loads({json.dumps(json.dumps(view.runs_chart))}))
print("pandas" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"


class Gate:
    def __init__(self, person: Person | None) -> None:
        self.found = person
        self.is_open = False

    def person(self, _cookies: object) -> Person | None:
        return self.found


@pytest.mark.parametrize(
    ("person", "status"), [(None, 401), (Person("bo", "user"), 403), (Person("ana", "owner"), 200)]
)
def test_the_export_is_the_owners(world, history, monkeypatch, person, status):
    from starlette.applications import Starlette

    from matinee.client.core import Client
    from matinee.settings import Settings
    from matinee.ui.export import ROUTES

    monkeypatch.setattr(session, "gate", lambda: Gate(person))
    monkeypatch.setattr(
        session, "client_of", lambda who: Client(world.backend, Settings(), who.name, owner=who.is_owner)
    )
    browser = TestClient(Starlette(routes=ROUTES))
    answer = browser.get("/export?format=jsonl&days=30&feedback_only=0")
    assert answer.status_code == status
    if status == 200:
        assert len(answer.text.splitlines()) == 7
        assert answer.headers["cache-control"] == "no-store"
        assert 'filename="runs-' in answer.headers["content-disposition"]
        assert len(browser.get("/export?format=jsonl&feedback_only=1").text.splitlines()) == 2
        assert browser.get("/export?format=exe").status_code == 400
        assert browser.get(f"/export?format=csv&days={'9' * 5000}").status_code == 200
