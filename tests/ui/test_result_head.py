"""A result on its predictor's page carries its own inputs, and says when the form has changed since."""

from __future__ import annotations

import html
import re

from matinee.runs import Failure


def head(page):
    [body] = [
        e.proto.body for e in page.get("html") if "matinee-result" in e.proto.body and "<style" not in e.proto.body
    ]
    return html.unescape(re.sub("<script>.*</script>", "", body, flags=re.DOTALL))


def predict(page):
    return page.button(key="go:recommend").click().run()


def is_older(page):
    return 'class="matinee-result matinee-older"' in head(page)


def test_it_names_the_inputs_that_it_is_for(fake, open_page):
    fake.answers["recommend"] = "golf"
    page = open_page()
    page.button_group[0].set_value(1)
    page.text_input[0].set_value("<b>swimming</b>")
    predict(page)
    assert "For Gender <b>female</b> · Past activity <b><b>swimming</b></b>" in head(page)
    assert 'data-words="Done: Recommend"' in head(page)
    assert not is_older(page)


def test_a_form_that_holds_other_values_makes_it_older_until_the_next_press(fake, open_page):
    fake.answers["recommend"] = "golf"
    page = open_page()
    page.button_group[0].set_value(1)
    predict(page)
    page.text_input[0].set_value("rowing").run()
    assert is_older(page)
    assert "rowing" not in head(page), "it is for what was asked"
    predict(page)
    assert not is_older(page)
    assert "rowing" in head(page)


def test_what_failed_is_announced_as_failed(fake, open_page):
    fake.answers["recommend"] = Failure("exception", "It broke.", "", "")
    page = open_page()
    page.button_group[0].set_value(1)
    predict(page)
    assert 'data-words="It failed: Recommend"' in head(page)
