"""What a run tells its page first is remembered while nothing of it changes, and never for longer."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.scriptrunner_utils.run_descriptor import RunDescriptor

from matinee.ui.look import Look, put_on
from matinee.ui.tuned import opening

PAGES = {"a": {"page_name": "One"}}


@pytest.fixture
def made(monkeypatch):
    """Count how often Streamlit makes the message itself."""
    count = []

    def create(session, page, run, pages):
        count.append(page)
        message = ForwardMsg()
        message.new_session.page_script_hash = page
        message.new_session.name = f"the {len(count)}. one"
        return message

    monkeypatch.setattr(AppSession, "_create_new_session_message", create)
    opening.remember()
    return count


def tell(session, page="a", pages=PAGES, fragments=()):
    return AppSession._create_new_session_message(session, page, RunDescriptor.create(fragments), pages)


def session():
    return SimpleNamespace(_run_on_save=False, _state="running")


def test_a_session_is_told_the_same_again_and_which_run_it_is(made):
    one = session()
    first, second = tell(one), tell(one, fragments=["f"])
    assert made == ["a"]
    assert first.new_session == second.new_session
    assert first.metadata.run.script_run_id != second.metadata.run.script_run_id
    assert list(second.metadata.run.fragment_ids) == ["f"]


def test_another_session_page_or_set_of_pages_is_told_anew(made):
    one = session()
    tell(one)
    tell(session())
    tell(one, page="b")
    tell(one, page="b", pages={**PAGES, "b": {"page_name": "Two"}})
    assert made == ["a", "a", "b", "b"]


def test_a_look_that_is_put_on_is_told_to_every_session(made):
    one = session()
    tell(one)
    try:
        assert put_on(Look(primary_color="#00ff00"))
        tell(one)
        assert not put_on(Look(primary_color="#00ff00"))
        tell(one)
    finally:
        put_on(Look())
    assert made == ["a", "a"]
