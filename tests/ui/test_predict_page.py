"""The page of a predictor, as a person uses it."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


def script() -> None:
    from matinee.ui.app import main

    main()


def opened() -> AppTest:
    page = AppTest.from_function(script, default_timeout=20).run()
    assert not page.exception
    return page


def shown(page: AppTest) -> str:
    return "\n".join(str(element.value) for element in [*page.markdown, *page.caption, *page.error, *page.info])


def test_a_form_is_filled_predicted_and_its_result_is_shown_with_a_download(fake):
    page = opened()
    page.button_group[0].set_value([1])
    page.text_input[0].set_value("swimming")
    page.button(key="go:recommend").click().run()
    assert not page.exception
    [run] = fake.stored.values()
    assert run.inputs == {"gender": "female", "past_activity": "swimming"}
    assert [(m.label, m.value) for m in page.metric] == [("Activity", "swimming")]


def test_a_missing_value_is_said_at_its_field_and_nothing_runs(fake):
    page = opened()
    page.button(key="go:recommend").click().run()
    assert "Gender is required" in shown(page)
    assert not fake.stored
