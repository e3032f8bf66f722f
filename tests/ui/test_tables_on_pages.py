"""A table of a result: numbers as they are, long texts in full, sorted and searched."""

from __future__ import annotations

import re

import pytest

from matinee.ui.render import CELL, find_rows, sort_rows, table_html
from matinee.ui.results import blocks_of

ROWS = [["b", 2, None], ["A", 10, "1.50"], ["c", None, "0.25"], [None, 1, "12345.678901234567890123"]]
TABLE = {
    "$table": [{"name": name, "type": kind} for name, kind in (("name", "string"), ("n", "integer"), ("d", "decimal"))],
    "rows": ROWS,
}


def cells(value, locale=""):
    block = blocks_of({"x-matinee": "table"}, value) if isinstance(value, dict) else blocks_of({}, value)
    return re.findall("<td[^>]*>(.*?)</td>", table_html(block, locale), re.DOTALL)


def test_a_cell_has_all_digits_in_the_reader_s_signs():
    assert cells([{"sum": 30319000.0, "share": 1 / 3, "id": 1234567}]) == ["30,319,000", "0.333333333333333", "1234567"]
    assert cells([{"sum": 30319000.5, "id": 1234567}], "de-DE") == ["30.319.000,5", "1234567"]
    assert cells(TABLE)[-1] == "12,345.678901234567890123", "a Decimal keeps more than a float"


def test_a_long_text_can_be_read_in_full():
    text = "word " * 100
    [cell] = cells([text])
    assert cell == f"<details><summary>{text[: CELL - 1]}…</summary>{text}</details>"
    assert cells(["short", "x" * (CELL + 1)])[0] == "short"


@pytest.mark.parametrize(
    ("column", "is_falling", "names"),
    [
        (None, False, ["b", "A", "c", None]),
        (0, False, ["A", "b", "c", None]),
        (0, True, ["c", "b", "A", None]),
        (1, False, [None, "b", "A", "c"]),  # a number by its size; what is missing last
        (1, True, ["A", "b", None, "c"]),
        (2, False, ["c", "A", None, "b"]),
    ],
)
def test_rows_are_sorted_by_what_they_hold(column, is_falling, names):
    assert [row[0] for row in sort_rows(ROWS, column, is_falling=is_falling)] == names


def test_rows_of_several_kinds_are_sorted_without_an_error():
    assert sort_rows([["x"], [2], [True], [{"a": 1}], ["1"]], 0) == [[True], ["1"], [2], ["x"], [{"a": 1}]]


def test_rows_are_found_by_all_words_in_any_cell_as_stored_or_as_shown():
    rows = [["Anna Bo", 30319000.0], ["Bo", 1.5], ["Cy", None]]
    assert find_rows(rows, "bo anna") == [rows[0]]
    assert find_rows(rows, "30,319,000") == [rows[0]]
    assert find_rows(rows, "30319000") == [rows[0]]
    assert find_rows(rows, "") == rows


def test_a_longer_table_is_searched_and_sorted_on_the_page(fake, open_page, shown):
    fake.answers["recommend"] = [{"name": f"row{i}", "n": -i} for i in range(150)]
    page = open_page("run", id=fake.predict("recommend", {"gender": "female"}).id)
    assert "row0" in shown(page)
    assert "row149" not in shown(page), "the first hundred"
    page.text_input[0].set_value("row149").run()
    assert "row149" in shown(page)
    assert "row0" not in shown(page)
    page.text_input[0].set_value("").run()
    [sort] = [box for box in page.selectbox if box.label == "Sort by"]
    sort.set_value(1).run()
    assert "row149" in shown(page).split("|n|")[-1].split("row148")[0], "the smallest first"
    page.text_input[0].set_value("nobody").run()
    assert "No row has these words." in shown(page)
