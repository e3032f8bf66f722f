"""`matinee deploy`, `plan` and `push`."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from matinee.cli import output
from matinee.cli.options import HERE, App, AsJson
from matinee.cli.output import escape
from matinee.errors import UsageError

if TYPE_CHECKING:
    from matinee.deploy.cloud import Event, ResourceMoved, Tools
    from matinee.deploy.destroy import Destroyed, Loss
    from matinee.deploy.plan import Deployed, Line, Summary
Build = Annotated[str, typer.Option("--build", help="Where images are built: local, or remote by CodeBuild.")]


def deploy(
    stage: OfStage = "dev",
    yes: Yes = False,
    only: Annotated[
        str, typer.Option("--only", metavar="NAME", help="One changed component, without a stack update.")
    ] = "",
    traffic: Annotated[
        str, typer.Option("--traffic", metavar="PERCENT", help="With --only: what part of the calls gets it.")
    ] = "100%",
    data_only: Annotated[bool, typer.Option("--data-only", help="Make table and bucket alone.")] = False,
    test: Annotated[bool, typer.Option("--test/--no-test", help="Run an example of what is new.")] = True,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for another deployment to end.")] = True,
    build: Build = "local",
    app: App = HERE,
    as_json: AsJson = False,
) -> None:
    """Bring the app live in your own AWS account: the first time and every later time."""
    from matinee.deploy.pipeline import deploy
    from matinee.deploy.plan import DeployOptions

    share = _share(traffic)
    if share < 1 and not only:
        raise UsageError("--traffic is for one component.", hint="Name it: matinee deploy --only NAME --traffic 10%")
    options = DeployOptions(stage, only, share, data_only=data_only, may_wait=wait, tries=test)
    try:
        with report_progress(quiet=as_json) as report:
            done = deploy(app, options, open_tools(build), report, confirm_with(yes=yes, quiet=as_json))
    except KeyboardInterrupt:
        output.say("What AWS has begun goes on there. The same command again waits for it, and goes on.")
        raise
    if as_json:
        output.print_json(asdict(done))
        return
    _show(done, data_only=data_only)


def _share(text: str) -> float:
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = 0.0
    if not 0 < percent <= 100:
        raise UsageError(f"{text!r} is no part of the calls.", hint="As in --traffic 10%.")
    return percent / 100


def _show(done: Deployed, *, data_only: bool) -> None:
    if done.declined:
        output.say("Nothing was changed.")
        return
    if data_only:
        output.say(f"Table and bucket of {done.stage} are there.")
        output.next_step(f"Next: matinee push --stage {done.stage}, or the whole: matinee deploy --stage {done.stage}")
        return
    if done.url:
        output.print_text(done.url)
    versions = ", ".join(f"{name} {label}" for name, label in done.versions.items())
    if not done.changed:
        output.say(f"Nothing to do: release {done.release} is live on {done.stage} ({versions}).")
        return
    output.say(f"Release {done.release} is live on {done.stage} after {done.seconds:.0f} s: {versions}.")
    for line in _sign_in(done):
        output.say(line)
    output.next_step(f"Next: matinee status --stage {done.stage}. Back again: matinee rollback --stage {done.stage}")


def _sign_in(done: Deployed) -> list[str]:
    if done.password:
        return [f"Password, made now and shown this once: {done.password}"]
    from matinee.project.sections import SIGN_IN_MODES

    mode = SIGN_IN_MODES.get(done.sign_in)
    return [mode.after_deploy.format(stage=done.stage)] if mode else []


def plan(stage: OfStage = "dev", build: Build = "local", app: App = HERE, as_json: AsJson = False) -> None:
    """Show what a deployment would change and cost; nothing is changed."""
    from matinee.deploy.plan import plan as planned

    with report_progress(quiet=as_json) as report:
        summary = planned(app, stage, open_tools(build), report)
    if as_json:
        output.print_json(summary_json(summary))
        return
    if summary.is_empty:
        output.say(f"Nothing would change on {stage}.")
        return
    show_summary(summary)
    output.next_step(f"Next: matinee deploy --stage {stage}")


def push(
    name: Annotated[str, typer.Argument(help="Only this component's image.", show_default=False)] = "",
    stage: OfStage = "dev",
    build: Build = "local",
    app: App = HERE,
    as_json: AsJson = False,
) -> None:
    """Build images and upload them, ahead of a deployment."""
    from matinee.deploy.pipeline import push as pushed

    with report_progress(quiet=as_json) as report:
        images = pushed(app, stage, open_tools(build), name=name, report=report)
    if as_json:
        output.print_json([asdict(image) for image in images])
        return
    output.print_table(
        ["COMPONENT", "IMAGE", ""],
        [[image.component, image.tag, "was there" if image.was_there else "pushed"] for image in images],
    )
    output.next_step(f"Next: matinee deploy --stage {stage}")


# --- shared by deployment commands ------------------------------------------------------------------------------------
# What the commands of a deployment show and ask: progress on stderr, one question before anything is made.

Json = Any
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
OfStage = Annotated[str, typer.Option("--stage", help="The stage.")]
_DONE = {"CREATE": "created", "UPDATE": "updated", "DELETE": "deleted", "IMPORT": "taken in"}
_GOING = {"CREATE": "creating", "UPDATE": "updating", "DELETE": "deleting", "IMPORT": "taking in"}
_SIGNS = {"add": "+", "import": "+", "change": "~", "replace": "!", "remove": "-"}
_WORDS = {"add": "added", "import": "taken in", "change": "changed", "replace": "replaced", "remove": "removed"}
_SHOWN = 12  # resources of one effect by name; the rest by kind


def open_tools(build: str = "local") -> Tools:
    """Return the tools of a deployment; UsageError for another place to build than there is."""
    from matinee.deploy.cloud import Tools
    from matinee.settings import AwsSettings

    if (settings := AwsSettings.from_environment()).endpoint:
        from matinee.rehearsal.rehearsal import find_tools

        if rehearsed := find_tools(settings):
            return rehearsed
    if build == "local":
        from matinee.deploy.registry import EngineImages

        return Tools(EngineImages())
    if build == "remote":
        from matinee.deploy.remote_build import RemoteImages

        return Tools(RemoteImages())
    raise UsageError(f"Images are not built {build!r}.", hint="--build is local (Docker here) or remote (CodeBuild).")


# --- progress on stderr ---------------------------------------------------------------------------------------------


@contextmanager
def report_progress(*, quiet: bool = False) -> Iterator[Callable[[Event], None]]:
    """Give a report that shows events as they come; on a terminal, also what is going on at the moment."""
    if quiet:
        yield lambda _: None
        return
    shown = _Progress()
    try:
        yield shown.show
    finally:
        shown.close()


class _Progress:
    def __init__(self) -> None:
        self._console = output.stderr()
        self._status = self._console.status("") if self._console.is_terminal else None
        self._going: dict[str, float] = {}
        self._began = time.monotonic()

    def show(self, event: Event) -> None:
        """Show one event; called from several threads."""
        from matinee.deploy import cloud

        if isinstance(event, cloud.ResourceMoved):
            self._resource(event)
        elif isinstance(event, cloud.Step):
            self._console.print(f"[bold]{escape(event.text)}[/bold]")
        elif isinstance(event, cloud.ImageMoved):
            output.component_line(event.component, event.text)
        elif isinstance(event, cloud.Note):
            self._console.print(f"  [yellow]note[/yellow] {escape(event.text)} [dim]{escape(event.hint)}[/dim]")
        elif isinstance(event, cloud.Tried):
            word = f"[red]failed:[/red] {escape(event.problem)}" if event.problem else "[green]passed[/green]"
            self._console.print(f"  {event.duration_s:5.1f} s  {event.predictor}, its first example {word}")
        elif isinstance(event, cloud.TaskFailed):
            self._console.print(f"  [red]{escape(event.resource)}: a task stopped. {escape(event.reason)}[/red]")
            for line in event.log:
                self._console.print(f"      [dim]{escape(line)}[/dim]")

    def _resource(self, event: ResourceMoved) -> None:
        action, _, state = event.status.partition("_")
        key = f"{event.stack}/{event.resource}"
        if state.endswith("IN_PROGRESS"):
            self._going[key] = event.elapsed_s
            self._refresh(f"{_GOING.get(action, action.lower())} {event.resource}")
            return
        self._going.pop(key, None)
        if "FAILED" in event.status:
            self._console.print(
                f"  {event.elapsed_s:5.0f} s  [red]{escape(event.resource)} failed:[/red] {escape(event.reason)}"
            )
        elif event.status.endswith("COMPLETE"):
            word = "rolled back" if "ROLLBACK" in event.status else _DONE.get(action, event.status)
            self._console.print(f"  {event.elapsed_s:5.0f} s  {escape(event.resource)} {word}")
        self._refresh("")

    def _refresh(self, text: str) -> None:
        if self._status is None:
            return
        others = f" and {len(self._going) - 1} more" if len(self._going) > 1 else ""
        if self._going:
            self._status.update(
                f"{escape(text or 'waiting for ' + next(iter(self._going)).rpartition('/')[2])}{others}"
            )
            self._status.start()
        else:
            self._status.stop()

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._status is not None:
            self._status.stop()


# --- summary and confirmation ---------------------------------------------------------------------------------------


def confirm_with(*, yes: bool, quiet: bool = False) -> Callable[[Summary], bool]:
    """Return what shows a summary and asks; UsageError where nobody can be asked."""

    def confirm(summary: Summary) -> bool:
        if not quiet:
            show_summary(summary)
        return yes or ask_to_deploy("Go on?")

    return confirm


def ask_to_deploy(question: str) -> bool:
    """Ask on stderr; UsageError where nobody is at the keyboard."""
    if not sys.stdin.isatty():
        raise UsageError("Nobody is here to be asked.", hint="Look at it with `matinee plan`, then add --yes.")
    return typer.confirm(output.show_controls(question), err=True)


def show_summary(summary: Summary) -> None:
    """Say what would happen, what is lost first."""
    console = output.stderr()
    for line in summary.lost:
        what = f"{line.kind} {line.name} would be {_WORDS[line.effect]}"
        console.print(f"[bold red]! The {escape(what)}: what is in it goes.[/bold red]")
    for version in summary.versions:
        if version.before != version.after:
            console.print(f"  {escape(_version(version.component, version.before, version.after))}")
    for effect in _SIGNS:
        lines = [line for line in summary.lines if line.effect == effect]
        if lines:
            _show_lines(effect, lines)
    before, after = summary.monthly_usd_before, summary.monthly_usd_after
    if after is not None:
        was = f" (now {before:,.0f} US $)" if before is not None and round(before) != round(after) else ""
        console.print(f"  About {after:,.0f} US $ a month{was}: `matinee cost` says for what.")
    for warning in summary.warnings:
        console.print(f"  [yellow]note[/yellow] {escape(warning)}")


def _version(component: str, before: str, after: str) -> str:
    if not before:
        return f"+ {component} {after}"
    return f"- {component} {before}" if not after else f"~ {component} {before} → {after}"


def _show_lines(effect: str, lines: list[Line]) -> None:
    console = output.stderr()
    if len(lines) > _SHOWN:
        kinds = Counter(line.kind for line in lines)
        text = ", ".join(f"{count} {_plural(kind)}" if count > 1 else kind for kind, count in kinds.most_common())
        console.print(f"  {_SIGNS[effect]} {len(lines)} resources {_WORDS[effect]}: {escape(text)}")
        return
    for line in lines:
        why = f" ({', '.join(line.because)})" if line.because else ""
        maybe = ", perhaps replaced" if line.may_replace else ""
        console.print(f"  {_SIGNS[effect]} {escape(f'{line.kind} {line.name} {_WORDS[effect]}{maybe}{why}')}")


def _plural(kind: str) -> str:
    if kind.endswith("y"):
        return f"{kind[:-1]}ies"
    return f"{kind}es" if kind.endswith("s") else f"{kind}s"


def summary_json(summary: Summary) -> dict[str, Json]:
    """Return a summary for `--json`."""
    return {**asdict(summary), "is_empty": summary.is_empty, "lost": [asdict(line) for line in summary.lost]}


# --- matinee rollback, versions, destroy ------------------------------------------------------------------------------


def rollback(
    name: Annotated[str, typer.Argument(help="Only this component.", show_default=False)] = "",
    to: Annotated[
        str, typer.Option("--to", metavar="V6", help="A version of the component; without one, a release's number.")
    ] = "",
    stage: OfStage = "dev",
    app: App = HERE,
    as_json: AsJson = False,
) -> None:
    """Make a former version live again, at once and without building anything."""
    from matinee.deploy.releases import rollback

    with report_progress(quiet=as_json) as report:
        done = rollback(app, stage, open_tools(), name=name, to=to, report=report)
    if as_json:
        output.print_json(asdict(done))
        return
    changed = [f"{n} {done.before.get(n, '')} → {v}" for n, v in done.after.items() if done.before.get(n) != v]
    output.say(f"Release {done.release} is live on {stage}: {', '.join(changed) or 'the same versions'}.")
    output.next_step("The next `matinee deploy` brings what is in the folder live again.")


def versions(stage: OfStage = "dev", app: App = HERE, as_json: AsJson = False) -> None:
    """List the versions and releases that can be gone back to."""
    from matinee.cli import output
    from matinee.deploy.releases import versions as listed

    found = listed(app, stage, open_tools())
    if as_json:
        output.print_json(asdict(found))
        return
    rows = [
        [r.component, r.label, "live" if r.is_live else "", str(r.release), output.when(r.released_at), r.by]
        for r in found.rows
    ]
    output.print_table(["COMPONENT", "VERSION", "", "RELEASE", "SINCE", "BY"], rows)
    output.next_step(f"Go back: matinee rollback NAME --to v1 --stage {stage}")


def destroy(
    stage: Annotated[str, typer.Option("--stage", help="The stage.", show_default=False)],
    data: Annotated[bool, typer.Option("--data", help="Also table, bucket, images, logs and secrets.")] = False,
    yes: Yes = False,
    app: App = HERE,
    as_json: AsJson = False,
) -> None:
    """Remove a stage from the account, then show that nothing is left."""
    from matinee.deploy.destroy import destroy as destroyed

    def confirm(loss: Loss) -> bool:
        if not as_json:
            _show_loss(loss)
        return yes or ask_to_deploy(f"Destroy {loss.stage}?")

    with report_progress(quiet=as_json) as report:
        done = destroyed(app, stage, open_tools(), with_data=data, report=report, confirm=confirm)
    if as_json:
        output.print_json(done.to_json())
    else:
        _show_destroyed(done)
    if done.left:
        raise typer.Exit(1)


def _show_loss(loss: Loss) -> None:
    output.say(f"These go from account {loss.account}, {loss.region}: {', '.join(loss.stacks) or 'what is left'}.")
    if not loss.with_data:
        output.say("Table, bucket, images, logs and secrets are kept: --data removes them too.")
        return
    files = f"{loss.files:,} or more" if loss.files >= 1000 else f"{loss.files:,}"
    what = f"about {loss.items:,} items, {files} files, {loss.images} images"
    output.say(f"With them all runs, feedback and results: {what}.")
    output.next_step(f"To keep a copy: matinee export runs.csv --stage {loss.stage}")


def _show_destroyed(done: Destroyed) -> None:
    if done.declined:
        output.say("Nothing was changed.")
        return
    for arn in done.left:
        output.print_text(arn)
    if done.left:
        output.show_error(f"AWS still lists {len(done.left)} things with the tags of {done.stage}.", "Run it again.")
        return
    retained = f" {len(done.retained)} things are kept on purpose: --data removes them." if done.retained else ""
    output.say(f"{done.stage} is gone. Left with its tags: 0.{retained}")
