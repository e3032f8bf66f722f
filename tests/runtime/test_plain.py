"""What a plain handler returns is checked as JSON, in words, and is what Lambda's own client would send."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from matinee.errors import ComponentError, PredictionError
from matinee.runtime.plain import check_result, find_handler


def test_json_is_taken_as_lambda_takes_it() -> None:
    result = {"n": 1, 2: (True, None), "price": Decimal("1.5"), "inside": {"x": [0.5]}}
    assert check_result("old", result) == {"n": 1, "2": [True, None], "price": 1.5, "inside": {"x": [0.5]}}
    assert json.loads(json.dumps({1: "a", None: 2, 2.5: 3})) == check_result("old", {1: "a", None: 2, 2.5: 3})


@pytest.mark.parametrize(
    ("result", "why"),
    [
        ({"scores": [1.0, float("nan")]}, r"scores\[1\] is nan"),
        ({"a": {"b": float("-inf")}}, r"a\.b is -inf"),
        (b"raw", "it is of the type bytes"),
        ({"raw": b"raw"}, "raw is of the type bytes"),
        ({(1, 2): 3}, "it has a key of the type tuple"),
        ({"when": object()}, "when is of the type object"),
    ],
)
def test_what_json_does_not_have_is_refused_in_words(result, why) -> None:
    with pytest.raises(PredictionError, match=f"The result of old is no JSON: {why}") as refused:
        check_result("old", result)
    assert refused.value.kind == "invalid_result"


def test_a_result_that_holds_itself_is_refused_in_words() -> None:
    result: list[object] = []
    result.append(result)
    with pytest.raises(PredictionError, match="nested too deep, or holds itself"):
        check_result("old", result)


def test_a_handler_is_found_by_importing_its_module(tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "made_elsewhere.py").write_text(
        "class Adapter:\n    def __call__(self, event, context):\n        return event\n"
    )
    (tmp_path / "by_import.py").write_text(
        "import made_elsewhere\nfor name in ['handler']:\n    globals()[name] = made_elsewhere.Adapter()\n"
    )
    assert find_handler("by_import.handler")({"n": 1}, None) == {"n": 1}
    with pytest.raises(ComponentError, match=r"by_import.py defines no nothing\.") as missing:
        find_handler("by_import.nothing")
    assert missing.value.hint == 'Name the function that is there: handler = "by_import.FUNCTION".'
