"""What must hold in every state, for every change, and when nothing moves any more."""

from __future__ import annotations

from exploring.actors import Actor, ViolationError
from exploring.world import PLAN, World, due

from matinee.queue.dispatch import LAUNCH_RETRY_S
from matinee.runs import MAX_LOSSES, Status


def _demand(holds, what):
    if not holds:
        raise ViolationError(what)


def check_world(world: World, scenario) -> None:
    entries = {entry.run_id: entry for entry in world.entries}
    for run in world.runs:
        entry = entries.get(run.id)
        _demand(run.status.is_final == (entry is None), f"{run.id} is lost: {run.status}, its entry is {entry}")
        _demand(run.losses <= MAX_LOSSES, f"{run.id} was lost {run.losses} times")
        _demand(run.losses == 0 or scenario.may_lose, f"the lease of {run.id} was taken from a worker that lives")
        if entry is not None:
            _demand(entry.is_leased == (run.status is Status.RUNNING), f"{run.id} is {run.status}, its entry differs")
            _demand(entry.attempt == run.attempt, f"the attempts of {run.id} and of its entry differ")
        if run.status is Status.SUCCEEDED:
            _demand(run.result == f"{run.owner}/{run.attempt}", f"{run.id} has the result of another attempt")
    numbers = [slot.number for slot in world.slots]
    _demand(len(set(numbers)) == len(numbers) <= scenario.max_workers, "there are more slots than max_workers")
    alive = {task.slot.token for task in world.tasks if not task.ended}
    holders = {slot.token for slot in world.slots}
    working = {entry.owner for entry in world.entries if entry.owner in alive}
    if scenario.may_overlap:
        working &= holders  # one whose slot was freed stops at its next heartbeat
    _demand(len(working) <= scenario.max_workers, f"{len(working)} live workers hold runs, max_workers is less")
    _demand(len(alive) <= scenario.max_workers or scenario.may_overlap, f"{len(alive)} workers live, that is too many")


def check_worker(actor: Actor | None, world: World) -> None:
    """Between its steps, a worker knows every run it has a lease on."""
    if actor is None or actor.kind != "worker" or actor.step:
        return
    held = [actor.held] if actor.held else []
    known = {(run.id, run.attempt) for run, _ in [*held, *actor.batch.ahead]}
    known |= {(end.run.id, end.run.attempt) for end in actor.batch.ends}
    for entry in world.entries:
        ours = entry.owner == actor.slot.token
        _demand(not ours or (entry.run_id, entry.attempt) in known, f"{entry.run_id} is running in nobody's hands")


def check_change(before: World, after: World) -> None:
    now = {run.id: run for run in after.runs}
    for run in before.runs:
        there = now.get(run.id)
        _demand(there is not None, f"{run.id} is gone")
        _demand(not run.status.is_final or there == run, f"{run.id} was recorded twice")
        _demand(there.attempt >= run.attempt, f"an attempt of {run.id} was given twice")


def is_done(world: World, actors: list[Actor]) -> bool:
    """Nothing moves: is all done, and nobody left?"""
    busy = any(actor.kind == "worker" for actor in actors)
    return not world.entries and not world.slots and not busy


def check_resting(world: World, actors: list[Actor], scenario) -> None:
    """Nothing moves but the work of those who hold a run, which may take long: nobody waits for them needlessly."""
    waiting = due(world, PLAN, world.now, 9)[1]
    free = len(world.slots) < scenario.max_workers
    needless = waiting and free and not _is_excused(world)
    _demand(not needless, f"{_ids(waiting)} is due and waits while a slot is free")
    ahead = [run for actor in actors for run, _ in actor.batch.ahead]
    _demand(not ahead, f"{' and '.join(run.id for run in ahead)} waits behind a run that takes long")


def _is_excused(world: World) -> bool:
    """A worker that could not start holds launches back for a moment: somebody has asked to be dispatched then."""
    return world.silent or (world.timer is not None and world.timer <= world.now + LAUNCH_RETRY_S)


def check_quiet(world: World, actors: list[Actor], scenario) -> None:
    """Nothing moves but time: whoever should have come would have come by now."""
    workers = [actor for actor in actors if actor.kind == "worker"]
    comes = _is_excused(world) or workers or world.timer is not None
    _demand(comes or not world.entries, f"nobody comes for {_ids(world.entries)}")
    _demand(comes or not world.slots, "a slot is left that nobody holds")
    _demand(not workers or world.entries, "a worker is left without need")


def _ids(entries):
    return " and ".join(entry.run_id for entry in entries)
