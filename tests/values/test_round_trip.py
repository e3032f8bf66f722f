"""value → encode → JSON text → validate → decode is the value again, for every supported type."""

from __future__ import annotations

import datetime as dt
import functools
import json
import math
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, Generic, Literal, NamedTuple, NotRequired, Optional, TypedDict, TypeVar, Union
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, RootModel

import matinee
from matinee.errors import InputError
from matinee.values import decode, encode, validate
from matinee.values.describe import describe

T = TypeVar("T")


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Point(NamedTuple):
    x: int
    y: float = 0.0


class Options(TypedDict):
    depth: int
    since: NotRequired[dt.date]


@dataclass
class Leaf:
    day: dt.date
    color: Color


@dataclass
class Tree:
    leaves: list[Leaf]
    left: Tree | None = None


@dataclass
class Box(Generic[T]):
    item: T


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    born: dt.date | None = None
    call: str = Field("Rex", alias="callName")


class Names(RootModel[list[str]]):
    pass


@functools.cache
def described(annotation: Any) -> tuple[Any, Any, Any]:
    """Return a function that takes and returns this, with its schemas."""

    def function(it): ...

    function.__annotations__ = {"it": annotation, "return": annotation}
    return function, *describe(function)


def there_and_back(annotation: Any, value: Any) -> Any:
    """Return the value after its way through JSON, checked against both schemas."""
    function, parameters, result = described(annotation)
    text = json.dumps(encode.to_json(value), allow_nan=False)
    assert validate.problems(result, json.loads(text)) == []
    checked = validate.check(parameters, {"it": json.loads(text)})
    return decode.decode_arguments(function, checked, read_blob=pytest.fail)["it"]


finite = st.floats(allow_nan=False, allow_infinity=False)
days = st.dates()
leaves = st.builds(Leaf, days, st.sampled_from(Color))
trees = st.recursive(
    st.builds(Tree, st.lists(leaves, max_size=2)),
    lambda inner: st.builds(Tree, st.lists(leaves, max_size=2), inner),
    max_leaves=3,
)

CASES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (str, st.text()),
    (int, st.integers()),
    (float, finite),
    (bool, st.booleans()),
    (None, st.none()),
    (Literal["a", 1, True, None], st.sampled_from(["a", 1, True, None])),
    (Color, st.sampled_from(Color)),
    (Level, st.sampled_from(Level)),
    (Literal[Color.RED], st.just(Color.RED)),
    (dt.date, days),
    (dt.datetime, st.datetimes(timezones=st.sampled_from([None, dt.UTC]))),
    (dt.time, st.times()),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False, places=3)),
    (UUID, st.uuids()),
    (Optional[dt.date], st.none() | days),  # noqa: UP045 - the older spelling works too
    (Union[int, str], st.integers() | st.text()),  # noqa: UP007
    (float | int, finite | st.integers()),
    (int | bool, st.integers() | st.booleans()),
    (dt.date | int, days | st.integers()),
    (list[dt.date], st.lists(days)),
    (tuple[int, dt.date], st.tuples(st.integers(), days)),
    (tuple[str, ...], st.lists(st.text()).map(tuple)),
    (tuple[()], st.just(())),
    (set[int], st.sets(st.integers())),
    (frozenset[dt.date], st.frozensets(days)),
    (dict[str, list[float]], st.dictionaries(st.text(), st.lists(finite))),
    (dict[int, str], st.dictionaries(st.integers(), st.text())),
    (dict[dt.date, bool], st.dictionaries(days, st.booleans())),
    (dict[Color, int], st.dictionaries(st.sampled_from(Color), st.integers())),
    (Point, st.builds(Point, st.integers(), finite)),
    (Options, st.fixed_dictionaries({"depth": st.integers()}, optional={"since": days})),
    (Tree, trees),
    (Box[dt.date], st.builds(Box, days)),
    (Cat | Dog, st.builds(Cat, lives=st.integers()) | st.builds(Dog, born=st.none() | days)),
    (list[Leaf | Point], st.lists(leaves | st.builds(Point, st.integers(), finite), max_size=3)),
    (Names, st.builds(Names, st.lists(st.text()))),
    (matinee.Markdown, st.text().map(matinee.Markdown)),
    (matinee.File, st.builds(matinee.File, st.binary(), st.text(), st.just("text/plain"))),
    (matinee.Audio, st.builds(matinee.Audio, st.binary())),
    (matinee.Video, st.builds(matinee.Video, st.binary())),
]


@pytest.mark.parametrize(("annotation", "values"), CASES, ids=[str(a).replace("typing.", "") for a, _ in CASES])
def test_a_value_survives_the_wire(annotation: Any, values: st.SearchStrategy[Any]) -> None:
    @settings(max_examples=25, deadline=None)
    @given(values)
    def survives(value: Any) -> None:
        back = there_and_back(annotation, value)
        assert back == value
        assert type(back) is type(value)

    survives()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(json_values, st.sampled_from([annotation for annotation, _ in CASES]))
def test_what_the_validator_lets_pass_either_decodes_or_is_refused_in_words(value: Any, annotation: Any) -> None:
    function, schema, _ = described(annotation)
    if not validate.problems(schema, {"it": value}):
        try:
            decode.decode_arguments(function, {"it": value}, read_blob=pytest.fail)
        except InputError as error:
            assert error.problems[0].path.startswith("it")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_float_without_a_json_form_is_refused_with_its_place(value: float) -> None:
    with pytest.raises(InputError, match=r"scores\.1: is (nan|-?inf), which JSON cannot carry\. Use None"):
        encode.to_json({"scores": [1.0, value]})


@pytest.mark.parametrize("value", [object(), b"bytes", lambda: None, 1j, object])
def test_what_has_no_json_form_is_refused_with_what_would_do(value: object) -> None:
    with pytest.raises(InputError, match=r"^a\.0: is a \w+, which has no JSON form\. Return plain values"):
        encode.to_json({"a": [value]})


def test_a_record_that_refuses_its_values_is_a_problem_of_the_input() -> None:
    @dataclass
    class Even:
        n: int

        def __post_init__(self) -> None:
            if self.n % 2:
                raise ValueError("n must be even")

    def function(it): ...

    function.__annotations__ = {"it": Even, "return": None}
    with pytest.raises(InputError, match="it: n must be even"):
        decode.decode_arguments(function, {"it": {"n": 1}}, read_blob=pytest.fail)
