"""Tables from and to files keep their values."""

from __future__ import annotations

import csv
import io

import pytest

from matinee.errors import InputError
from matinee.tables.columns import Column
from matinee.tables.write import write
from matinee.ui.tables import from_upload


def to_csv(names, rows):
    return b"".join(write("csv", [Column(name) for name in names], rows))


def test_csv_keeps_values_as_they_are():
    rows = [["a,b", 1, 0.1, True, None], ['"x"\ny', 2, 1e-9, False, [1]]]
    read = list(csv.reader(io.StringIO(to_csv(["text", "n", "x", "flag", "more"], rows).decode("utf-8-sig"))))
    assert read == [
        ["text", "n", "x", "flag", "more"],
        ["a,b", "1", "0.1", "true", ""],
        ['"x"\ny', "2", "1e-09", "false", "[1]"],
    ]


def test_a_mark_for_excel_leads():
    assert to_csv(["a"], [["b"]]) == b"\xef\xbb\xbfa\r\nb\r\n"


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["1", "-20", ""], "integer", [1, -20, None]),
        (["1", "0.5"], "number", [1.0, 0.5]),
        (["007", "1"], "string", ["007", "1"]),
        (["true", "False"], "boolean", [True, False]),
        (["2026-06-01", "2026-02-28"], "date", ["2026-06-01", "2026-02-28"]),
        (["2026-02-30"], "string", ["2026-02-30"]),
        (["2026-06-01 08:30"], "datetime", ["2026-06-01T08:30"]),
        (["", ""], "string", [None, None]),
        (["a", "1"], "string", ["a", "1"]),
    ],
)
def test_the_type_of_a_column_is_what_all_its_values_are(cells, kind, values):
    text = "id,column\n" + "".join(f"x,{cell}\n" for cell in cells)
    table = from_upload("data.csv", text.encode())
    assert table["$table"][1] == {"name": "column", "type": kind}
    assert [row[1] for row in table["rows"]] == values


@pytest.mark.parametrize(("name", "text"), [("a.csv", "a;b\n1;2"), ("a.tsv", "a\tb\n1\t2"), ("a.csv", "a,b\r\n1,2")])
def test_the_separators_of_spreadsheets_are_understood(name, text):
    assert from_upload(name, text.encode("utf-8-sig"))["rows"] == [[1, 2]]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"a,b\n1\n", "has 1 value in row 1, and 2 column names"),
        ("a.csv", b"\xff\xfe\x00", "characters that its encoding does not have"),
        ("a.parquet", b"PAR1 no parquet", "Parquet file that cannot be read"),
    ],
)
def test_a_file_that_is_no_table_is_refused_at_its_field(name, data, message):
    with pytest.raises(InputError, match=f"rows: .*{message}"):
        from_upload(name, data, "rows")


def test_parquet_is_read():
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(pa.table({"n": [1, None], "name": ["a", "b"]}), file)
    table = from_upload("data.parquet", file.getvalue())
    assert table["$table"] == [{"name": "n", "type": "integer"}, {"name": "name", "type": "string"}]
    assert table["rows"] == [[1, "a"], [None, "b"]]
