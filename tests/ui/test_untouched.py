"""A form that nobody touched gives the call that Python would make: every type, default and example."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import matinee
from matinee.ui import widgets
from matinee.ui.forms import form_of
from matinee.ui.widgets import Drawing
from matinee.values import decode, encode, registry, validate
from matinee.values.describe import describe
from support.typed_values import CASES, Box


class UntouchedPage:
    """In Streamlit's place: every widget gives back what it started with, as a browser does when nobody touches it."""

    def __init__(self) -> None:
        self.session_state: dict[str, Any] = {}

    def text_input(self, *, value: str = "", **_: Any) -> str:
        assert "\n" not in value
        assert "\r" not in value
        return value

    def text_area(self, *_: Any, value: str = "", **__: Any) -> str:
        assert "\r" not in value, "a browser makes \\n of it"
        return value

    def toggle(self, *_: Any, value: bool = False, **__: Any) -> bool:
        return value

    def selectbox(self, *, options: Any, index: int | None, format_func: Callable[[Any], str], **_: Any) -> Any:
        labels = list(map(format_func, options))
        assert len(set(labels)) == len(labels), "the browser sends the label"
        return None if index is None else options[index]

    def segmented_control(self, *, default: Any, **_: Any) -> Any:
        return default

    def multiselect(self, *, default: list[Any], **_: Any) -> list[Any]:
        return default

    def file_uploader(self, *, accept_multiple_files: bool = False, **_: Any) -> Any:
        return [] if accept_multiple_files else None

    def audio_input(self, *_: Any, **__: Any) -> None:
        return None

    def columns(self, *_: Any, **__: Any) -> Any:
        return self, self

    def container(self, *_: Any, **__: Any) -> Any:
        return nullcontext()

    expander = container

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def __getattr__(self, name: str) -> Callable[..., None]:
        assert name in ("markdown", "caption", "empty", "button"), name
        return lambda *_, **__: None


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[UntouchedPage]:
    made = UntouchedPage()
    monkeypatch.setattr(widgets, "st", made)
    monkeypatch.setattr(widgets.render, "PLAYERS", dict.fromkeys(widgets.render.PLAYERS, lambda *_, **__: None))
    yield made


def form_inputs(parameters: Any, start: Any, page: UntouchedPage) -> Any:
    """Return the inputs of the form of these parameters, started from `start`, that nobody touched."""
    page.session_state.clear()
    drawing = Drawing("form", read_blob=pytest.fail, upload=pytest.fail, st=page)
    inputs = widgets.draw_form(form_of(parameters), start, drawing)
    assert drawing.problems == []
    return json.loads(json.dumps(inputs, allow_nan=False))


def function_of(annotation: Any, **default: Any) -> Any:
    if default:

        def function(it=default["it"]): ...
    else:

        def function(it): ...

    function.__annotations__ = {"it": annotation, "return": None}
    return function


def arrives(function: Any, parameters: Any, inputs: Any) -> Any:
    return decode.decode_arguments(function, validate.check(parameters, inputs), read_blob=pytest.fail)["it"]


LEFT_ALONE = settings(max_examples=12, deadline=None)
NAMES = [str(annotation).replace("typing.", "") for annotation, _ in CASES]
NESTED: list[tuple[str, Callable[[Any], Any], Callable[[Any], Any]]] = [
    ("plain", lambda a: a, lambda v: v),
    ("optional", lambda a: Optional[a], lambda v: st.none() | v),  # noqa: UP045
    ("list", lambda a: list[a], lambda v: st.lists(v, max_size=2)),
    ("optional-list", lambda a: Optional[list[a]], lambda v: st.none() | st.lists(v, max_size=2)),  # noqa: UP045
    ("record", lambda a: Box[a], lambda v: st.builds(Box, v)),
]
WAYS = pytest.mark.parametrize(("annotate", "nest"), [way[1:] for way in NESTED], ids=[way[0] for way in NESTED])


@functools.cache
def described(annotation: Any) -> Any:
    function = function_of(annotation)
    return function, describe(function)[0]


@pytest.mark.parametrize(("annotation", "values"), CASES, ids=NAMES)
@WAYS
def test_an_example_arrives_as_it_is(annotation, values, annotate, nest, page):
    function, parameters = described(annotate(annotation))

    @LEFT_ALONE
    @given(nest(values))
    def arrives_as_it_is(value: Any) -> None:
        example = {"it": json.loads(json.dumps(encode.to_json(value)))}
        inputs = form_inputs(parameters, example, page)
        assert inputs == example
        arrived = arrives(function, parameters, inputs)
        assert arrived == value
        assert type(arrived) is type(value)

    arrives_as_it_is()


@pytest.mark.parametrize(("annotation", "values"), CASES, ids=NAMES)
def test_a_default_arrives_as_it_is(annotation, values, page):
    @LEFT_ALONE
    @given(values)
    def arrives_as_it_is(value: Any) -> None:
        function = function_of(annotation, it=value)
        parameters, _ = describe(function)
        arrived = arrives(function, parameters, form_inputs(parameters, {}, page))
        assert arrived == value
        assert type(arrived) is type(value)

    arrives_as_it_is()


def test_pictures_tables_and_arrays_arrive_as_they_are(page):
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    image = pytest.importorskip("PIL.Image").new("RGB", (2, 2), "red")
    frame = pandas.DataFrame({"id": [2**62 + 1, 1], "text": ["a\r\nb", ""], "x": [0.1, None]})
    values = {matinee.Image: image, pandas.DataFrame: frame, numpy.ndarray: numpy.array([[1.5, 2], [3, 4]])}
    for annotation, value in values.items():
        function, parameters = described(annotation)
        example = {"it": encode.to_json(value)}
        assert form_inputs(parameters, example, page) == json.loads(json.dumps(example))
        arrived = arrives(function, parameters, example)
        same = arrived.equals(value) if annotation is pandas.DataFrame else numpy.array_equal(arrived, value)
        assert same, annotation


def test_every_type_of_the_registry_is_among_them():
    known = {"image", "table", "array"}  # the test above
    for annotation, _ in CASES:
        parameters = described(annotation)[1]
        schemas = [parameters["properties"]["it"], *parameters.get("$defs", {}).values()]
        known |= {row.name for schema in schemas if (row := registry.row_of(schema))}
    assert {row.name for row in registry.ROWS if not row.is_result_only} <= known
