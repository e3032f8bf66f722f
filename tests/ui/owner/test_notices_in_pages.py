"""The switch on the page of a run, and the badge."""

from __future__ import annotations

import time

from matinee.client import notices
from matinee.notices.deliver import deliver
from matinee.notices.subscriptions import NOTICE
from matinee.project.sections import Notices
from matinee.runs import cancelled
from matinee.ui import session


def finish(world, run):
    assert world.store.apply(cancelled(world.store.run(run.id), now=time.time()))
    deliver(world.store, time.time(), {})
    session.poll.forget()


def test_one_switch_and_the_badge_says_when_it_is_done(world, open_page, shown):
    run = world.client().submit("plan", {"name": "Ada"})
    page = open_page("run", id=run.id)
    page.toggle(key=f"tell:{run.id}").set_value(True).run()
    assert "You will be told: in the sidebar of this app." in shown(page)
    assert "finished" not in shown(open_page())
    finish(world, run)
    assert "1 finished" in shown(open_page())
    world.who = ("bo", False)
    assert "1 finished" not in shown(open_page())


def test_who_opens_the_run_has_seen_it(world, open_page, shown):
    run = world.client().submit("plan", {"name": "Ada"})
    notices.tell(world.client(), run.id)
    finish(world, run)
    open_page("run", id=run.id)
    assert "finished" not in shown(open_page())
    assert world.store.documents(NOTICE) == {}


def test_it_can_be_taken_back(world, open_page):
    run = world.client().submit("plan", {"name": "Ada"})
    page = open_page("run", id=run.id)
    page.toggle(key=f"tell:{run.id}").set_value(True).run()
    page.toggle(key=f"tell:{run.id}").set_value(False).run()
    assert world.store.documents(NOTICE) == {}


def test_ways_are_offered_as_the_owner_set_them_up_and_mistakes_said(world, open_page, shown):
    world.release(notices=Notices(smtp_host="mail", sender="a@example.com", webhooks=True))
    world.who = ("ana@example.com", False)
    run = world.client().submit("plan", {"name": "Ada"})
    page = open_page("run", id=run.id)
    page.toggle(key=f"tell:{run.id}").set_value(True).run()
    email, webhook = (box for box in page.text_input if box.label in ("E-mail", "Webhook"))
    assert email.value == "ana@example.com"
    webhook.set_value("https://127.0.0.1/")
    save = next(button for button in page.button if button.label == "Save")
    save.click().run()
    assert "Webhook leads into a private network." in shown(page)
    next(box for box in page.text_input if box.label == "Webhook").set_value("https://hooks.example.com/x")
    next(button for button in page.button if button.label == "Save").click().run()
    assert "webhook to https://hooks.example.com/x" in shown(page)
    assert "whsec_" in shown(page)


def test_a_page_nobody_waits_on_keeps_nothing_looking(world, open_page):
    assert "notices" not in str(open_page().main)
    assert notices.notices_of_people(world.client()) == {}
