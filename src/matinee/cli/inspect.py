"""`matinee inspect`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from matinee.cli import output
from matinee.cli.options import HERE, App, AsJson

if TYPE_CHECKING:
    from matinee.environments.inspect import InspectedComponent
    from matinee.manifest import PredictorManifest, Trouble
    from matinee.ops.inspect import Inspection

SHOWN_FILES = 12


def command(app: App = HERE, as_json: AsJson = False) -> None:
    """Show what the app holds: components, predictors, inputs and results."""
    from matinee.ops.inspect import inspect

    found = inspect(app, output.reporter())
    if as_json:
        output.print_json(_json(found))
    else:
        _show(found)
    if found.troubled:
        raise typer.Exit(2)


def _json(found: Inspection) -> Any:
    from matinee.manifest import to_json

    return {
        "name": found.project.name,
        "title": found.project.title,
        "components": [
            {**to_json(item.manifest), "files": list(item.files), "left_out": dict(item.left_out)}
            for item in found.components
        ],
    }


def _show(found: Inspection) -> None:
    rows = [_row(predictor) for item in found.components for predictor in item.manifest.predictors]
    if rows:
        output.print_table(["PREDICTOR", "KIND", "COMPONENT", "INPUTS", "RESOURCES"], rows)
    for item in found.components:
        _show_files(item)
    for item in found.troubled:
        if item.manifest.trouble:
            _show_trouble(item.component.name, item.manifest.trouble)
    if rows and not found.troubled:
        output.next_step("Next: matinee dev, or matinee test")


def _show_files(item: InspectedComponent) -> None:
    """Say which files belong to a component: its version, its snapshot and its image hold them and no others."""
    shown = ", ".join(item.files[:SHOWN_FILES])
    more = f" and {len(item.files) - SHOWN_FILES} more" if len(item.files) > SHOWN_FILES else ""
    if item.files:
        output.print_text(f"Files of {item.component.name}: {shown}{more}")
    for name, reason in item.left_out.items():
        output.print_text(f"Not of {item.component.name}: {name}, for {reason}")


def _row(predictor: PredictorManifest) -> list[str]:
    required = predictor.parameters.get("required", [])
    inputs = ", ".join(n if n in required else f"[{n}]" for n in predictor.parameters.get("properties", {}))
    r = predictor.resources
    size = f"{r.memory_mb} MB, {r.timeout_s:g} s"
    if predictor.kind == "batch":
        size += f", {r.cpu:g} vCPU, {r.max_workers} worker{'s' * (r.max_workers != 1)}"
    size += f", {r.schedule}" if r.schedule else ""
    size += f", secrets {' '.join(r.secrets)}" if r.secrets else ""
    return [predictor.name, predictor.kind, predictor.component, inputs, size]


def _show_trouble(component: str, trouble: Trouble) -> None:
    where = f"{trouble.file}{f', line {trouble.line}' if trouble.line else ''}: " if trouble.file else ""
    output.show_error(f"{component}: {where}{trouble.message}", trouble.hint)
