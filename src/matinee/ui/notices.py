"""The switch "tell me when it is done" on the page of a run, and the badge in the sidebar."""

from __future__ import annotations

import streamlit as st

from matinee.client import notices
from matinee.client.core import Client
from matinee.errors import InputError, MatineeError
from matinee.notices.subscriptions import Channel, Notice, notices_of
from matinee.runs import Run
from matinee.ui import session, site
from matinee.ui.text import escaped, humanize, show_error, show_errors_of

BADGE_S = 3.0  # how old the badge may be; only those who wait for something ask
SHOWN = 5
_ENDS = {"succeeded": "is done", "failed": "has failed", "cancelled": "was cancelled"}


def notices_switch(client: Client, run: Run) -> None:
    """Offer to tell this person when the run is done; a finished one is taken off their badge."""
    if run.kind != "batch":
        return
    if run.status.is_final:
        _looked_at(client, run)
    else:
        st.fragment(show_errors_of(_switch))(run.id)


def _looked_at(client: Client, run: Run) -> None:
    key = f"looked:{run.id}"
    if key not in st.session_state:
        st.session_state[key] = True
        notices.saw(client, run)
        session.poll.forget()


def _switch(run_id: str) -> None:
    client = session.client()
    asked = notices.asked(client, run_id)
    is_on = st.toggle("Tell me when it is done", value=asked is not None, key=f"tell:{run_id}")
    if not is_on:
        if asked is not None:
            notices.stop_telling(client, run_id)
            session.poll.forget()
        return
    if asked is None:
        asked = _ask(client, run_id, "", "")
    if asked is not None:
        st.caption(":material/check: " + _words(asked))
        _ways(client, run_id, asked)


def _words(asked: Notice) -> str:
    ways = ["in the sidebar of this app", *(f"{name} to {escaped(c.to)}" for name, c in asked.channels.items())]
    return f"You will be told: {', '.join(ways)}."


def _ways(client: Client, run_id: str, asked: Notice) -> None:
    settings = notices_of(session.release())
    if not settings.smtp_host and not settings.webhooks:
        return
    none = Channel("")
    with st.form(f"ways:{run_id}", border=True):
        email = webhook = ""
        if settings.smtp_host:
            known = asked.channels.get("email", none).to or (client.user if "@" in client.user else "")
            email = st.text_input("E-mail", value=known, placeholder="you@example.com")
        if settings.webhooks:
            known = asked.channels.get("webhook", none).to
            webhook = st.text_input("Webhook", value=known, placeholder="https://…")
        if st.form_submit_button("Save", icon=":material/notifications:") and _ask(client, run_id, email, webhook):
            st.rerun()
    if asked.channels.get("webhook"):
        st.caption("The webhook's calls are signed by this secret (Standard Webhooks):")
        st.code(notices.signing_secret(client), language=None)


def _ask(client: Client, run_id: str, email: str, webhook: str) -> Notice | None:
    try:
        asked = notices.tell(client, run_id, email=email, webhook=webhook)
    except InputError as error:
        for problem in error.problems:
            st.error(escaped(f"{humanize(problem.path)} {problem.message}."), icon=":material/error:")
        return None
    except MatineeError as error:
        show_error(error)
        return None
    session.poll.forget()
    return asked


def badge() -> None:
    """Draw what has finished and was not looked at yet; only for those who wait for something does it keep looking."""
    mine = _mine()
    if mine:
        st.fragment(_badge, run_every=BADGE_S)()


def _badge() -> None:
    unseen = [notice for notice in _mine() if notice.is_unseen]
    if not unseen:
        return
    st.badge(f"{len(unseen)} finished", icon=":material/notifications:", color="green")
    for notice in unseen[:SHOWN]:
        label = escaped(f"{humanize(notice.predictor)} {_ENDS.get(notice.status, 'is done')}")
        site.link(site.RUN, label, icon=":material/arrow_forward:", query={"id": notice.run_id})


def _mine() -> tuple[Notice, ...]:
    client = session.client()
    people = session.poll.read("notices", BADGE_S, lambda: notices.notices_of_people(client))
    return people.get(client.user, ())
