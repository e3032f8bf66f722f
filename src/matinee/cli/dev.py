"""`matinee dev`."""

from __future__ import annotations

import json
from functools import singledispatch
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from matinee.cli import output
from matinee.cli.options import HERE, App, AsJson

if TYPE_CHECKING:
    from collections.abc import Callable

    from matinee.manifest import Release
    from matinee.ops.dev import Shown


def command(
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
    from matinee.ops import dev

    options = dev.DevOptions(
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
    dev.run(options, _print_event if as_json else _renderer())


def _print_event(event: Any) -> None:
    from dataclasses import asdict

    shown = {name: str(v) if isinstance(v, Exception) else v for name, v in vars(event).items() if name != "release"}
    if hasattr(event, "release"):
        shown["release"] = asdict(event.release)
    output.print_text(json.dumps({"event": type(event).__name__, **shown}, ensure_ascii=False, default=str))


def _renderer() -> Callable[[Any], None]:
    """Return what renders each event; made here so that `matinee --help` need not import the events."""
    from matinee.ops import dev

    @singledispatch
    def render(event: Any) -> None:
        output.say(str(event))

    @render.register(dev.Line)
    def _(event: dev.Line) -> None:
        output.component_line(event.component, event.text)

    @render.register(dev.PortTaken)
    def _(event: dev.PortTaken) -> None:
        output.say(f"Port {event.asked} is in use, so this app takes {event.taken}.")

    @render.register(dev.Reloaded)
    def _(event: dev.Reloaded) -> None:
        _show_release(event.release, event.changed, event.elapsed_s)

    @render.register(dev.ReloadFailed)
    def _(event: dev.ReloadFailed) -> None:
        output.show_error(event.error.message, event.error.hint)
        output.next_step("The former version goes on.")

    @render.register(dev.Ready)
    def _(event: dev.Ready) -> None:
        where = event.url or f"Lambda endpoint {event.lambda_endpoint}"
        output.say(f"Ready in {event.elapsed_s:.1f} s: {where}")
        output.next_step("Save a file and it is live. Ctrl-C ends everything.")

    @render.register(dev.Shown)
    def _(event: dev.Shown) -> None:
        _show_address(event)

    @render.register(dev.SignInChanged)
    def _(_: dev.SignInChanged) -> None:
        output.say("[auth] has changed: end this and start it again for that to count.")

    @render.register(dev.Ended)
    def _(event: dev.Ended) -> None:
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
