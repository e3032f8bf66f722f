"""The same table through every door: the page, the command line, connect() and many rows read and refuse it alike."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from matinee.cli.options import read_inputs, table_options
from matinee.errors import InputError, UsageError
from matinee.tables.uploads import read_frame
from matinee.values import decode, encode

GERMAN = "id;betrag;tag;ja;quote\n007;1.234;31.01.1998;ja;12 %\n008;1.234,5;01.02.1998;nein;3,5 %\n"
ROWS = [["007", 1234, "1998-01-31", True, 0.12], ["008", 1234.5, "1998-02-01", False, 0.035]]
SCHEMA = {"type": "object", "properties": {"df": {"type": "object", "x-matinee": "table"}}, "required": ["df"]}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_a_german_export_is_read_alike_by_the_page_and_the_command_line(encoding: str, tmp_path: Path) -> None:
    from matinee.ui.tables import from_upload

    file = tmp_path / "export.csv"
    file.write_bytes(GERMAN.encode(encoding))
    assert from_upload("export.csv", file.read_bytes(), "df")["rows"] == ROWS
    assert read_inputs([f"df=@{file}"], "", SCHEMA)["df"]["rows"] == ROWS


def test_the_command_line_says_how_to_answer_and_takes_the_answer(tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_text("id;price\na;1.234\n")
    with pytest.raises(InputError, match="df: Column price can be read in two ways") as error:
        read_inputs([f"df=@{file}"], "", SCHEMA)
    assert "--reading price=point" in error.value.hint
    answers = table_options(["price=comma"], "")
    assert read_inputs([f"df=@{file}"], "", SCHEMA, answers)["df"]["rows"] == [["a", 1234]]
    with pytest.raises(UsageError, match="'price' is not column=reading"):
        table_options(["price"], "")


def form() -> None:
    import streamlit as st

    from matinee.tables.uploads import AmbiguousTableError
    from matinee.ui import tables

    data = b"id;price\na;1.234\nb;5.678\n"
    try:
        tables.from_upload("a.csv", data)
    except AmbiguousTableError as error:
        answers = tables.ask(error.questions, "key")
        if answers:
            st.write(tables.from_upload("a.csv", data, readings=answers)["rows"])


def test_the_form_asks_and_reads_as_it_is_answered() -> None:
    page = AppTest.from_function(form).run()
    assert not page.json
    page.radio[0].set_value("comma").run()
    assert "1234" in page.json[0].value
    page.radio[0].set_value("point").run()
    assert "1.234" in page.json[0].value


def to_frame(wire: Any) -> Any:
    return decode.decoder(pd.DataFrame)(wire, lambda _: b"", "df")


FRAMES: dict[str, Any] = {
    "ids": pd.DataFrame({"id": [1009513310189256287, 2]}),
    "ids with a gap": pd.DataFrame({"id": pd.array([1009513310189256287, None], dtype="Int64")}),
    "unsigned": pd.DataFrame({"id": pd.array([2**64 - 1, 1], dtype="uint64")}),
    "decimals": pd.DataFrame({"d": [Decimal("12345678901234567.89"), None]}),
    "sparse": pd.get_dummies(pd.DataFrame({"c": ["a", "b"]}), sparse=True, dtype=int),
    "category": pd.DataFrame({"c": pd.Categorical(["x", "y", "x"])}),
    "numbers in a category": pd.DataFrame({"c": pd.Categorical([1, 2, 1])}),
    "period": pd.DataFrame({"p": pd.period_range("2026-01", periods=2, freq="M")}),
    "interval": pd.DataFrame({"i": pd.interval_range(0, 2)}),
    "zone": pd.DataFrame({"t": pd.date_range("2026-03-29", periods=2, tz="Europe/Berlin")}),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_keeps_its_values_there_and_back(name: str) -> None:
    frame = FRAMES[name]
    wire = encode.to_json(frame)
    again = to_frame(wire)
    assert list(again.columns) == list(frame.columns)
    for column in frame.columns:
        expected = [None if pd.isna(cell) else cell for cell in frame[column].astype(object)]
        found = [None if pd.isna(cell) else cell for cell in again[column].astype(object)]
        if name in ("period", "interval"):
            expected = [str(cell) for cell in expected]
        assert found == expected


def test_an_index_named_like_a_column_is_told_apart() -> None:
    frame = pd.DataFrame({"id": [1, 2]}, index=pd.Index(["a", "b"], name="id"))
    wire = encode.to_json(frame)
    assert [column["name"] for column in wire["$table"]] == ["id_index", "id"]
    assert wire["rows"] == [["a", 1], ["b", 2]]


def test_times_with_and_without_a_zone_in_one_column_are_refused() -> None:
    times = [pd.Timestamp("2026-01-01 10:00"), pd.Timestamp("2026-01-01 10:00", tz="UTC")]
    with pytest.raises(InputError, match="with and without a time zone in the column t"):
        encode.to_json(pd.DataFrame({"t": pd.Series(times, dtype=object)}))


def test_decimals_of_parquet_arrive_exactly() -> None:
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    number = Decimal("12345678901234567.89")
    file = io.BytesIO()
    pq.write_table(pa.table({"d": pa.array([number, None], pa.decimal128(20, 2)), "x": [1.5, None]}), file)
    table = read_frame(file.getvalue())
    assert table["$table"][0] == {"name": "d", "type": "decimal"}
    assert list(to_frame(table)["d"]) == [number, None]


def test_infinity_in_a_file_is_refused() -> None:
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(pa.table({"x": [1.5, float("inf")]}), file)
    with pytest.raises(InputError, match="df: The file has an infinite number in the column x"):
        read_frame(file.getvalue(), "df")
