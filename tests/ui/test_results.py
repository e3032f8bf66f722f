"""Every kind of result is shown as what it is, with what there is to download."""

from __future__ import annotations

import pytest

from matinee.ui import results
from matinee.ui.results import blocks_of

FILE = {"type": "object", "x-matinee": "file"}
BLOB = {"$blob": "image/png", "name": "digit.png", "base64": "iVBORw=="}
TABLE = {"$table": [{"name": "date", "type": "date"}, {"name": "n", "type": "integer"}], "rows": [["2026-06-01", 1]]}


@pytest.mark.parametrize(
    ("schema", "value", "block"),
    [
        ({}, None, results.Empty()),
        ({}, [], results.Empty()),
        ({"type": "string"}, "hello", results.Text("hello")),
        ({"type": "string", "x-matinee": "markdown"}, "# hi", results.Text("# hi", is_markdown=True)),
        ({"type": "integer"}, 3, results.Number(3)),
        ({"type": "array"}, ["a", "b"], results.Words(("a", "b"))),
        ({"type": "object"}, {"3": 0.9, "8": 0.1}, results.Shares((("3", 0.9), ("8", 0.1)))),
        (
            {"type": "object", "properties": {"past_activity": {"type": "string"}}},
            {"past_activity": "golf"},
            results.Record((("Past activity", results.Text("golf")),)),
        ),
        ({"type": "object"}, {"raw_key": 3}, results.Record((("raw_key", results.Number(3)),))),
        (
            {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]},
            ["a", 1],
            results.Items((results.Text("a"), results.Number(1))),
        ),
    ],
)
def test_each_result_has_its_block(schema, value, block):
    assert blocks_of(schema, value) == block


def test_a_table_is_downloaded_as_csv():
    block = blocks_of({"x-matinee": "table"}, TABLE, "plan")
    assert block.columns == ("date", "n")
    assert (block.downloads[0].file_name, block.downloads[0].make()) == (
        "plan.csv",
        b"\xef\xbb\xbfdate,n\r\n2026-06-01,1\r\n",
    )


def test_a_list_of_records_and_a_matrix_are_tables():
    assert blocks_of({}, [{"a": 1}, {"a": 2, "b": 3}]).rows == ((1, None), (2, 3))
    assert blocks_of({"x-matinee": "array"}, [[1, 2], [3, 4]]).columns == ("1", "2")


def test_an_image_is_shown_and_its_original_file_downloaded():
    block = blocks_of({"x-matinee": "image"}, BLOB)
    assert block.kind == "image"
    assert (block.downloads[0].label, block.downloads[0].file_name) == ("PNG", "digit.png")
    assert block.downloads[0].blob is BLOB


def test_a_file_without_a_name_gets_one_by_its_type():
    block = blocks_of(FILE, {"$blob": "application/pdf", "base64": ""}, "report")
    assert (block.kind, block.downloads[0].file_name) == ("file", "report.pdf")


def test_an_svg_is_downloaded_and_not_shown_because_it_may_hold_a_script():
    assert blocks_of(FILE, {"$blob": "image/svg+xml", "base64": ""}).kind == "file"


def test_a_figure_keeps_its_specification():
    block = blocks_of({"x-matinee": "figure"}, {"$figure": "vega-lite", "spec": {"mark": "bar"}})
    assert (block.kind, block.spec) == ("vega-lite", {"mark": "bar"})


def test_files_inside_a_record_are_named_by_their_place():
    block = blocks_of({"properties": {"matrix": {"x-matinee": "table"}}}, {"matrix": TABLE}, "run")
    assert block.entries[0][1].downloads[0].file_name == "run-matrix.csv"


def test_a_dictionary_that_only_looks_like_a_file_is_shown_as_the_dictionary_it_is():
    block = blocks_of({"type": "object"}, {"caller": {"$blob": "text/html", "name": "x", "base64": "PGI+"}})
    assert isinstance(block.entries[0][1], results.Record)


def test_what_is_played_is_what_a_row_of_the_registry_names():
    kinds = {"video/mp4": "video", "audio/mpeg": "audio", "image/png": "image", "audio/x-unknown": "file"}
    assert {kind: blocks_of(FILE, {"$blob": kind, "base64": ""}).kind for kind in kinds} == kinds


def test_what_is_nested_too_deep_is_shown_as_json():
    value = {"a": {"b": {"c": {"d": {"e": 1}}}}}
    block = blocks_of({}, value)
    while isinstance(block, results.Record):
        block = block.entries[0][1]
    assert block == results.Tree({"e": 1})
