"""History, one run, a component in trouble, and an app that is still starting."""

from __future__ import annotations

from dataclasses import replace

from matinee.manifest import ComponentManifest, Trouble
from matinee.ui.pages.history import ROWS

DAYS = {"gender": "male", "start": "2026-06-01", "end": "2026-06-02"}


def test_history_is_newest_first_a_page_at_a_time(fake, open_page, shown):
    for i in range(ROWS + 3):
        fake.predict("recommend", {"gender": "male", "past_activity": f"sport-{i}"})
    page = open_page("history")
    text = shown(page)
    assert text.index(f"sport-{ROWS + 2}") < text.index(f"sport-{ROWS}")
    assert "sport-2\n" not in text
    next(button for button in page.button if button.label == "Older").click().run()
    assert "sport-2" in shown(page)
    next(button for button in page.button if button.label == "Newer").click().run()
    assert f"sport-{ROWS + 2}" in shown(page)


def test_an_empty_history_says_what_will_be_here(fake, open_page, shown):
    assert "Nothing has run yet." in shown(open_page("history"))


def test_history_cancels_a_run(fake, open_page, shown):
    run = fake.submit("plan", DAYS)
    page = open_page("history")
    page.button(key=f"cancel:{run.id}").click().run()
    assert fake.stored[run.id].status == "cancelled"
    assert not [button for button in page.button if button.label == "Cancel"]


def test_a_run_shows_its_inputs_and_runs_again_with_them(fake, open_page, shown):
    run = fake.predict("recommend", {"gender": "female", "past_activity": "golf"})
    page = open_page("run", id=run.id)
    assert "Past activity  **golf**" in shown(page)
    page.button(key="again").click().run()
    assert page.text_input[0].value == "golf"


def test_a_run_shows_its_log_when_asked(fake, open_page, shown):
    run = fake.predict("recommend", {"gender": "female"})
    page = open_page("run", id=run.id)
    assert "planning" not in shown(page)
    page.toggle(key=f"log:{run.id}").set_value(True).run()
    assert "planning" in shown(page)


def test_an_unknown_run_says_so(fake, open_page, shown):
    assert "There is no run at this address" in shown(open_page("run", id="nothing"))
    assert "Choose a run in History." in shown(open_page("run"))


def test_a_component_in_trouble_has_a_page_that_says_where(fake, open_page, shown):
    trouble = Trouble("No module named 'sklearnn'.", "Add it to the header.", "digits.py", 7)
    broken = ComponentManifest("digits", "hash", trouble=trouble)
    fake.current = replace(fake.current, components=(*fake.current.components, broken))
    text = shown(open_page("component-digits"))
    assert "No module named 'sklearnn'." in text
    assert "digits.py:7" in text
    assert "Recommend" in shown(open_page())


def test_an_app_that_is_still_starting_says_so(fake, open_page, shown):
    fake.current = None
    assert "The app is being prepared." in shown(open_page())


def test_what_people_and_predictors_write_is_never_markup(fake, open_page, shown):
    fake.answers["recommend"] = "<script>alert(1)</script> **bold**"
    run = fake.predict("recommend", {"gender": "female", "past_activity": "<b>[x](http://evil)</b>"})
    page = open_page("run", id=run.id)
    assert [text.value for text in page.text] == ["<script>alert(1)</script> **bold**"]
    assert not [m for m in page.markdown if "<b>" in m.value or "[x](" in m.value]
    assert not [m for m in page.markdown if m.allow_html]


def test_a_file_that_only_claims_to_be_a_picture_breaks_no_page(fake, open_page, shown):
    fake.answers["recommend"] = {"$blob": "image/png", "name": "a.png", "base64": "bm8gcGljdHVyZQ=="}
    run = fake.predict("recommend", {"gender": "female"})
    assert "This file cannot be shown." in shown(open_page("run", id=run.id))
