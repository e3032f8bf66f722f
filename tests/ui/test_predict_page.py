"""The page of a predictor, as a person uses it."""

from __future__ import annotations

import base64

import pytest
from streamlit.testing.v1 import AppTest

from matinee.runs import Failure
from matinee.ui import session, waiting
from matinee.ui.pages import predict as predict_page

from .conftest import PIXEL, RECOMMEND, object_schema, predictor, release_of


def test_a_form_is_filled_predicted_and_its_result_is_shown(fake, open_page, shown):
    page = open_page()
    page.button_group[0].set_value(1)
    page.text_input[0].set_value("swimming")
    page.button(key="go:recommend").click().run()
    [run] = fake.stored.values()
    assert run.inputs == {"gender": "female", "past_activity": "swimming"}
    assert any("<dt>activity</dt><dd>swimming</dd>" in element.proto.body for element in page.get("html"))
    assert "Result" in shown(page)


def test_the_first_predictor_answers_at_its_own_address_too(fake, open_page, shown):
    assert "Recommend" in shown(open_page("recommend"))
    assert "Plan my days." in shown(open_page("plan"))


def test_a_missing_value_is_said_at_its_field_and_nothing_runs(fake, open_page, shown):
    page = open_page()
    page.button(key="go:recommend").click().run()
    assert "Gender is required." in shown(page)
    assert not fake.stored


def test_an_example_fills_the_form(fake, open_page):
    page = open_page()
    page.button(key="example:recommend:0").click().run()
    assert page.text_input[0].value == "swimming"
    page.button(key="go:recommend").click().run()
    assert [run.inputs["gender"] for run in fake.stored.values()] == ["female"]


def predict(page: AppTest) -> AppTest:
    page.button_group[0].set_value(0)
    return page.button(key="go:recommend").click().run()


def test_a_failed_prediction_says_why_and_shows_the_owner_what_to_change(fake, open_page, shown):
    fake.answers["recommend"] = Failure("timeout", "It took longer than 5 s.", "Raise timeout_s.", "Traceback (most…")
    text = shown(predict(open_page()))
    assert "It took longer than 5 s." in text
    assert "Raise timeout_s." in text
    assert "Traceback (most…" in text


@pytest.mark.parametrize(
    ("kind", "way_out"),
    [
        ("timeout", "Try a smaller input."),
        ("out_of_memory", "Try a smaller input."),
        ("exception", "Try other values."),
        ("start", "Nothing you filled in is wrong"),
        ("crash", "Try once more."),
    ],
)
def test_a_failed_prediction_says_to_a_user_what_they_can_do(fake, open_page, shown, kind, way_out):
    fake.owner = False
    fake.answers["recommend"] = Failure(kind, "It went wrong.", "Raise memory_mb.")
    text = shown(predict(open_page()))
    assert "It went wrong." in text
    assert way_out in text
    assert "Raise memory_mb." not in text


def test_a_thumb_and_a_comment_are_stored_with_the_run(fake, open_page):
    page = open_page()
    page.button_group[0].set_value(0)
    page.button(key="go:recommend").click().run()
    page.feedback[0].set_value(1).run()
    page.text_area[0].set_value("I like it")
    next(b for b in page.button if b.label == "Send").click().run()
    assert [(said.rating, said.comment) for said in fake.said] == [(1, ""), (1, "I like it")]


def test_a_batch_predictor_is_submitted_watched_and_its_table_offered_as_csv(fake, open_page, shown):
    page = open_page("plan")
    page.button_group[0].set_value(1)
    page.text_input[0].set_value("2026-06-01")
    page.text_input[1].set_value("2026-06-03")
    page.button(key="go:plan").click().run()
    [run_id] = fake.stored
    assert "Next to start." in shown(page)
    fake.begin(run_id, 0.5, "Planning 1 of 2")
    page.run()
    assert any(button.label == "Cancel" for button in page.button)
    fake.finish(run_id, {"$table": [{"name": "date", "type": "date"}], "rows": [["2026-06-01"]]})
    page.run()
    assert "| 2026-06-01 |" in shown(page)


def test_an_end_before_the_start_is_said_at_the_field(fake, open_page, shown):
    page = open_page("plan")
    page.button_group[0].set_value(1)
    page.text_input[0].set_value("2026-06-03")
    page.text_input[1].set_value("2026-06-01")
    page.button(key="go:plan").click().run()
    assert "End must be after start." in shown(page)
    assert not fake.stored


def test_a_waiting_run_can_be_cancelled(fake, open_page, shown):
    run = fake.submit("plan", {"gender": "male", "start": "2026-06-01", "end": "2026-06-02"})
    page = open_page("run", id=run.id)
    page.button(key=f"cancel:{run.id}").click().run()
    assert "This run was cancelled." in shown(page)


def test_a_second_press_while_the_button_works_is_no_second_run(fake, open_page, monkeypatch):
    page = open_page()
    page.button_group[0].set_value(0)
    page.button(key="go:recommend").click().run()
    page.button(key="go:recommend").click().run()
    assert len(fake.stored) == 1
    monkeypatch.setattr(predict_page, "DOUBLE_CLICK_S", 0.0)
    page.button(key="go:recommend").click().run()
    assert len(fake.stored) == 2


def test_a_press_goes_on_with_the_run_that_is_under_way(fake, open_page):
    page = open_page()
    page.button_group[0].set_value(0)
    run = fake.predict("recommend", {"gender": "male"})
    begun = waiting.begin("recommend", lambda: run)
    page.session_state["pending:recommend"] = begun
    page.button(key="go:recommend").click().run()
    assert list(fake.stored) == [run.id]
    assert page.session_state["run:recommend"] == run.id


def test_an_example_shows_all_that_it_fills_in_and_fills_in_just_that(answer, send):
    long = "a text that is longer than the label of a button may be, with   blanks "
    page = answer({"type": "string"}, example=long)
    button = page.button(key="example:probe:0")
    assert button.label.endswith("…")
    assert long.replace("   ", " ").strip() in " ".join(button.help.replace("\\", "").split())
    assert page.text_input[0].value == long
    assert send(page) == long


def test_an_example_of_a_picture_has_a_thumbnail(answer, send):
    picture = {"$blob": "image/png", "name": "dot.png", "base64": base64.b64encode(PIXEL).decode()}
    page = answer({"x-matinee": "image"}, example=picture)
    assert len(page.get("image")) == 2  # above the button, and in the form that it filled in
    assert send(page) == picture


BLOB, NAME = {"x-matinee": "image"}, {"type": "string"}


@pytest.mark.parametrize(
    ("parameters", "is_offered"),
    [
        (object_schema(("name",), name=NAME), True),
        (object_schema((), name=NAME, photo={"anyOf": [BLOB, {"type": "null"}]}), True),
        (object_schema(("photo",), photo=BLOB), False),
        (object_schema(("photos",), photos={"type": "array", "items": BLOB}), False),
        (object_schema(("pair",), pair=object_schema(("photo",), photo=BLOB)), False),
        (object_schema(("table",), table={"x-matinee": "table"}), False),
        (object_schema(("either",), either={"anyOf": [BLOB, NAME]}), True),
        (object_schema(), False),
    ],
)
def test_many_rows_is_offered_where_a_row_of_text_can_be_an_input(fake, open_page, shown, parameters, is_offered):
    fake.current = release_of(predictor("probe", parameters), RECOMMEND)
    session.poll.forget()
    links = [link.label for link in open_page().get("page_link")]
    assert ("Many rows at once" in links) == is_offered
    said = shown(open_page("many-rows", predictor="probe"))
    assert ("A row of a table cannot be an input here" in said) != is_offered


@pytest.mark.parametrize("place", ["summary_of", "_button"])
@pytest.mark.usefixtures("fault_is_expected")
def test_a_fault_of_the_page_is_one_sentence(fake, open_page, shown, monkeypatch, caplog, place):
    def break_down(*_: object, **__: object) -> None:
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr(predict_page, place, break_down)
    said = shown(open_page())
    assert "Something went wrong on this page, and nothing you filled in is to blame." in said
    assert "ZeroDivisionError: of ours" in caplog.text
    assert "ZeroDivisionError" not in said
