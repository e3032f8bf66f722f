"""Every kind of field and of result, drawn by Streamlit: an example goes in, the same value comes out."""

from __future__ import annotations

import pytest

NULL = {"type": "null"}
DATE = {"type": "string", "format": "date"}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "born": DATE, "tags": {"type": "array", "items": {"type": "string"}}},
    "required": ["name"],
}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PICTURE = {"$blob": "image/png", "name": "dot.png", "base64": PIXEL}
SOUND = {"$blob": "audio/wav", "name": "a.wav", "base64": "UklGRg=="}
VIDEO = {"$blob": "video/mp4", "name": "a.mp4", "base64": "AAAA"}
DECIMAL = {"type": ["string", "number"], "format": "decimal", "minimum": 0}
TABLE = {"$table": [{"name": "n", "type": "integer"}], "rows": [[1], [None]]}
ADA = {"name": "Ada", "born": "1815-12-10", "tags": ["a", "b"]}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "hello"),
        ({"type": "string", "maxLength": 500}, "two\nlines"),
        ({"type": "integer", "minimum": 1, "maximum": 9}, 3),
        ({"type": "number"}, 0.125),
        ({"type": "integer"}, 2**63 - 1),
        ({"type": "integer", "maximum": 10**30}, 10**20 + 1),
        (DECIMAL, "12.50"),
        (DECIMAL, "12345678901234567.89"),
        ({"type": "array", "items": DECIMAL}, ["0.10", "1"]),
        ({"type": "object", "additionalProperties": DECIMAL}, {"a": "0.10"}),
        ({"type": "number", "minimum": 0, "maximum": 1, "multipleOf": 0.25}, 0.5),
        ({"type": "boolean"}, True),
        ({"anyOf": [{"type": "boolean"}, NULL]}, False),
        ({"enum": ["a", "b"]}, "b"),
        ({"enum": list(range(30))}, 17),
        ({"type": "array", "items": {"enum": ["a", "b", "c"]}, "uniqueItems": True}, ["a", "c"]),
        (DATE, "1815-12-10"),
        ({"type": "string", "format": "date-time"}, "2026-06-01T08:30:00"),
        ({"type": "string", "format": "time"}, "08:30:00"),
        ({"x-matinee": "file"}, PICTURE),
        ({"x-matinee": "image"}, PICTURE),
        ({"x-matinee": "audio"}, SOUND),
        ({"x-matinee": "video"}, VIDEO),
        ({"x-matinee": "table"}, TABLE),
        ({"type": "array", "items": {"type": "integer"}}, [1, 2, 3]),
        ({"type": "array", "items": DATE}, ["2026-06-01", "2026-06-02"]),
        ({"type": "array", "items": {"x-matinee": "image"}}, [PICTURE]),
        ({"type": "object", "additionalProperties": {"type": "number"}}, {"x": 1.5}),
        (PERSON, ADA),
        ({"anyOf": [PERSON, NULL]}, ADA),
        ({"anyOf": [PERSON, NULL]}, None),
        ({"type": "array", "items": PERSON}, [ADA, {**ADA, "name": "Bob"}]),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "text"),
        ({"const": "svm"}, "svm"),
    ],
)
def test_an_example_of_every_kind_goes_through_its_widget_unchanged(answer, send, schema, value):
    assert send(answer(schema, example=value)) == value


def test_an_optional_value_left_empty_is_null(answer, send):
    page = answer({"anyOf": [{"type": "integer"}, NULL], "default": None}, required=False)
    assert send(page) is None


def test_items_are_added_and_removed(answer, send):
    page = answer({"type": "array", "items": DATE}, example=["2026-06-01", "2026-06-02"])
    next(button for button in page.button if button.icon == ":material/close:").click().run()
    next(button for button in page.button if button.label == "Add").click().run()
    page.text_input[1].set_value("2026-06-09")
    assert send(page) == ["2026-06-02", "2026-06-09"]


def test_text_that_cannot_be_read_is_said_at_its_field(answer, shown, fake):
    page = answer({"type": "array", "items": {"type": "integer"}})
    page.text_area[0].set_value("1\nmany")
    page.button(key="go:probe").click().run()
    assert "Value line 2, “many”, is not a whole number." in shown(page)
    assert not fake.stored


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (None, "Nothing"),
        ("plain", "plain"),
        (1234567, "1,234,567"),
        ({"3": 0.9, "8": 0.1}, ""),
        (TABLE, "|1|"),
        ([{"a": 1, "b": "x|y"}], "|1||x|y|"),
        ({"accuracy": 0.98, "metrics": TABLE, "picture": PICTURE}, "metrics"),
        ({"$figure": "vega-lite", "spec": {"mark": "bar", "data": {"values": []}}}, ""),
        ({"$figure": "plotly", "spec": {"data": [], "layout": {}}}, ""),
        ([PICTURE, "text"], "text"),
        (SOUND, ""),
        ({"a": {"b": {"c": {"d": {"e": 1}}}}}, ""),
    ],
)
def test_every_kind_of_result_is_drawn(answer, send, shown, result, text):
    page = answer({"type": "string"}, example="x", result=result)
    send(page)
    assert text in shown(page)


def test_a_wide_and_long_array_is_shown_in_part_and_saved_whole(answer, send, shown):
    page = answer({"type": "string"}, example="x", result=[[0] * 500] * 300)
    send(page)
    text = shown(page)
    assert "The first 40 of 500 columns" in text
    assert "The first 100 of 300 rows" in text


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "array", "x-matinee": "array"}, [[1, 2], [3, 4.5]]),
        ({"type": "object", "additionalProperties": {"type": "number"}}, {"a": 0.5, "b": 2}),
        ({"type": "array", "prefixItems": [{"type": "integer"}, PERSON], "minItems": 2, "maxItems": 2}, [1, ADA]),
        ({"anyOf": [{"type": "array", "prefixItems": [{"type": "integer"}]}, NULL]}, None),
        ({"type": "array", "items": {"type": "array", "items": DATE}}, [["2026-06-01"], []]),
        ({"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}, 5),
    ],
)
def test_an_example_of_compound_kinds_goes_through_unchanged(answer, send, schema, value):
    assert send(answer(schema, example=value)) == value


def test_an_item_keeps_what_was_typed_when_another_is_removed(answer, send):
    page = answer({"type": "array", "items": PERSON}, example=[ADA, {**ADA, "name": "Bob"}])
    second = [text for text in page.text_input if text.label == "Name"][1]
    second.set_value("Grace").run()
    next(button for button in page.button if button.label == "Remove").click().run()
    assert send(page) == [{**ADA, "name": "Grace"}]
