"""The types of parameters, each with the values it may have: every row of the registry and how they are nested."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, Generic, Literal, NamedTuple, NotRequired, Optional, TypedDict, TypeVar, Union
from uuid import UUID

from hypothesis import strategies as st
from pydantic import BaseModel, Field, RootModel

import matinee

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
