"""The API under what schemathesis makes of its own document: no 5xx, and every answer is as the document says."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

EXAMPLES = 12
OPERATIONS = (
    *("listPredictors", "showPredictor", "predict_greet", "predict_shout", "submit_greet_all", "submitMany_greet_all"),
    *("upload", "listRuns", "showRun", "showInputs", "showResult", "resultFile", "inputFile", "showLogs", "cancel"),
    *("listFeedback", "giveFeedback", "share", "unshare"),
)
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def caller(served_once) -> dict[str, str]:
    return {"Authorization": f"Bearer {served_once.token('fuzz')}"}


@pytest.fixture(scope="module")
def operations(served_once, caller: dict[str, str]) -> dict[str, Any]:
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", served_once.app, headers=caller)
    found = (result.ok() for result in schema.get_all_operations())
    return {operation.definition.raw["operationId"]: operation for operation in found}


def test_every_operation_is_tried(operations):
    assert set(operations) == set(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_fits_is_answered_as_the_document_says(operations, caller, name):
    _try(operations[name], caller, GenerationMode.POSITIVE)


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "listPredictors"])  # which takes nothing
def test_what_does_not_fit_is_refused_as_the_document_says(operations, caller, name):
    _try(operations[name], caller, GenerationMode.NEGATIVE)


def _try(operation: Any, caller: dict[str, str], mode: GenerationMode) -> None:
    @given(operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def tried(case: Any) -> None:
        case.call_and_validate(headers=caller, checks=CHECKS)

    tried()
