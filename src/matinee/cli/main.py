"""`matinee`: the entry point, and the one place where errors are printed and exit codes are chosen."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from typing import Annotated

import typer

from matinee.cli import access, build, deploy, dev, output, predict, runs, status
from matinee.errors import InputError, MatineeError, PredictionError

# The same two classes whether typer brings its own click or imports it.
_USAGE_ERROR = typer.BadParameter.__mro__[1]
_CLICK_ERROR = typer.BadParameter.__mro__[2]

app = typer.Typer(
    name="matinee",
    help="Typed Python functions become an app people can click.",
    epilog="Start here: matinee new my-app && cd my-app && matinee dev",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
WRITE, USE, SHIP, LOOK_AFTER = "Write an app", "Use it", "Ship it", "Look after it"  # as `matinee --help` groups them
app.command("new", rich_help_panel=WRITE, epilog="Example: matinee new my-app")(dev.new)
app.command("dev", rich_help_panel=WRITE, epilog="Example: matinee dev, or a single file: matinee dev recommend.py")(
    dev.dev
)
app.command("inspect", rich_help_panel=WRITE, epilog="Example: matinee inspect --json")(dev.inspect)
app.command("test", rich_help_panel=WRITE, epilog="Example: matinee test recommend")(dev.test)
app.command(
    "predict", rich_help_panel=USE, epilog="Example: matinee predict recommend gender=male past_activity=chess"
)(predict.predict)
app.command(
    "submit", rich_help_panel=USE, epilog="Example: matinee submit plan start=2026-12-01 end=2026-12-08 --wait"
)(predict.submit)
app.add_typer(runs.app, name="runs", rich_help_panel=USE)
app.command("export", rich_help_panel=USE, epilog="Example: matinee export feedback.csv --feedback-only --since 30d")(
    runs.export
)
app.command("open", rich_help_panel=USE, epilog="Example: matinee open --stage prod")(status.open_command)
app.command("build", rich_help_panel=SHIP, epilog="Example: matinee build recommend")(build.build)
app.command("rehearse", rich_help_panel=SHIP, epilog="Example: matinee rehearse --break spot")(build.rehearse)
app.command("plan", rich_help_panel=SHIP, epilog="Example: matinee plan --stage prod")(deploy.plan)
app.command("deploy", rich_help_panel=SHIP, epilog="Example: matinee deploy --stage prod --yes")(deploy.deploy)
app.command("push", rich_help_panel=SHIP, epilog="Example: matinee push recommend")(deploy.push)
app.command("versions", rich_help_panel=SHIP, epilog="Example: matinee versions --stage prod")(deploy.versions)
app.command("rollback", rich_help_panel=SHIP, epilog="Example: matinee rollback recommend --to v6")(deploy.rollback)
app.command("destroy", rich_help_panel=SHIP, epilog="Example: matinee destroy --stage dev --data")(deploy.destroy)
app.command("eject", rich_help_panel=SHIP, epilog="Example: matinee eject aws/ --stage prod")(build.eject)
app.command("iam-policy", rich_help_panel=SHIP, epilog="Example: matinee iam-policy --stage prod > policy.json")(
    build.iam_policy
)
app.command("status", rich_help_panel=LOOK_AFTER, epilog="Example: matinee status --stage prod")(status.status)
app.command(
    "logs", rich_help_panel=LOOK_AFTER, epilog="Example: matinee logs -f plan, or: matinee logs --stage prod --since 2h"
)(status.logs)
app.command("cost", rich_help_panel=LOOK_AFTER, epilog="Example: matinee cost --users 20 --predictions 10000")(
    status.cost
)
app.command(
    "doctor", rich_help_panel=LOOK_AFTER, epilog="Example: matinee doctor, or: matinee doctor --aws --stage prod"
)(status.doctor)
app.add_typer(access.secrets, name="secret", rich_help_panel=LOOK_AFTER)
app.add_typer(access.users, name="users", rich_help_panel=LOOK_AFTER)
app.add_typer(access.tokens, name="token", rich_help_panel=LOOK_AFTER)


def _version(asked: bool) -> None:
    if asked:
        from matinee import __version__

        output.print_text(f"matinee {__version__}")
        raise typer.Exit


@app.callback()
def _global(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 bad input, 130 interrupted."""
    arguments = sys.argv[1:]
    debug = "--debug" in arguments  # anywhere: people add it to the command that just failed
    sys.exit(run([word for word in arguments if word != "--debug"], debug=debug))


def run(arguments: list[str], *, debug: bool = False) -> int:
    """Run one command and return its exit code."""
    if not debug:  # what AWS answered word for word, as a line of JSON: people get the sentence
        logging.getLogger("matinee.aws").addHandler(logging.NullHandler())
    try:
        code = app(arguments, prog_name="matinee", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        output.say("Interrupted.")
        return 130
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug and not isinstance(error, _CLICK_ERROR):
            traceback.print_exc()
        return _explain(error)


def _explain(error: Exception) -> int:
    if isinstance(error, MatineeError):
        detail = error.traceback if isinstance(error, PredictionError) else ""
        hint = "`matinee inspect` shows what each predictor takes." if isinstance(error, InputError) else ""
        output.show_error(error.message, error.hint or hint, detail)
        return error.exit_code
    if isinstance(error, _CLICK_ERROR):
        return _explain_usage(error)
    text = str(error).strip().splitlines()
    output.show_error(
        f"Unexpected {type(error).__name__}: {text[0] if text else 'no message'}", "--debug shows the traceback."
    )
    return 1


def _explain_usage(error: Exception) -> int:
    message = getattr(error, "format_message", lambda: str(error))()
    if not message:  # no command given: the help has been printed
        return 2
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "matinee"
    output.show_error(message, f"{command} --help shows how." if isinstance(error, _USAGE_ERROR) else "")
    return 2


if __name__ == "__main__":
    main()
