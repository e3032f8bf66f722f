"""The OpenAPI 3.1 document of what is live: a typed path for every predictor."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from matinee.api.operations import Operation
from matinee.api.responses import MEDIA_TYPE
from matinee.dataclass_json import schema_of
from matinee.manifest import PredictorManifest, Release
from matinee.ports import LogLine
from matinee.project.model import Limits
from matinee.runs import FAILURE_KINDS, Feedback, Progress, Run
from matinee.values.registry import COLUMN_TYPES, FIGURE_KINDS, MARKED

Json = Any
_EVERYWHERE = (401, 422, 503)
_DESCRIPTIONS = {
    400: "The request cannot be read or served.",
    401: "No token, or one that is not valid.",
    403: "Seen, but not yours to do.",
    404: "There is no such thing, or it is not yours to see.",
    406: "The result has no such form.",
    409: "Not possible in the present state.",
    413: "Over a limit.",
    415: "The body has another form than is read here.",
    422: "Values that do not fit: `errors` says which.",
    429: "Too much at once.",
    500: "The predictor ran and failed; `run` is its run.",
    503: "The app cannot answer now.",
}
_HEADERS = {401: "WWW-Authenticate", 429: "Retry-After", 202: "Location"}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Sent again with the same key, a request does nothing twice and has the same answer.",
    "schema": {"type": "string", "maxLength": 200, "pattern": r"^[\x20-\x7e]*$"},
}
_PATH_SCHEMAS: dict[str, Json] = {
    "name": {"type": "string", "minLength": 1, "maxLength": 200},
    "run": {"type": "string", "minLength": 1, "maxLength": 64},
    "number": {"type": "integer", "minimum": 0, "maximum": 999_999},
}


def document(
    release: Release, table: Sequence[Operation], limits: Limits, *, token_needed: bool = True
) -> dict[str, Json]:
    """Return the document of a release."""
    paths: dict[str, Json] = {}
    components = own()
    for predictor in release.predictors:
        components |= as_components(predictor.parameters, f"{predictor.name}.inputs")
        components |= as_components(predictor.result, f"{predictor.name}.result")
    for path, operation, owner in _paths(release, table):
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, path, owner, limits)
    about = str(release.details.get("description") or "")
    return {
        "openapi": "3.1.0",
        "info": {"title": release.title, "version": str(release.number), "description": about},
        "servers": [{"url": "/api/v1"}],
        "security": [{"bearer": []}, *([] if token_needed else [{}])],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A token of the app's owner: mat_…"}
            },
        },
    }


def _paths(release: Release, table: Sequence[Operation]) -> Iterator[tuple[str, Operation, PredictorManifest | None]]:
    for operation in table:
        if not operation.per:
            yield operation.path, operation, None
        for predictor in release.predictors:
            if predictor.kind == operation.per:
                yield operation.path.replace("{name}", quote(predictor.name)), operation, predictor


def _operation(operation: Operation, path: str, predictor: PredictorManifest | None, limits: Limits) -> Json:
    suffix = f"_{predictor.name}" if predictor else ""
    described: dict[str, Json] = {
        "operationId": operation.id + suffix,
        "summary": f"{operation.summary} ({predictor.name})" if predictor else operation.summary,
        "tags": [predictor.name if predictor else operation.path.split("/")[1]],
        "parameters": _parameters(operation, path),
        "responses": _responses(operation, predictor),
    }
    if predictor and predictor.doc:
        described["description"] = predictor.doc
    if operation.body:
        described["requestBody"] = _body(operation, predictor, limits)
    return described


def _parameters(operation: Operation, path: str) -> list[Json]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": _PATH_SCHEMAS[name]}
        for name in re.findall(r"\{(\w+)\}", path)
    ]
    in_query = [
        {"name": name, "in": "query", "required": False, "schema": schema} for name, schema in operation.query.items()
    ]
    return [*in_path, *in_query, *([_KEY] if operation.has_key else [])]


def _body(operation: Operation, predictor: PredictorManifest | None, limits: Limits) -> Json:
    if operation.body == "file":
        file = {"type": "string", "format": "binary", "minLength": 1}
        form = {"type": "object", "properties": {"file": file}, "required": ["file"], "additionalProperties": False}
        content = {"application/octet-stream": {"schema": file}, "multipart/form-data": {"schema": form}}
        return {"required": True, "description": f"At most {limits.upload_mb:g} MB.", "content": content}
    media: dict[str, Json] = {"schema": operation.body_schema}
    if predictor is not None:
        inputs = ref(component_name(f"{predictor.name}.inputs"))
        rows = {"type": "array", "minItems": 1, "maxItems": limits.queue_per_user, "items": inputs}
        many = operation.body_schema and {**operation.body_schema, "properties": {"rows": rows}}
        media["schema"] = many or inputs
        examples = [{"rows": [example]} if many else example for example in predictor.examples]
        if examples:
            media["examples"] = {f"example {n}": {"value": example} for n, example in enumerate(examples, 1)}
    return {"required": True, "content": {"application/json": media}}


def _responses(operation: Operation, predictor: PredictorManifest | None) -> Json:
    found = {str(status): _answer(operation, status, name, predictor) for status, name in operation.answers.items()}
    for status in sorted({*_EVERYWHERE, *operation.errors}):
        described: dict[str, Json] = {
            "description": _DESCRIPTIONS[status],
            "content": {MEDIA_TYPE: {"schema": ref("Problem")}},
        }
        found[str(status)] = _with_header(described, status)
    return found


def _answer(operation: Operation, status: int, name: str, predictor: PredictorManifest | None) -> Json:
    if name == "Bytes":
        file = {"type": "string", "format": "binary"}
        return {"description": "The file, of its own type.", "content": {"application/octet-stream": {"schema": file}}}
    schema = ref(name)
    if name == "Prediction" and predictor is not None:
        result = {"result": ref(component_name(f"{predictor.name}.result"))}
        schema = {"allOf": [ref("Run"), {"type": "object", "properties": result, "required": ["result"]}]}
    content: dict[str, Json] = {"application/json": {"schema": schema}}
    if operation.has_csv and status == 200:
        content["text/csv"] = {"schema": {"type": "string"}}
    what = "It goes on: look at its run." if status == 202 else "Done."
    return _with_header({"description": what, "content": content}, status if name == "Run" else 0)


def _with_header(described: dict[str, Json], status: int) -> dict[str, Json]:
    if status in _HEADERS:
        schema = {"type": "integer", "minimum": 1} if status == 429 else {"type": "string"}
        described["headers"] = {_HEADERS[status]: {"schema": schema}}
    return described


# --- schemas of the API -----------------------------------------------------------------------------------------------
# The schemas of the API's own values, and a predictor's schemas as OpenAPI components.

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


# --- schemas of a predictor -------------------------------------------------------------------------------------------

_CARRIERS = {  # how a marked value travels → its schema here
    "blob": ref("Blob"),
    "table": ref("Table"),
    "figure": {"anyOf": [ref("Figure"), ref("Blob")]},
    "array": {"type": "array", "items": {}},
    "markdown": {"type": "string", "contentMediaType": "text/markdown"},
}
_COPIED = ("title", "description", "default", "deprecated")


def component_name(*parts: str) -> str:
    """Return a component's name: letters, digits, dots, hyphens."""
    return ".".join(quote(part, safe="").replace("%", "-").replace("~", "-") for part in parts)


def as_components(schema: Schema, name: str) -> dict[str, Schema]:
    """Return a predictor's schema and its definitions as components `name`, `name.DEFINITION`.

    They have no titles: programs that make clients name a class by its title, and two predictors may have a `Result`.
    """
    defs = schema.get("$defs", {})
    found = {component_name(name, key): _component(item, name) for key, item in defs.items()}
    return {component_name(name): _component(schema, name), **found}


def _component(schema: Schema, name: str) -> Schema:
    found: Schema = _rewrite({key: item for key, item in schema.items() if key not in ("$defs", "title")}, name)
    return found


def _rewrite(value: Json, name: str) -> Json:
    if isinstance(value, list):
        return [_rewrite(item, name) for item in value]
    if isinstance(value, str) and value.startswith("#/$defs/"):
        return ref(component_name(name, value.removeprefix("#/$defs/")))["$ref"]
    if not isinstance(value, dict):
        return value
    mark = value.get("x-matinee")
    if isinstance(mark, str) and mark in MARKED:
        return {
            **_CARRIERS[MARKED[mark].carrier],
            **{key: value[key] for key in _COPIED if key in value},
            "x-matinee": mark,
        }
    return {key: item if key == "default" else _rewrite(item, name) for key, item in value.items()}
