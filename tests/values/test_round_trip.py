"""value → encode → JSON text → validate → decode is the value again, for every supported type."""

from __future__ import annotations

import functools
import json
import math
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matinee.errors import InputError
from matinee.values import decode, encode, validate
from matinee.values.describe import describe
from support.typed_values import CASES, finite


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
