"""The manifest of what has no annotations to inspect: a plain Lambda handler, or an image that exists."""

from __future__ import annotations

import ast

from matinee.errors import ComponentError
from matinee.manifest import PLAIN, ComponentManifest, PredictorManifest, Resources
from matinee.project import Component

_DOC = {
    "handler": "A Lambda handler, taken as it is: it gets the event, and what it returns is shown.",
    "image": "An image that exists, taken as it is: it gets the event, and what it returns is shown.",
}


def plain_manifest(component: Component) -> ComponentManifest:
    """Return the manifest of one realtime predictor that takes any JSON object, named as its component.

    `hash` is the caller's to fill in. Raises ComponentError for a handler that its module does not define.
    """
    kind = "image" if component.image else "handler"
    if component.handler:
        _check(component)
    event = {"type": "object", "title": "Event", "description": "The JSON object the function is called with."}
    parameters = {
        "type": "object",
        "properties": {"event": event},
        "required": ["event"],
        "additionalProperties": False,
        PLAIN: kind,
    }
    name = component.name.replace("-", "_")
    told = PredictorManifest(name, "realtime", component.name, _DOC[kind], parameters, {}, Resources())
    return ComponentManifest(component.name, "", predictors=(told,))


def _check(component: Component) -> None:
    """Look for the handler in the module's text: importing it is for its own environment."""
    name = component.handler.rpartition(".")[2]
    try:
        tree = ast.parse(component.entry.read_bytes())
    except (OSError, SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", 0) or 0
        raise ComponentError(
            f"{component.entry.name} cannot be read: {error}.", file=str(component.entry), line=line
        ) from error
    if name not in set(_names(tree)):
        raise ComponentError(
            f"{component.entry.name} defines no {name}.",
            hint=f'Name the function that is there: handler = "{component.entry.stem}.FUNCTION".',
            file=str(component.entry),
        )


def _names(tree: ast.Module) -> list[str]:
    found: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            found.append(node.name)
        elif isinstance(node, ast.Assign):
            found += [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found += [alias.asname or alias.name for alias in node.names]
    return found
