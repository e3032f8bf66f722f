"""The schemas of the API's own values, and a predictor's schemas as OpenAPI components."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from matinee.dataclass_json import schema_of
from matinee.ports import LogLine
from matinee.runs import FAILURE_KINDS, Feedback, Progress, Run
from matinee.values.registry import COLUMN_TYPES, FIGURE_KINDS, MARKED

Json = Any
Schema = dict[str, Json]
_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}


def ref(name: str) -> Schema:
    """Return a reference to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


def closed(properties: Schema, optional: tuple[str, ...] = (), **more: Json) -> Schema:
    """Return an object schema whose properties are all there, but the optional ones."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, **more}


def own() -> dict[str, Schema]:
    """Return the API's own components."""
    return {**_errors(), **_values(), **_runs(), **_lists()}


def _errors() -> dict[str, Schema]:
    problem = {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong, in one sentence."},
        "hint": {"type": "string", "description": "What to do next."},
        "errors": {"type": "array", "items": closed({"path": _TEXT, "message": _TEXT})},
        "kind": {"type": "string", "enum": list(FAILURE_KINDS)},
        "run": ref("Run"),
    }
    return {"Problem": closed(problem, ("hint", "errors", "kind", "run"), description="RFC 9457 problem details.")}


def _values() -> dict[str, Schema]:
    blob = {
        "$blob": {"type": "string", "description": "The media type."},
        "name": _TEXT,
        "base64": {"type": "string", "contentEncoding": "base64"},
        "key": {"type": "string", "description": "Where it is kept, as /uploads answered."},
        "size_bytes": {"type": "integer"},
        "url": {"type": "string", "description": "Where to download it; in answers only."},
    }
    column = closed({"name": _TEXT, "type": {"type": "string", "enum": list(COLUMN_TYPES)}})
    rows = {"type": "array", "items": {"type": "array", "items": {}}}
    stored = {name: blob[name] for name in ("$blob", "name", "key", "size_bytes")}
    return {
        "Blob": {
            **closed(blob, ("name", "base64", "key", "size_bytes", "url")),
            "anyOf": [{"required": ["base64"]}, {"required": ["key"]}, {"required": ["url"]}],
            "description": "A file: its bytes inside (`base64`), or kept here (`key`, from /uploads).",
        },
        "StoredFile": closed(stored, description="The reference of an uploaded file: give it as an input."),
        "Table": closed({"$table": {"type": "array", "items": column}, "rows": rows}),
        "Figure": closed({"$figure": {"type": "string", "enum": list(FIGURE_KINDS)}, "spec": {"type": "object"}}),
        "Anything": {},
    }


def _runs() -> dict[str, Schema]:
    also = {
        "duration_s": {"type": ["number", "null"]},
        "progress": schema_of(Progress),
        "queue_position": {"type": ["integer", "null"], "description": "How many runs start before this one."},
        "why_waiting": _TEXT,
    }
    return {"Run": schema_of(Run, also=also, optional=("progress", "queue_position", "why_waiting"))}


def _lists() -> dict[str, Schema]:
    predictor = {
        "name": _TEXT,
        "kind": {"type": "string", "enum": ["realtime", "batch"]},
        "component": _TEXT,
        "doc": _TEXT,
        "parameters": {"type": "object", "description": "The JSON Schema of its inputs."},
        "result": {"type": "object", "description": "The JSON Schema of its result."},
        "examples": {"type": "array", "items": {"type": "object"}},
        "timeout_s": _NUMBER,
    }
    app = {"app": _TEXT, "title": _TEXT, "release": {"type": "integer"}, "user": _TEXT, "role": _TEXT}
    runs = {"type": "array", "items": ref("Run")}
    return {
        "Predictor": closed(predictor),
        "Predictors": closed({**app, "predictors": {"type": "array", "items": ref("Predictor")}}),
        "Runs": closed({"runs": runs}),
        "RunPage": closed({"runs": runs, "next": {"type": ["string", "null"], "description": "`before` of the rest."}}),
        "Feedback": schema_of(Feedback),
        "FeedbackList": closed({"feedback": {"type": "array", "items": ref("Feedback")}}),
        "Logs": closed({"lines": {"type": "array", "items": schema_of(LogLine)}}),
        "Shared": closed({"shared": {"type": "boolean"}}),
    }


# --- a predictor's own ------------------------------------------------------------------------------------------------

_CARRIERS = {  # how a marked value travels → its schema here
    "blob": ref("Blob"),
    "table": ref("Table"),
    "figure": {"anyOf": [ref("Figure"), ref("Blob")]},
    "array": {"type": "array", "items": {}},
    "markdown": {"type": "string", "contentMediaType": "text/markdown"},
}
_KEPT = ("title", "description", "default", "deprecated")


def component_name(*parts: str) -> str:
    """Return a component's name: letters, digits, dots, hyphens."""
    return ".".join(quote(part, safe="").replace("%", "-").replace("~", "-") for part in parts)


def as_components(schema: Schema, name: str) -> dict[str, Schema]:
    """Return a predictor's schema and its definitions as components `name`, `name.DEFINITION`."""
    defs = schema.get("$defs", {})
    found = {component_name(name, key): _rewritten(item, name) for key, item in defs.items()}
    return {component_name(name): _rewritten({k: v for k, v in schema.items() if k != "$defs"}, name), **found}


def _rewritten(value: Json, name: str) -> Json:
    if isinstance(value, list):
        return [_rewritten(item, name) for item in value]
    if isinstance(value, str) and value.startswith("#/$defs/"):
        return ref(component_name(name, value.removeprefix("#/$defs/")))["$ref"]
    if not isinstance(value, dict):
        return value
    mark = value.get("x-matinee")
    if isinstance(mark, str) and mark in MARKED:
        return {
            **_CARRIERS[MARKED[mark].carrier],
            **{key: value[key] for key in _KEPT if key in value},
            "x-matinee": mark,
        }
    return {key: item if key == "default" else _rewritten(item, name) for key, item in value.items()}
