"""Every row of the registry: its values travel and come back the same, as parameters and as results."""

from __future__ import annotations

import datetime as dt
import enum
import functools
import json
import pathlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import altair
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from pydantic import BaseModel, ConfigDict

import matinee
from matinee.errors import InputError
from matinee.tables import ENDINGS
from matinee.values import blobs, decode, encode, records, registry, validate
from matinee.values.describe import describe


class Pair(NamedTuple):
    left: int
    right: str = "r"


class Options(TypedDict):
    depth: int


class Color(enum.Enum):
    RED = "red"
    NONE = None


class Letter(BaseModel):
    title: str
    sheets: list[matinee.File]
    pair: Pair = Pair(1)


class Album(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    cover: Image.Image
    price: Decimal


finite = st.floats(allow_nan=False, allow_infinity=False)
names = st.text(st.characters(codec="utf-8", exclude_characters="/\\\0"), min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..")
)
pixels = arrays.arrays(np.uint8, (2, 3, 4))
files = st.builds(matinee.File, st.binary(max_size=20), names, st.sampled_from(["text/plain", "application/pdf"]))
frames = st.lists(
    st.fixed_dictionaries(
        {"id": st.integers(-(2**63), 2**63 - 1), "text": st.text(), "real": finite, "flag": st.booleans()}
    ),
    min_size=1,
    max_size=3,
).map(pd.DataFrame)

# For each row: the annotations that it stands for, with values of them.
VALUES: dict[str, list[tuple[Any, st.SearchStrategy[Any]]]] = {
    "string": [(str, st.text())],
    "integer": [(int, st.integers() | st.sampled_from([2**53 + 1, 10**18 + 7, -(10**30)]))],
    "number": [(float, finite)],
    "boolean": [(bool, st.booleans())],
    "null": [(None, st.none()), (Color, st.sampled_from(Color)), (Literal["a", None], st.sampled_from(["a", None]))],
    "array": [
        (list[dt.date], st.lists(st.dates())),
        (set[int], st.sets(st.integers())),
        (tuple[int, str], st.tuples(st.integers(), st.text())),
        (np.ndarray, arrays.arrays(np.float64, (2, 3), elements=finite)),
        (npt.NDArray[np.uint8], arrays.arrays(np.uint8, (3,))),
    ],
    "object": [
        (dict[str, Decimal], st.dictionaries(st.text(), st.decimals(allow_nan=False, allow_infinity=False))),
        (Options, st.fixed_dictionaries({"depth": st.integers()})),
        (Pair, st.builds(Pair, st.integers(), st.text())),
        (Letter, st.builds(Letter, title=st.text(), sheets=st.lists(files, max_size=2))),
        (Album, st.builds(Album, cover=pixels.map(Image.fromarray), price=st.decimals(0, 9, places=2))),
    ],
    "date": [(dt.date, st.dates())],
    "date-time": [(dt.datetime, st.datetimes(timezones=st.none() | st.timezones()))],
    "time": [(dt.time, st.times())],
    "uuid": [(UUID, st.uuids())],
    "decimal": [(Decimal, st.decimals(allow_nan=False, allow_infinity=False))],
    "file": [
        (matinee.File, files),
        (pathlib.Path, st.binary(max_size=20)),
    ],
    "image": [(Image.Image, pixels.map(Image.fromarray))],
    "audio": [(matinee.Audio, st.builds(matinee.Audio, st.binary(max_size=20)))],
    "video": [(matinee.Video, st.builds(matinee.Video, st.binary(max_size=20)))],
    "markdown": [(matinee.Markdown, st.text().map(matinee.Markdown))],
    "table": [(pd.DataFrame, frames)],
    "figure": [],
}
WALK = [(row, annotation, values) for row, pairs in VALUES.items() for annotation, values in pairs]


def test_every_row_is_walked() -> None:
    assert {row.name for row in registry.ROWS} == VALUES.keys()


@functools.cache
def described(annotation: Any) -> tuple[Any, Any, Any]:
    def function(it): ...

    function.__annotations__ = {"it": annotation, "return": annotation}
    return function, *describe(function)


def travel(annotation: Any, value: Any, read_blob: Callable[[dict], bytes]) -> Any:
    """Return the value after its way through JSON, checked as a parameter and as a result."""
    function, parameters, result = described(annotation)
    sent = json.loads(json.dumps(encode.to_json(value), allow_nan=False))
    assert validate.problems(result, sent) == []
    shown = records.from_json(result, sent, read_blob)
    assert json.loads(json.dumps(encode.to_json(shown), allow_nan=False)) == sent, "what a caller gets is what was sent"
    return decode.decode_arguments(function, validate.check(parameters, {"it": sent}), read_blob)["it"]


def comparable(value: Any) -> Any:
    if isinstance(value, pathlib.Path):
        return value.name, value.read_bytes()
    if isinstance(value, Image.Image):
        return value.mode, value.size, value.tobytes()
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape, value.tolist()
    if isinstance(value, pd.DataFrame):
        return value.to_dict("list"), [str(dtype) for dtype in value.dtypes]
    if isinstance(value, Album):
        return comparable(value.cover), value.price
    if isinstance(value, dt.datetime):
        return value.isoformat()
    return value


@pytest.mark.parametrize(("row", "annotation", "values"), WALK, ids=[f"{row}-{a}" for row, a, _ in WALK])
def test_a_value_of_every_row_comes_back_the_same(
    row: str, annotation: Any, values: st.SearchStrategy[Any], tmp_path: pathlib.Path
) -> None:
    @settings(max_examples=20, deadline=None)
    @given(values)
    def comes_back(value: Any) -> None:
        if annotation is pathlib.Path:
            (tmp_path / "a.bin").write_bytes(value)
            value = tmp_path / "a.bin"
        with blobs.Reader(None) as read_blob:
            back = travel(annotation, value, read_blob)
            assert comparable(back) == comparable(value)
        assert isinstance(back, type(value))

    comes_back()


def test_a_figure_is_a_result_that_a_caller_reads() -> None:
    chart = altair.Chart(pd.DataFrame({"x": [1]})).mark_bar().encode(x="x:Q")
    sent = encode.to_json(chart)
    assert records.from_json(registry.MARKED["figure"].schema, sent, pytest.fail).spec == sent["spec"]


# --- media types ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "media_type",
    ["audio/x,text/html", "audio/wav\r\nX: y", "audio/", "audio", "", "x/y", "text/html;<b>", "audio/wav\n", "a b/c"],
)
@pytest.mark.parametrize("mark", registry.FILES)
def test_what_is_no_media_type_is_refused_where_a_value_enters(mark: str, media_type: str) -> None:
    (found,) = validate.problems({"x-matinee": mark}, {"$blob": media_type, "name": "a", "base64": ""})
    assert found.message.startswith(f"has {media_type!r} where its media type should stand")
    assert blobs.is_media_type(blobs.media_type_of(media_type))
    with pytest.raises(InputError, match="has the media type"):
        encode.to_json(matinee.File(b"", "a", media_type))


@pytest.mark.parametrize("media_type", ["image/svg+xml", "text/html", "application/xhtml+xml", "audio/x", "video/x"])
def test_a_browser_is_given_nothing_to_play_that_is_not_in_a_row(media_type: str) -> None:
    assert registry.shown_as(media_type) == "file"


@pytest.mark.parametrize("mark", ["image", "audio", "video"])
def test_a_file_of_another_family_is_refused(mark: str) -> None:
    blob = {"$blob": "text/plain", "name": "a", "base64": ""}
    (found,) = validate.problems({"x-matinee": mark}, blob)
    assert found.message == f"must be {registry.MARKED[mark].expected}, and this is text/plain"
    media_type = next(iter(registry.MARKED[mark].media))
    assert not validate.problems({"x-matinee": mark}, {**blob, "$blob": media_type})


# --- the validator against every shape --------------------------------------------------------------------------------

shapes = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [*["kind", "it", "$blob", "base64", "key", "name", "$table", "rows", "type", "$figure", "spec", "x"]]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Owner(BaseModel):
    pet: Cat | Dog = matinee.Field(discriminator="kind")
    size: float = matinee.Field(1.5, multiple_of=0.5, le=3)
    price: Decimal = matinee.Field(Decimal(1), multiple_of=Decimal("0.01"), max_digits=4, decimal_places=2)
    tags: set[str] = matinee.Field(set(), max_length=2)


ANNOTATIONS = [annotation for _, annotation, _ in WALK]
ANNOTATIONS += [Owner, list[Owner], dict[str, Owner | matinee.File], dict, list]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(ANNOTATIONS), shapes)
def test_no_value_of_any_shape_is_an_error_of_ours(annotation: Any, value: Any) -> None:
    function, parameters, _ = described(annotation)
    found = validate.problems(parameters, {"it": value})
    if not found:
        with blobs.Reader(None) as read_blob:
            try:
                decode.decode_arguments(function, {"it": value}, read_blob)
            except InputError as error:
                assert error.problems


@pytest.mark.parametrize("kind", [["cat"], {"cat": 1}, None, 1, True])
def test_a_discriminator_of_another_kind_is_refused_in_words(kind: Any) -> None:
    found = validate.problems(described(Owner)[1], {"it": {"pet": {"kind": kind}}})
    assert [problem.path for problem in found] == ["it.pet.kind"]


def test_what_is_nested_too_deep_is_refused_in_words() -> None:
    class Tree(BaseModel):
        inner: list[Tree] = []

    Tree.model_rebuild(_types_namespace={"Tree": Tree})
    value: Any = {"inner": []}
    for _ in range(5000):
        value = {"inner": [value]}
    assert [str(p) for p in validate.problems(described(Tree)[1], {"it": value})] == ["is nested too deep"]


def test_a_table_may_be_uploaded_as_any_file_that_is_read() -> None:
    assert registry.MARKED["table"].accept == ENDINGS
