"""Annotations become JSON Schema; what is not supported is named together with what is."""

from __future__ import annotations

import collections
import datetime as dt
import pathlib
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict
from uuid import UUID

import altair
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from PIL.Image import Image
from pydantic import BaseModel, Field, FilePath, HttpUrl, SecretStr

import matinee
from matinee.errors import ComponentError
from matinee.values import registry, validate
from matinee.values.describe import describe


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Point(NamedTuple):
    x: int
    y: int = 0


class Options(TypedDict):
    depth: int
    since: NotRequired[dt.date]


@dataclass
class Tree:
    name: str
    children: list[Tree] = field(default_factory=list)


@dataclass
class Report:
    table: pd.DataFrame
    picture: Image
    notes: matinee.Markdown


class Model(BaseModel):
    layers: Annotated[list[int], Field(min_length=1)]
    rate: float = Field(0.1, gt=0, description="how fast it learns")


def parameter(annotation: Any) -> dict[str, Any]:
    def function(it): ...

    function.__annotations__ = {"it": annotation, "return": None}
    schema = describe(function)[0]
    found = schema["properties"]["it"]
    while "$ref" in found:
        found = schema["$defs"][found["$ref"].rpartition("/")[2]]
    return found


SCHEMAS = [
    (str, {"type": "string"}),
    (int, {"type": "integer"}),
    (float, {"type": "number"}),
    (bool, {"type": "boolean"}),
    (None, {"type": "null"}),
    (Literal["a", "b"], {"enum": ["a", "b"], "type": "string"}),
    (Color, {"enum": ["red", "blue"], "title": "Color", "type": "string"}),
    (dt.date, {"type": "string", "format": "date"}),
    (dt.datetime, {"type": "string", "format": "date-time"}),
    (dt.time, {"type": "string", "format": "time"}),
    (UUID, {"type": "string", "format": "uuid"}),
    (Decimal, {"type": ["string", "number"], "format": "decimal"}),
    (dict, {"type": "object", "additionalProperties": True}),
    (dict[str, Any], {"type": "object", "additionalProperties": True}),
    (list[Any], {"type": "array", "items": {}}),
    (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
    (list[int], {"type": "array", "items": {"type": "integer"}}),
    (set[str], {"type": "array", "items": {"type": "string"}, "uniqueItems": True}),
    (dict[str, float], {"type": "object", "additionalProperties": {"type": "number"}}),
    (
        Annotated[int, Field(ge=1, le=9, description="d")],
        {"type": "integer", "minimum": 1, "maximum": 9, "description": "d"},
    ),
    (Annotated[dt.date, matinee.after("start")], {"type": "string", "format": "date", "x-after": "start"}),
    (matinee.File, {"type": "object", "x-matinee": "file"}),
    (matinee.Audio, {"type": "object", "x-matinee": "audio"}),
    (matinee.Video, {"type": "object", "x-matinee": "video"}),
    (pathlib.Path, {"type": "object", "x-matinee": "file"}),
    (matinee.Markdown, {"type": "string", "x-matinee": "markdown"}),
    (Image, {"type": "object", "x-matinee": "image"}),
    (pd.DataFrame, {"type": "object", "x-matinee": "table"}),
    (np.ndarray, {"type": "array", "x-matinee": "array"}),
    (npt.NDArray[np.uint8], {"type": "array", "x-matinee": "array"}),
]


@pytest.mark.parametrize(("annotation", "schema"), SCHEMAS, ids=[str(a) for a, _ in SCHEMAS])
def test_an_annotation_becomes_its_schema(annotation: Any, schema: dict) -> None:
    assert parameter(annotation) == schema


def test_records_become_objects_with_named_fields() -> None:
    assert parameter(Point)["properties"] == {"x": {"type": "integer"}, "y": {"type": "integer", "default": 0}}
    assert parameter(Point)["required"] == ["x"]
    assert parameter(Options)["required"] == ["depth"]
    assert parameter(Tree)["properties"]["children"]["items"] == {"$ref": "#/$defs/Tree"}
    assert parameter(Model)["properties"]["rate"]["description"] == "how fast it learns"
    assert [p["x-matinee"] for p in parameter(Report)["properties"].values()] == ["table", "image", "markdown"]
    for record in (Point, Options, Tree):
        assert parameter(record)["additionalProperties"] is False


def test_defaults_are_in_the_schema_and_make_a_parameter_optional() -> None:
    def function(
        day: dt.date, color: Color = Color.RED, since: dt.date = dt.date(2026, 1, 1), n: int | None = None
    ) -> None: ...

    schema = describe(function)[0]
    assert schema["required"] == ["day"]
    assert [p.get("default", ...) for p in schema["properties"].values()] == [..., "red", "2026-01-01", None]
    assert schema["additionalProperties"] is False


def test_names_that_a_pydantic_model_could_not_have_are_fine() -> None:
    def function(schema: str, copy: bool, model_config: int, json: float, self_: str, _private: int = 1) -> None: ...

    assert list(describe(function)[0]["properties"]) == ["schema", "copy", "model_config", "json", "self_", "_private"]


def test_a_result_may_be_several_things() -> None:
    def function() -> tuple[altair.Chart, Image, Report]: ...

    result = describe(function)[1]
    assert [part.get("x-matinee") for part in result["prefixItems"]] == ["figure", "image", None]
    assert set(result["$defs"]) == {"Report"}


class Odd:
    pass


def no_annotation(a) -> None: ...
def no_result(a: int): ...
def stars(*a: int) -> None: ...
def more(**a: int) -> None: ...
def by_position(a: int, /) -> None: ...
def unknown(a: Nowhere) -> None: ...  # noqa: F821
def odd(a: Odd) -> None: ...
def nested(a: dict[str, list[Odd]]) -> None: ...
def odd_result() -> list[Odd]: ...
def lock(a: threading.Lock) -> None: ...
def function(a: Callable[[int], int]) -> None: ...
def raw(a: bytes) -> None: ...
def wave(a: complex) -> None: ...
def stream() -> Iterator[int]: ...
def none_default(a: int = None) -> None: ...  # noqa: RUF013
def low_default(a: Annotated[int, Field(ge=1)] = 0) -> None: ...
def odd_default(a: dict = Odd()) -> None: ...  # noqa: B008
def field_default(a: int = Field(1, ge=1)) -> None: ...
async def later(a: int) -> None: ...
def one_by_one(a: int) -> list[int]:
    yield a


REFUSED = [
    (no_annotation, "no_annotation() has no annotation for its parameter a."),
    (no_result, "no_result() has no return annotation."),
    (stars, "stars() takes *a, and"),
    (more, "more() takes **a, and"),
    (by_position, "by_position() takes a by position only"),
    (unknown, "unknown() has an annotation that Python cannot read: name 'Nowhere' is not defined."),
    (odd, "odd() has an annotation that is not supported: Odd for its parameter a."),
    (nested, "nested() has an annotation that is not supported: Odd for its parameter a."),
    (odd_result, "odd_result() has an annotation that is not supported: Odd for the result."),
    (lock, "lock() has an annotation that is not supported: "),
    (function, "function() has an annotation that is not supported: "),
    (raw, "raw() has an annotation that is not supported: bytes for its parameter a."),
    (wave, "wave() has an annotation that is not supported: complex for its parameter a."),
    (stream, "stream() has an annotation that is not supported: "),
    (none_default, "none_default() has a default that does not fit: a must be a whole number."),
    (low_default, "low_default() has a default that does not fit: a must be at least 1."),
    (odd_default, "odd_default() has a default that cannot be stored: a: is a Odd"),
    (field_default, "field_default() has Field(…) as the default of a"),
    (later, "later() is async or a generator"),
    (one_by_one, "one_by_one() is async or a generator"),
]


@pytest.mark.parametrize(("bad", "message"), REFUSED, ids=[f.__name__ for f, _ in REFUSED])
def test_refuses_what_it_cannot_describe_and_says_where(bad: Callable[..., Any], message: str) -> None:
    with pytest.raises(ComponentError) as refused:
        describe(bad)
    shown = refused.value.message.replace(f"{Odd.__module__}.", "")
    assert shown.startswith(message), shown
    assert refused.value.hint
    assert refused.value.file == __file__
    assert refused.value.line == bad.__code__.co_firstlineno


def test_a_figure_is_a_result_only() -> None:
    def function(chart: altair.Chart) -> None: ...

    with pytest.raises(ComponentError, match=r"not supported: altair.*Chart for its parameter chart"):
        describe(function)


class Holder(BaseModel):
    secret: SecretStr


@dataclass
class Server:
    file: FilePath


@pytest.mark.parametrize(
    "annotation",
    [
        Any, object, FilePath, SecretStr, re.Pattern, re.Pattern[str], HttpUrl, dt.timedelta, IPv4Address,
        collections.deque, Holder, Server, list[Holder], dict[str, object], tuple[int, Any] | None, Annotated[Any, 1],
        pathlib.PurePath, range,
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("place", ["it", "return"])
def test_what_is_not_in_the_registry_is_refused_with_the_list_of_what_is(annotation: Any, place: str) -> None:
    def function(it): ...

    function.__annotations__ = {"it": None, "return": None, place: annotation}
    with pytest.raises(ComponentError, match="has an annotation that is not supported: ") as refused:
        describe(function)
    assert refused.value.hint == registry.SUPPORTED
    with pytest.raises(ComponentError, match="has an annotation that is not supported: "):
        describe(function)  # what was refused once is not remembered as something that works


def test_a_decimal_is_one_number_whose_bounds_hold_for_a_text_and_for_a_number() -> None:
    price = Annotated[Decimal, Field(gt=0, le=Decimal("99.5"), max_digits=5, decimal_places=2)]
    assert parameter(price) == {
        "type": ["string", "number"],
        "format": "decimal",
        "exclusiveMinimum": 0,
        "maximum": 99.5,
        "x-max-digits": 5,
        "x-decimal-places": 2,
    }


def test_a_default_in_a_record_is_as_it_travels() -> None:
    @dataclass
    class Letter:
        sheet: matinee.File = matinee.File(b"abc", "a.txt", "text/plain")  # noqa: RUF009
        price: Decimal = Decimal("1.50")

    parts = parameter(Letter)["properties"]
    assert parts["sheet"]["default"] == {"$blob": "text/plain", "name": "a.txt", "base64": "YWJj"}
    assert parts["price"]["default"] == "1.50"


def large_default(kind: type, tmp_path: pathlib.Path) -> Any:
    path = tmp_path / "weights.bin"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a terabyte that nobody reads
    return path if kind is pathlib.Path else matinee.File(b"x" * 300_000, "weights.bin")


@pytest.mark.parametrize("kind", [pathlib.Path, matinee.File])
def test_a_default_that_is_a_large_file_is_refused_before_it_is_read(kind: type, tmp_path: pathlib.Path) -> None:
    def predict(weights): ...

    predict.__annotations__ = {"weights": kind, "return": None}
    predict.__defaults__ = (large_default(kind, tmp_path),)
    with pytest.raises(ComponentError, match=r"weights: is a file of [\d,]+ kB, and at most 256 kB stand in") as error:
        describe(predict)
    assert "read the file inside the function" in error.value.hint


def test_keys_with_a_pattern_are_names_with_a_pattern() -> None:
    found = parameter(dict[Annotated[str, Field(pattern="^[a-z]+$")], int])
    assert found["propertyNames"] == {"type": "string", "pattern": "^[a-z]+$"}
    assert [str(p) for p in validate.problems(found, {"A": 1, "b": "x"})] == [
        "A: has a name that must match the pattern ^[a-z]+$",
        "b: must be a whole number",
    ]
