"""Predictors as an assistant's tools, by the SDK of the Model Context Protocol.

A batch predictor answers with its run; one more tool reads it.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any, cast

import mcp_types as types
from mcp.server import Server, ServerRequestContext

from matinee.api import predictions
from matinee.api.predictions import Later
from matinee.api.requests import MCP_CALL, Call, Gate, Rates
from matinee.api.responses import blobs_of, live_run, schema_of, with_blobs
from matinee.errors import InputError, MatineeError
from matinee.manifest import PredictorManifest, Release
from matinee.runs import Run, Status
from matinee.values.registry import MARKED, shown_as

Json = Any
Context = ServerRequestContext[Any, Any]
READ_RUN = "matinee_read_run"
LONGEST_TEXT = 100_000  # characters of a result that an assistant is given to read
_FILE: Json = {
    "type": "object",
    "properties": {
        "$blob": {"type": "string", "description": "The media type, as in image/png."},
        "name": {"type": "string"},
        "base64": {"type": "string", "description": "The file's bytes."},
    },
    "required": ["$blob", "base64"],
}
_TABLE: Json = {
    "type": "object",
    "properties": {
        "$table": {"type": "array", "items": {"type": "object"}},
        "rows": {"type": "array", "items": {"type": "array", "items": {}}},
    },
    "required": ["$table", "rows"],
    "description": 'Columns as {"name", "type"} (string, integer, number, boolean, date, datetime), rows as lists.',
}
_CARRIERS = {"blob": _FILE, "table": _TABLE}  # how a marked value travels → its schema for an assistant


def server(release: Release, gate: Gate, later: Later, rates: Rates, wait_s: float) -> Server[Any]:
    """Return the SDK's server over what is live; tools are listed anew for every request."""
    tools = _Tools(gate, later, rates, wait_s)
    return Server(
        release.app,
        title=release.title,
        version=str(release.number),
        on_list_tools=tools.list_tools,
        on_call_tool=tools.call,
    )


class _Tools:
    def __init__(self, gate: Gate, later: Later, rates: Rates, wait_s: float) -> None:
        self._gate = gate
        self._later = later
        self._rates = rates
        self._wait_s = wait_s

    async def list_tools(self, context: Context, _: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        release = await self._gate.in_thread(_call(context).client.release)
        return types.ListToolsResult(tools=[*map(_tool, release.predictors), _reader()])

    async def call(self, context: Context, asked: types.CallToolRequestParams) -> types.CallToolResult:
        call = _call(context)
        try:
            return await self._answer(call, asked.name, asked.arguments or {})
        except InputError as error:
            lines = [str(problem) for problem in error.problems]
            return _refused("The inputs do not fit: " + "; ".join(lines), error.hint)
        except MatineeError as error:
            return _refused(error.message, error.hint)

    async def _answer(self, call: Call, name: str, inputs: Json) -> types.CallToolResult:
        in_thread = self._gate.in_thread
        if name == READ_RUN:
            return await in_thread(_read, call, inputs)
        predictor = await in_thread(call.client.predictor, name)
        if predictor.kind == "batch":
            return await in_thread(lambda: _answer_unfinished(call, call.client.submit(name, inputs)))
        limit = call.limits.predictions_per_minute
        spend: Callable[[], None] = lambda: self._rates.spend(call.person.name, limit)  # noqa: E731
        prediction = await in_thread(self._later.start, call.client, name, inputs, "", spend)
        try:
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(prediction.future)), self._wait_s)
        except TimeoutError:
            run = await in_thread(prediction.announce)
            return await in_thread(_outcome, call, run)
        return await in_thread(_outcome, call, prediction.future.result())


def _call(context: Context) -> Call:
    request: Any = context.request  # Starlette's
    return cast(Call, request.scope[MCP_CALL])


def _tool(predictor: PredictorManifest) -> types.Tool:
    about = predictor.doc or f"The predictor {predictor.name}."
    if predictor.kind == "batch":
        about += f"\n\nIt runs in the background: the answer is a run's id, which {READ_RUN} reads."
    return types.Tool(name=predictor.name, description=about, input_schema=_inputs(predictor.parameters))


def _reader() -> types.Tool:
    run = {"type": "string", "description": "The run's id."}
    return types.Tool(
        name=READ_RUN,
        description="Read a run: its status and progress, and its result once it has finished.",
        input_schema={"type": "object", "properties": {"run": run}, "required": ["run"], "additionalProperties": False},
        annotations=types.ToolAnnotations(read_only_hint=True),
    )


def _inputs(schema: Json) -> Json:
    """Return the schema with files and tables spelled out."""
    if isinstance(schema, list):
        return [_inputs(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    mark = schema.get("x-matinee")
    row = MARKED.get(mark) if isinstance(mark, str) else None
    spelled = _CARRIERS.get(row.carrier, {}) if row else {}
    return {**spelled, **{key: item if key == "default" else _inputs(item) for key, item in schema.items()}}


def _read(call: Call, inputs: Json) -> types.CallToolResult:
    run_id = inputs.get("run")
    if not isinstance(run_id, str):
        raise InputError("run", "is required: the id of a run")
    return _outcome(call, predictions.find_submitted(call.client, run_id))


def _outcome(call: Call, run: Run) -> types.CallToolResult:
    if not run.status.is_final:
        return _answer_unfinished(call, run)
    if run.status is not Status.SUCCEEDED:
        failure = run.failure
        return _refused(
            failure.message if failure else f"Run {run.id} was {run.status}.", failure.hint if failure else ""
        )
    result = call.client.result(run)
    schema = schema_of(call.client, run, "result")
    shown = with_blobs(schema, result, "url", f"{call.base}/runs/{run.id}/files", call.client.read_blob)
    text = json.dumps(shown, ensure_ascii=False)
    if len(text) > LONGEST_TEXT:
        text = f"{text[:LONGEST_TEXT]}… The whole result of run {run.id} is at {call.base}/runs/{run.id}/result."
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=text), *_pictures(call, schema, result)],
        structured_content={"run": run.id, "status": str(run.status), "result": shown},
    )


def _pictures(call: Call, schema: Json, result: Json) -> list[Any]:
    images = [blob for blob in blobs_of(schema, result) if shown_as(blob["$blob"]) == "image"]
    data = (b64encode(call.client.read_blob(blob)).decode() for blob in images)
    return [
        types.ImageContent(type="image", data=text, mime_type=blob["$blob"])
        for text, blob in zip(data, images, strict=True)
    ]


def _answer_unfinished(call: Call, run: Run) -> types.CallToolResult:
    shown_run = live_run(call.client, run, place=True)
    text = f"Run {run.id} is {run.status}. Read it with {READ_RUN}, in a while."
    shown = {"run": run.id, "status": str(run.status), "progress": shown_run["progress"]}
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], structured_content=shown)


def _refused(message: str, hint: str) -> types.CallToolResult:
    text = f"{message} {hint}".strip()
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=True)
