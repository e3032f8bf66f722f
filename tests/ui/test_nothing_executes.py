"""What people, predictors and files say is shown as they said it: no HTML, no script, no link, on any page."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import pytest

from matinee.manifest import ComponentManifest, Trouble
from matinee.runs import Failure, Progress, Status
from matinee.ui import session

from .conftest import object_schema, predictor, release_of

NASTY = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "</p><iframe src=javascript:alert(1)>",
    "[click](javascript:alert(1))",
    "![x](http://evil.example/x.png)",
    "[x]: http://evil.example",
    "<http://evil.example>",
    "http://evil.example",
    "| a | b |\n| - | - |\n| <b>1</b> | 2 |",
    "# heading\n\n- list",
    "`code` **bold** ~~gone~~ $x^2$ :red[text] :material/home: :smile:",
    "$$\\href{javascript:alert(1)}{x}$$",
    "&lt;b&gt; &#60;script&#62;",
    "```\n<b>\n```",
    "\u202etext",
]
MARKUP = ("<script", "<img", "<svg", "<iframe", "](", "<http", "~~", ":red[", ":material/home:", "**bold**", "$x")


@pytest.fixture(params=NASTY, ids=lambda text: text[:20])
def nasty(request):
    return request.param


def live(text):
    """What of a text would be markup: signs that no backslash stands before."""
    return [sign for sign in MARKUP if re.search(rf"(?<!\\){re.escape(sign)}", text)]


def rendered(page):
    """Everything on the page that Streamlit takes for Markdown or HTML."""
    kinds = ("title", "header", "subheader", "markdown", "caption", "error", "info", "warning", "success", "expander")
    found = [element for kind in kinds for element in page.get(kind)]
    texts = [str(getattr(element, "value", "") or getattr(element, "label", "")) for element in found]
    labels = ("button", "toggle", "text_input", "number_input", "selectbox", "tab", "download_button")
    texts += [str(element.label) for kind in labels for element in page.get(kind)]
    return texts


def check(page):
    assert not page.exception
    assert not [element for element in page.markdown if element.allow_html]
    found = {text: live(text.removeprefix(":material/error: :red[")) for text in rendered(page)}
    assert not {text: signs for text, signs in found.items() if signs}


def test_a_form_and_its_messages(fake, open_page, nasty):
    fields = {"value": {"type": "string", "title": nasty, "description": nasty, "default": nasty}}
    fields["choice"] = {"enum": [nasty, "b"]}
    fields["many"] = {"enum": [nasty, *"abcdefgh"]}
    schema = object_schema(("choice",), **fields)
    fake.current = release_of(predictor("probe", schema, doc=f"{nasty}\n{nasty}", examples=({"value": nasty},)))
    page = open_page()
    check(page)
    page.button(key="go:probe").click().run()
    check(page)


def test_a_result_of_every_kind(fake, open_page, nasty):
    table = {"$table": [{"name": nasty, "type": "string"}], "rows": [[nasty], [{"a": nasty}]]}
    file = {"$blob": "text/html", "name": nasty, "base64": ""}
    picture = {"$blob": "image/png", "name": nasty, "base64": "bm8="}
    result = {nasty: nasty, "words": [nasty, "b"], "table": table, "file": file, "shares": {nasty: 0.5, "b": 0.5}}
    result |= {"long": nasty * 9, "rows": [{nasty: nasty}], "nested": {"a": {"b": {nasty: [nasty, {nasty: 1}]}}}}
    fake.answers["recommend"] = {**result, "picture": picture}
    run = fake.predict("recommend", {"gender": "female", "past_activity": nasty})
    check(open_page("run", id=run.id))


def test_short_values_are_text_in_our_own_html(fake, open_page, nasty):
    fake.answers["recommend"] = {nasty: 1, "said": nasty}
    page = open_page("run", id=fake.predict("recommend", {"gender": "female"}).id)
    [values] = [e.proto.body for e in page.get("html") if "<dl" in e.proto.body]
    assert set(re.findall("<[^>]*>?", values)) <= {'<dl class="matinee-values">', "</dl>"} | {
        f"<{end}{tag}>" for end in ("", "/") for tag in ("div", "dt", "dd")
    }


def test_a_table_is_text_in_our_own_html(fake, open_page, nasty):
    fake.answers["recommend"] = {"rows": [{nasty: nasty * 40, "n": 1}, {nasty: nasty, "n": 2}]}
    page = open_page("run", id=fake.predict("recommend", {"gender": "female"}).id)
    [table] = [e.proto.body for e in page.get("html") if "<table" in e.proto.body]
    number = ' class="matinee-number"'
    assert set(re.findall("<[^>]*>?", table)) <= {
        *('<div class="matinee-scroll" role="region" aria-label="Table" tabindex="0">', "</div>"),
        *('<table class="matinee-table">', "</table>", "<thead>", "</thead>", "<tbody>", "</tbody>", "<tr>", "</tr>"),
        *('<th scope="col">', f'<th scope="col"{number}>', "</th>", "<td>", f"<td{number}>", "</td>"),
        *("<details>", "</details>", "<summary>", "</summary>"),
    }
    assert html.escape(nasty * 40) in table, "all of it can be read"


def test_a_predictors_markdown_cannot_hold_html(fake, open_page, nasty):
    fake.current = release_of(predictor("probe", object_schema(), result={"type": "string", "x-matinee": "markdown"}))
    fake.answers["probe"] = nasty
    page = open_page("run", id=fake.predict("probe", {}).id)
    assert not [element for element in page.markdown if element.allow_html]


def test_what_became_of_a_run_and_what_was_said(fake, open_page, nasty):
    run = fake.submit("plan", {"gender": "male", "start": "2026-06-01", "end": "2026-06-02"})
    fake.begin(run.id, 0.5, nasty)
    check(open_page("history"))
    check(open_page("run", id=run.id))
    failure = Failure("exception", nasty, nasty, nasty)
    fake.stored[run.id] = replace(fake.stored[run.id], status=Status.FAILED, failure=failure, user=nasty, version=nasty)
    fake.entries[run.id] = replace(fake.entries[run.id], progress=Progress())
    fake.user = nasty
    fake.feedback(run.id, -1, nasty)
    fake.user = "local"
    session.poll.forget()
    check(open_page("run", id=run.id))
    fake.user = nasty
    session.poll.forget()
    check(open_page("history"))


def test_the_app_and_a_component_in_trouble(fake, open_page, nasty):
    broken = ComponentManifest("broken", "hash", trouble=Trouble(nasty, nasty, nasty, 3))
    fake.current = replace(fake.current, title=nasty, components=(*fake.current.components, broken))
    session.poll.forget()
    check(open_page("component-broken"))
