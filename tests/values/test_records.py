"""What a caller gets: read-only values made from the schema, without the component's classes."""

from __future__ import annotations

import copy
import datetime as dt
import pickle
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pytest

import matinee
from matinee.values import encode, records
from matinee.values.describe import describe


@dataclass
class Recommendation:
    activity: str
    candidates: list[str]
    day: dt.date | None = None


def received(annotation: Any, value: Any) -> Any:
    def function(): ...

    function.__annotations__ = {"return": annotation}
    return records.from_json(describe(function)[1], encode.to_json(value), read_blob=pytest.fail)


def test_a_dataclass_arrives_as_a_record_with_attributes() -> None:
    got = received(Recommendation, Recommendation("swim", ["swim", "shop"], dt.date(2026, 1, 1)))
    assert got.activity == got["activity"] == "swim"
    assert got.candidates == ["swim", "shop"]
    assert got.day == dt.date(2026, 1, 1)
    assert dict(got).keys() == {"activity", "candidates", "day"}
    assert repr(got).startswith("Record(activity='swim', candidates=['swim', 'shop'], day=")


def test_a_record_cannot_be_changed() -> None:
    got = received(Recommendation, Recommendation("swim", []))
    with pytest.raises(AttributeError, match="activity cannot be set: results are read-only"):
        got.activity = "shop"
    with pytest.raises(AttributeError, match="there is no activty; there are activity, candidates, day"):
        _ = got.activty


def test_a_record_may_have_fields_named_as_methods_and_can_be_copied() -> None:
    record = records.Record({"items": 1, "get": 2, "keys": 3})
    assert (record.items, record.get, record.keys) == (1, 2, 3)
    assert copy.deepcopy(record)["items"] == pickle.loads(pickle.dumps(record)).items == 1


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (dict[str, int], {"a": 1}),
        (tuple[int, dt.date], (1, dt.date(2026, 1, 1))),
        (set[str], {"a", "b"}),
        (dt.datetime, dt.datetime(2026, 1, 1, 10)),
        (dt.time, dt.time(10)),
        (float, 1.0),
        (None, None),
        (int | dt.date, dt.date(2026, 1, 1)),
    ],
)
def test_plain_results_arrive_as_they_were(annotation: Any, value: Any) -> None:
    assert received(annotation, value) == value


def test_a_table_arrives_without_pandas_and_becomes_a_frame_on_demand() -> None:
    frame = pd.DataFrame({"date": pd.to_datetime(["2026-01-01", None]), "n": [1, 2]})
    table = received(pd.DataFrame, frame)
    assert (len(table), table.columns) == (2, ["date", "n"])
    assert table["date"] == [dt.date(2026, 1, 1), None]
    assert next(iter(table)) == {"date": dt.date(2026, 1, 1), "n": 1}
    assert table.to_csv() == "date,n\n2026-01-01,1\n,2\n"
    pd.testing.assert_frame_equal(table.to_pandas(), frame, check_dtype=False)
    with pytest.raises(KeyError, match="there is no column x; there are date, n"):
        table["x"]


def test_a_file_is_read_when_it_is_asked_for(tmp_path: Any) -> None:
    value = {"$blob": "text/plain", "name": "../a.txt", "key": "files/a"}
    blob = records.from_json({"x-matinee": "file"}, value, lambda asked: b"hi" if asked is value else b"")
    assert (blob.name, blob.media_type, blob.text()) == ("../a.txt", "text/plain", "hi")
    assert blob.save(tmp_path / "b.txt") == str(tmp_path / "b.txt")
    assert (tmp_path / "b.txt").read_bytes() == b"hi"


def test_a_result_can_be_the_input_of_another_predictor() -> None:
    frame = pd.DataFrame({"n": [1]})
    got = received(
        tuple[Recommendation, pd.DataFrame, matinee.File], (Recommendation("a", []), frame, matinee.File(b"x"))
    )
    sent = [{"activity": "a", "candidates": [], "day": None}, encode.to_json(frame), encode.to_json(matinee.File(b"x"))]
    assert encode.to_json(got) == sent


def test_what_only_looks_like_a_file_stays_a_dictionary_where_the_schema_has_none() -> None:
    marks = {
        "file": {"$blob": "text/html", "name": "x.html", "base64": "PGI+"},
        "table": {"$table": [], "rows": []},
        "figure": {"$figure": "plotly", "spec": {}},
    }
    assert records.from_json({"type": "object", "additionalProperties": True}, marks, pytest.fail) == marks
    assert records.from_json({}, [marks], pytest.fail) == [marks]
