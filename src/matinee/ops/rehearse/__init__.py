"""`matinee rehearse`: the whole deployment, really running, on an emulated AWS on this machine.

    world      the emulator, and who plays behind it what AWS computes                  world
    deploy     the real one, told the emulator's endpoint and where images come from    rehearsal
    entry      people click; or a story and trouble are played against the app          story, breaks
    destroy    the real one, which proves that nothing is left; then the world ends     rehearsal

What runs is read back out of what was deployed, never taken from what we meant: each function's and task definition's
command, environment, secrets, role, memory and timeout, with temporary credentials of its own role. Names of modules:
`wire`, `loop`, `front` carry requests; `credentials`, `policies`, `judge`, `sign` say who may what; `workload`,
`machine`, `folders`, `source` are what runs and from where; `tasks`, `ecs`, `services`, `functions`, `events`,
`stacks`, `logs`, `entry` play AWS.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from matinee.errors import ConflictError, UsageError
from matinee.images import Engine
from matinee.names import check_stage
from matinee.ops.deploy.events import Report, Step, silent
from matinee.ops.rehearse.breaks import KINDS
from matinee.ops.rehearse.containers import EngineMachine, EngineSource
from matinee.ops.rehearse.folders import FolderImages
from matinee.ops.rehearse.machine import Machine
from matinee.ops.rehearse.ministack import REGION
from matinee.ops.rehearse.rehearsal import Rehearsal, as_administrator
from matinee.ops.rehearse.secrets import bring_secrets
from matinee.ops.rehearse.source import FolderSource
from matinee.ops.rehearse.story import check_script, play
from matinee.ops.rehearse.world import processes, world
from matinee.project import load

__all__ = ["KINDS", "Rehearsal", "RehearseOptions", "Rehearsed", "check", "rehearse"]


@dataclass(frozen=True)
class RehearseOptions:
    """`breaks` are kinds of trouble, played in order; `script` a story; `keep` leaves `.matinee/rehearsal/`.

    `images`: everything runs in its image, on this machine's engine.
    """

    stage: str = "dev"
    script: Path | None = None
    breaks: Sequence[str] = ()
    keep: bool = False
    port: int = 0
    images: bool = False


@dataclass(frozen=True)
class Rehearsed:
    """What came of it: a sentence for every trouble that was played."""

    seconds_to_page: float
    sentences: tuple[str, ...] = ()


def rehearse(
    path: Path,
    options: RehearseOptions,
    report: Report = silent,
    stay: Callable[[Rehearsal], None] = lambda _stage: None,
    tell: Callable[[str], None] = lambda _sentence: None,
) -> Rehearsed:
    """Deploy the app at `path` to an emulated AWS, play what is asked for, then `stay` until it returns.

    `tell` gets the sentence each trouble ends in.

    Raises what `check` does, ConflictError while another rehearsal of the app runs, BackendError when the app does not
    do as it promises, and whatever the deploy or the story raises.
    """
    check(options)
    project = load(path).for_stage(options.stage)
    with _alone(project.data.resolve() / "rehearsal", keep=options.keep) as folder:
        return _rehearse(path, options, project.aws.region or REGION, folder, report, stay, tell)


def check(options: RehearseOptions) -> None:
    """Raise UsageError for trouble that is not known, a story that is not there, or what cannot be a stage."""
    unknown = [kind for kind in options.breaks if kind not in KINDS]
    if unknown:
        raise UsageError(f"There is no trouble {unknown[0]!r}.", hint=f"There is: {', '.join(KINDS)}.")
    if options.script is not None:
        check_script(options.script)
    check_stage(options.stage)


@contextmanager
def _alone(folder: Path, *, keep: bool) -> Iterator[Path]:
    """Have the folder for this rehearsal alone, and remove it afterwards unless it is to be kept."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError("This app is being rehearsed already.", hint="Use that one, or end it first.") from None
        try:
            yield folder
        finally:
            if not keep:
                shutil.rmtree(folder, ignore_errors=True)


def _containers(_images: FolderImages, endpoint: str) -> Machine:
    return EngineMachine(Engine.detect(), lambda: endpoint)


def _rehearse(
    path: Path,
    options: RehearseOptions,
    region: str,
    folder: Path,
    report: Report,
    stay: Callable[[Rehearsal], None],
    tell: Callable[[str], None],
) -> Rehearsed:
    machine = _containers if options.images else processes
    with world(folder, region, machine=machine, port=options.port) as made, as_administrator(made):
        source = EngineSource() if options.images else FolderSource(made.images)
        stage = Rehearsal(made, path, options.stage, source, folder, report)
        bring_secrets(stage)
        seconds = stage.deploy().seconds
        stage.await_usable()
        sentences = []
        if options.script is not None:
            report(Step(f"The story of {options.script.name}"))
            play(stage, options.script)
        for kind in options.breaks:
            report(Step(f"Trouble: {kind}"))
            sentences.append(KINDS[kind](stage))
            tell(sentences[-1])
        stay(stage)
        stage.destroy()
        return Rehearsed(seconds, tuple(sentences))
