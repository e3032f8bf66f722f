"""`matinee dev`."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from functools import singledispatch
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from matinee.cli import output
from matinee.cli.options import HERE, App, AsJson

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from matinee.environments.inspect import InspectedComponent, Inspection
    from matinee.manifest import PredictorManifest, Release, Trouble
    from matinee.operate.dev import Shown
    from matinee.operate.test import Measured, Tested


def dev(
    path: Annotated[
        Path | None, typer.Argument(help="The app's folder or a predictor file; instead of --app.", show_default=False)
    ] = None,
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="The port; the next free one if taken.")] = 8501,
    ui: Annotated[bool, typer.Option("--ui/--no-ui", help="With or without the web UI.")] = True,
    watch: Annotated[bool, typer.Option("--watch/--no-watch", help="Reload what is saved.")] = True,
    lan: Annotated[
        bool, typer.Option("--lan", help="Show it to colleagues in the network: address, QR code, password.")
    ] = False,
    without_sign_in: Annotated[
        bool, typer.Option("--without-sign-in", help="With --host: let everybody in who reaches it.")
    ] = False,
    containers: Annotated[
        bool, typer.Option("--containers", help="Every component in its image, within the limits it declares.")
    ] = False,
    data: Annotated[
        str, typer.Option("--data", metavar="STAGE", help="Keep runs and files in this stage's table and bucket.")
    ] = "",
    app: App = HERE,
    as_json: AsJson = False,
) -> None:
    """Run the whole app on this machine and reload what changes."""
    from matinee.operate import dev as operate_dev

    options = operate_dev.DevOptions(
        path or app,
        host,
        port,
        ui=ui,
        watch=watch,
        lan=lan,
        without_sign_in=without_sign_in,
        containers=containers,
        data=data,
    )
    operate_dev.run(options, _print_event if as_json else _renderer())


def _print_event(event: Any) -> None:
    from dataclasses import asdict

    shown = {name: str(v) if isinstance(v, Exception) else v for name, v in vars(event).items() if name != "release"}
    if hasattr(event, "release"):
        shown["release"] = asdict(event.release)
    output.print_json({"event": type(event).__name__, **shown}, indent=None)


def _renderer() -> Callable[[Any], None]:
    """Return what renders each event; made here so that `matinee --help` need not import the events."""
    from matinee.operate import dev as operate_dev

    @singledispatch
    def render(event: Any) -> None:
        output.say(str(event))

    @render.register(operate_dev.Line)
    def _(event: operate_dev.Line) -> None:
        output.component_line(event.component, event.text)

    @render.register(operate_dev.PortTaken)
    def _(event: operate_dev.PortTaken) -> None:
        output.say(f"Port {event.asked} is in use, so this app takes {event.taken}.")

    @render.register(operate_dev.Reloaded)
    def _(event: operate_dev.Reloaded) -> None:
        _show_release(event.release, event.changed, event.elapsed_s)

    @render.register(operate_dev.ReloadFailed)
    def _(event: operate_dev.ReloadFailed) -> None:
        output.show_error(event.error.message, event.error.hint)
        output.next_step("The former version goes on.")

    @render.register(operate_dev.Ready)
    def _(event: operate_dev.Ready) -> None:
        where = event.url or f"Lambda endpoint {event.lambda_endpoint}"
        output.say(f"Ready in {event.elapsed_s:.1f} s: {where}")
        output.next_step("Save a file and it is live. Ctrl-C ends everything.")

    @render.register(operate_dev.Shown)
    def _(event: operate_dev.Shown) -> None:
        _show_address(event)

    @render.register(operate_dev.SignInChanged)
    def _(_: operate_dev.SignInChanged) -> None:
        output.say("[auth] has changed: end this and start it again for that to count.")

    @render.register(operate_dev.Ended)
    def _(event: operate_dev.Ended) -> None:
        output.say(f"Everything has ended ({event.signal_name}).")

    return render


def _show_address(shown: Shown) -> None:
    if not shown.address:
        output.say("This machine has no address in a network, so nobody else reaches it.")
        return
    output.say(shown.qr_code)
    output.say(f"In your network: {shown.address}")
    if shown.password:
        output.say(f"Password for colleagues: {shown.password}")
    if shown.owner_password:
        output.say(f"Password for you, the owner: {shown.owner_password}")
    output.next_step(
        "Whoever signs in can use the app until this ends. The address is plain http: for a network you trust."
    )


def _show_release(release: Release, changed: tuple[str, ...], elapsed_s: float) -> None:
    for component in release.components:
        if component.trouble:
            trouble = component.trouble
            where = f"{trouble.file}, line {trouble.line}: " if trouble.line else ""
            output.show_error(f"{component.name}: {where}{trouble.message}", trouble.hint)
        elif component.name in changed:
            names = ", ".join(predictor.name for predictor in component.predictors)
            output.component_line(component.name, f"{component.label} is live in {elapsed_s:.1f} s: {names}")


# --- matinee new ------------------------------------------------------------------------------------------------------


def new(
    name: Annotated[Path, typer.Argument(help="The app's name: a folder of this name is made.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Write a working app to start from."""
    from matinee.operate.new import new

    made = new(name)
    if as_json:
        output.print_json({"name": made.name, "folder": str(made.folder), "files": made.files})
        return
    for file in made.files:
        output.print_text(f"{name}/{file}")
    output.next_step(f"Next: cd {shlex.quote(str(name))} && matinee dev")


# --- matinee inspect --------------------------------------------------------------------------------------------------

SHOWN_FILES = 12


def inspect(app: App = HERE, as_json: AsJson = False) -> None:
    """Show what the app holds: components, predictors, inputs and results."""
    from matinee.environments.inspect import inspect

    found = inspect(app, output.reporter())
    if as_json:
        output.print_json(_json(found))
    else:
        _show_manifest(found)
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


def _show_manifest(found: Inspection) -> None:
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


# --- matinee test -----------------------------------------------------------------------------------------------------


def test(
    predictor: Annotated[str, typer.Argument(help="Only this predictor's examples.", show_default=False)] = "",
    containers: Annotated[
        bool, typer.Option("--containers", help="Each in its image: size, cold start, memory, and what to change.")
    ] = False,
    app: App = HERE,
    as_json: AsJson = False,
) -> None:
    """Run every predictor's declared examples and check the results against their types."""
    if containers:
        _in_containers(predictor, app, as_json=as_json)
        return
    from matinee.operate.test import test

    tested = test(app, only=predictor, report=output.reporter())
    if as_json:
        output.print_json({**asdict(tested), "ok": tested.ok})
    else:
        _show_test(tested)
    if not tested.ok:
        raise typer.Exit(1)


def _in_containers(predictor: str, app: Path, *, as_json: bool) -> None:
    from matinee.operate.test import test_containers

    done = test_containers(app, only=predictor, report=output.reporter())
    if as_json:
        measured = [{**asdict(item), "advice": item.advice} for item in done.measured]
        output.print_json({**asdict(done.tested), "ok": done.ok, "measured": measured})
    else:
        _show_test(done.tested)
        _show_measured(done.measured)
    if not done.ok:
        raise typer.Exit(1)


def _show_measured(measured: Sequence[Measured]) -> None:
    from matinee.cli import output

    rows = [
        [
            item.predictor,
            item.image,
            f"{item.image_mb:.0f} MB",
            output.took(item.cold_start_s),
            f"{item.peak_mb:.0f} of {item.memory_mb} MB" if item.peak_mb else "too quick to see",
        ]
        for item in measured
    ]
    output.print_table(["PREDICTOR", "IMAGE", "SIZE", "COLD START", "MEMORY"], rows)
    for advice in (sentence for item in measured for sentence in item.advice):
        output.next_step(advice)


def _show_test(tested: Tested) -> None:

    from matinee.cli import output

    rows = [
        [
            "passed" if item.ok else "FAILED",
            f"{item.predictor} {item.number}",
            json.dumps(item.inputs, ensure_ascii=False)[:60],
            output.took(item.duration_s),
            item.problem,
        ]
        for item in tested.tried
    ]
    if rows:
        output.print_table(["", "EXAMPLE", "INPUTS", "TOOK", "PROBLEM"], rows)
    for component, trouble in tested.troubles.items():
        output.show_error(f"{component}: {trouble.message}", trouble.hint)
    for hint in dict.fromkeys(item.hint for item in tested.tried if item.hint):
        output.say(f"hint: {hint}")
    for name in tested.without_examples:
        output.next_step(f"{name} declares no examples: add examples=[{{…}}] to its decorator.")
    passed = sum(item.ok for item in tested.tried)
    output.say(f"{passed} of {len(tested.tried)} examples passed.")
