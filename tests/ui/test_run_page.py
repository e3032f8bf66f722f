"""A run at its permanent link: shared, run again, rated, corrected."""

from __future__ import annotations

from dataclasses import replace

import pytest

from matinee.runs import Failure, Status
from matinee.settings import Settings
from matinee.ui import session

from .conftest import predictor, release_of

RESULT = {
    "type": "object",
    "properties": {"activity": {"type": "string", "maxLength": 20}, "chart": {"x-matinee": "figure"}},
    "required": ["activity", "chart"],
}


@pytest.fixture
def done(fake):
    return fake.predict("recommend", {"gender": "female", "past_activity": "golf"})


def test_retry_runs_the_same_inputs_again_and_goes_to_the_new_run(fake, open_page, shown, done):
    page = open_page("run", id=done.id)
    page.button(key=f"retry:{done.id}").click().run()
    assert [run.inputs for run in fake.stored.values()] == [done.inputs] * 2
    assert page.query_params["id"] == max(fake.stored)


def test_a_batch_run_is_submitted_again(fake, open_page, shown):
    run = fake.submit("plan", {"gender": "male", "start": "2026-06-01", "end": "2026-06-02"})
    fake.stored[run.id] = replace(run, status=Status.FAILED, failure=Failure("exception", "It broke."))
    page = open_page("run", id=run.id)
    page.button(key=f"retry:{run.id}").click().run()
    assert fake.stored[max(fake.stored)].status == "queued"
    assert "Next to start." in shown(page)


def test_what_is_not_there_and_what_is_not_theirs_look_the_same(fake, open_page, shown, done):
    unknown = shown(open_page("run", id="0" * 26))
    fake.hidden.add(done.id)
    session.poll.forget()
    assert shown(open_page("run", id=done.id)) == unknown
    assert "There is no run at this address, or it is not shared with you." in unknown


def test_a_run_is_shared_and_kept_to_oneself_again(fake, open_page, done, signed_in):
    page = open_page("run", id=done.id)
    page.toggle(key=f"share:{done.id}").set_value(True).run()
    assert fake.shared == {done.id}
    page.toggle(key=f"share:{done.id}").set_value(False).run()
    assert fake.shared == set()


def test_a_run_that_was_shared_with_me_can_be_rated_but_not_shared(fake, open_page, shown, done, signed_in):
    fake.user, fake.owner = "bo", False
    page = open_page("run", id=done.id)
    assert "This run was shared with you." in shown(page)
    assert "by local" in shown(page)
    assert not [toggle for toggle in page.toggle if toggle.key == f"share:{done.id}"]
    page.feedback[0].set_value(1).run()
    assert [(said.user, said.rating) for said in fake.said] == [("bo", 1)]


def test_a_running_run_of_somebody_else_has_no_cancel_button(fake, open_page, signed_in):
    run = fake.submit("plan", {"gender": "male", "start": "2026-06-01", "end": "2026-06-02"})
    fake.user, fake.owner = "bo", False
    assert "Cancel" not in [button.label for button in open_page("run", id=run.id).button]


def test_the_result_is_corrected_in_its_own_form_and_what_cannot_be_drawn_stays(fake, open_page, shown):
    chart = {"$figure": "vega-lite", "spec": {"mark": "bar"}}
    fake.current = release_of(predictor("probe", {"type": "object", "properties": {}}, result=RESULT))
    fake.answers["probe"] = {"activity": "golf", "chart": chart}
    run = fake.predict("probe", {})
    page = open_page("run", id=run.id)
    page.toggle(key=f"correct:{run.id}").set_value(True).run()
    [field] = [text for text in page.text_input if text.label == "Activity"]
    assert field.value == "golf"
    field.set_value("")
    page.button(key=f"save:{run.id}").click().run()
    assert "Activity is required." in shown(page)
    field = next(text for text in page.text_input if text.label == "Activity")
    field.set_value("swimming")
    page.button(key=f"save:{run.id}").click().run()
    assert fake.said[-1].corrected == {"activity": "swimming", "chart": chart}
    assert "this is stored with the run" in shown(page)


def test_a_correction_can_be_changed_by_who_made_it(fake, open_page, done):
    fake.feedback(done.id, None, "", {"activity": "rowing", "candidates": ["a"]})
    page = open_page("run", id=done.id)
    page.toggle(key=f"correct:{done.id}").set_value(True).run()
    assert '"rowing"' in page.text_area(key=f"correction:{done.id}:corrected").value


def test_stars_are_asked_for_where_the_app_says_so(fake, open_page, done):
    fake.current = replace(fake.current, details={"ui": {"rating": "stars"}})
    session.poll.forget()
    page = open_page("run", id=done.id)
    page.feedback[0].set_value(3).run()
    assert [(said.rating, said.scale) for said in fake.said] == [(4, "stars")]


def test_an_owner_reads_what_others_said(fake, open_page, shown, done):
    fake.user = "bo"
    fake.feedback(done.id, -1, "too <b>far</b>")
    fake.user = "local"
    assert "bo: 👎 too <b>far</b>" in shown(open_page("run", id=done.id))


def test_a_run_offers_itself_as_code(fake, open_page, done):
    page = open_page("run", id=done.id)
    assert any(block.value.endswith(f"/run?id={done.id}") for block in page.code)
    page.session_state[f"code:{done.id}"] = True  # opened
    code = [block.value for block in page.run().code]
    assert any("app.recommend(gender='female', past_activity='golf')" in text for text in code)
    assert any("/api/v1/predictors/recommend/predict" in text for text in code)
    assert any("matinee.connect()" in text for text in code), "it is on this machine"
    (saved,) = [element for element in page.get("download_button") if "Save the result as" in element.proto.label]
    assert saved.proto.label.endswith(".json")
    fake.settings = Settings(backend="aws")
    code = [block.value for block in page.run().code]
    assert any('matinee.connect(url="http' in text and 'token="YOUR_TOKEN"' in text for text in code)
    assert any("Bearer YOUR_TOKEN" in text for text in code)


def test_a_run_of_a_predictor_that_is_gone_is_still_shown(fake, open_page, shown, done):
    fake.current = release_of(predictor("other", {"type": "object", "properties": {}}))
    session.poll.forget()
    text = shown(open_page("run", id=done.id))
    assert "recommend is not part of the app any more." in text
    assert "golf" in text
