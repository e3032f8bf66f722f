"""A list that is looked at as a whole is read, written and refused exactly as its items are one by one."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matinee.errors import InputError
from matinee.values import decode, encode, frames, validate

TEXTS = st.text(max_size=3)
ODD = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS, *map(st.just, ([], {}, 10**400)))
KINDS = (st.integers(), st.floats(), st.integers() | st.floats(), TEXTS, st.booleans(), st.floats() | st.none())
SAME = st.one_of(*(st.lists(kind, min_size=9, max_size=12) for kind in KINDS))
ITEMS = SAME | st.lists(ODD, min_size=9, max_size=12) | st.tuples(SAME, ODD).map(lambda pair: [*pair[0], pair[1]])
SCHEMAS: list[dict[str, Any]] = [
    *({"type": kind} for kind in ("string", "integer", "number", "boolean", "null")),
    {"type": "number", "minimum": -1, "exclusiveMaximum": 1e9},
    {"type": "integer", "exclusiveMinimum": 0, "maximum": 100},
    {"type": "integer", "multipleOf": 2},
    {"type": "string", "minLength": 1},
    {"type": ["string", "number"], "format": "decimal"},
    {"anyOf": [{"type": "number"}, {"type": "null"}]},
    {"anyOf": [{"type": "number", "minimum": 0}, {"type": "null"}]},
    {"enum": [1, 2.0, "a"]},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=json.dumps)
@given(items=ITEMS)
def test_a_long_list_is_checked_as_its_items_are(schema: dict[str, Any], items: list[Any]) -> None:
    one_by_one = [
        (str(number), problem.message)
        for number, item in enumerate(items)
        for problem in validate.problems(schema, item)
    ]
    found = validate.problems({"type": "array", "items": schema}, items)
    assert [(problem.path, problem.message) for problem in found] == one_by_one


@pytest.mark.parametrize("cls", [int, float, str, bool])
@given(items=ITEMS)
def test_a_long_list_is_decoded_as_its_items_are(cls: Any, items: list[Any]) -> None:
    def read(annotation: Any, value: Any) -> Any:
        try:
            return decode.decoder(annotation)(value, lambda _: b"", "it")
        except (InputError, OverflowError) as error:
            return type(error)

    one_by_one = [read(cls, item) for item in items]
    whole = read(list[cls], items)
    errors = [item for item in one_by_one if isinstance(item, type)]
    if errors:
        assert whole is errors[0]
    else:
        assert whole is not items
        assert [(type(item), repr(item)) for item in whole] == [(type(item), repr(item)) for item in one_by_one]


@given(items=ITEMS)
def test_a_long_list_is_encoded_as_its_items_are(items: list[Any]) -> None:
    bad = [n for n, item in enumerate(items) if isinstance(item, float) and not math.isfinite(item)]
    if bad:
        with pytest.raises(InputError) as error:
            encode.to_json(items)
        assert error.value.problems[0].path == str(bad[0])
    else:
        assert encode.to_json(tuple(items)) == [encode.to_json(item) for item in items]


MOMENTS = {
    "days": ["2026-01-31", None, "1999-12-31"],
    "seconds": ["2026-01-31T09:30:00", None, "1999-12-31"],
    "fractions": ["2026-01-31T09:30:00.25", "1999-12-31", None],
    "nothing": [None, None, None],
    "far away": ["0044-03-15", "9999-12-31", None],
}


@pytest.mark.parametrize("unit", ["s", "us", "ns"])
@pytest.mark.parametrize("texts", MOMENTS.values(), ids=MOMENTS)
def test_a_column_of_moments_is_written_as_its_cells_are(texts: list[str | None], unit: str) -> None:
    if unit == "ns":  # which does not reach so far
        texts = [None if text in ("0044-03-15", "9999-12-31") else text for text in texts]
    column = pd.Series(np.array([text or "NaT" for text in texts], dtype=f"datetime64[{unit}]"))
    (cells,) = zip(*frames.from_pandas(pd.DataFrame({"c": column}), encode.to_json)["rows"], strict=True)
    is_day = all(text is None or len(text) == 10 for text in texts)
    expected = [None if pd.isna(cell) else cell.isoformat()[:10] if is_day else cell.isoformat() for cell in column]
    assert list(cells) == expected


@pytest.mark.parametrize("dtype", ["int8", "uint64", "float16", "float32", "float64", "bool"])
def test_a_column_of_numbers_is_written_as_its_cells_are(dtype: str) -> None:
    column = pd.Series(np.array([0, 1, 3, 100]).astype(dtype))
    if column.dtype.kind == "f":
        column[1] = np.nan
    (cells,) = zip(*frames.from_pandas(pd.DataFrame({"c": column}), encode.to_json)["rows"], strict=True)
    expected = [None if pd.isna(cell) else cell for cell in column.tolist()]
    assert [(type(cell), cell) for cell in cells] == [(type(cell), cell) for cell in expected]
    if column.dtype.kind == "f":
        column[0] = -np.inf
        with pytest.raises(InputError, match="infinite number in the column c"):
            frames.from_pandas(pd.DataFrame({"c": column}), encode.to_json)


def test_a_million_numbers_are_looked_at_in_less_time_than_json_takes() -> None:
    numbers = [n / 7 for n in range(1_000_000)]
    began = time.process_time()
    json.loads(json.dumps(numbers))
    floor = time.process_time() - began
    began = time.process_time()
    decoded = decode.decoder(list[float])(
        validate.check({"type": "array", "items": {"type": "number"}}, numbers), bytes, ""
    )
    encode.to_json(decoded)
    assert time.process_time() - began < floor
