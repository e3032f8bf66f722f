"""One predictor's runs, queue and pool, and the world around them, as one immutable value.

The functions are the methods of `ports.Store` and `ports.Launcher`: each takes the world and returns the world
afterwards and the answer. Their faithfulness is tested by the store's own contract (`model_store`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matinee.ports import LaunchStatus
from matinee.runs import Change, Entry, Pool, Run, Slot, evolve, next_fair_share_rank

PLAN = "plan"
LEASE_OVER_S = 61.0


@dataclass(frozen=True)
class Task:
    """What the launcher knows of a token: a process that was started, and whether it has ended."""

    slot: Slot
    ended: bool = False


@dataclass(frozen=True)
class World:
    """All that is outside the processes."""

    predictor: str = PLAN
    runs: tuple[Run, ...] = ()
    entries: tuple[Entry, ...] = ()  # in fair order
    wake: int = 0
    turn: int = 0
    note: str = ""
    slots: tuple[Slot, ...] = ()  # by number
    tasks: tuple[Task, ...] = ()
    now: float = 1000.0
    version: str = "1"
    tokens: int = 0
    poked: bool = False  # a dispatch is on its way
    timer: float | None = None  # when somebody has asked to be dispatched again
    silent: bool = False  # a submitter died before its poke: only the backstop knows


Answer = tuple[World, Any]


def _find(items, **wanted):
    return next((one for one in items if all(getattr(one, key) == wanted[key] for key in wanted)), None)


def _replaced(items, old, new):
    return tuple(new if one is old else one for one in items)


def _with(world: World, **changes: Any) -> World:
    return evolve(world, **changes)


def in_order(entry: Entry):
    return entry.fair_share_rank, entry.run_id


# --- runs and queue ---------------------------------------------------------------------------------------------


def submit(world: World, runs) -> Answer:
    known, keys = {run.id: run for run in world.runs}, {_key(run): run for run in world.runs if run.idempotency_key}
    turns: dict[str, int] = {}
    for entry in world.entries:
        turns[entry.user] = max(entry.fair_share_rank, turns.get(entry.user, 0))
    answers, entries = [], list(world.entries)
    for run in runs:
        there = known.get(run.id) or (keys.get(_key(run)) if run.idempotency_key else None)
        answers.append(there or run)
        if there is not None:
            continue
        known[run.id] = keys[_key(run)] = run
        turns[run.user] = next_fair_share_rank(world.turn, turns.get(run.user, 0))
        entries.append(Entry(world.predictor, run.id, run.user, turns[run.user], visible_at=0.0))
    if len(known) == len(world.runs):
        return world, tuple(answers)
    put = _with(world, runs=tuple(known.values()), entries=tuple(sorted(entries, key=in_order)), wake=world.wake + 1)
    return put, tuple(answers)


def _key(run: Run):
    return run.user, run.predictor, run.idempotency_key


def run(world: World, run_id: str) -> Answer:
    return world, _find(world.runs, id=run_id)


def apply(world: World, *changes: Change) -> Answer:
    after = world
    for change in changes:
        swapped = _swap(after, change)
        if swapped is None:
            return world, False
        after = swapped
    return after, True


def _swap(world: World, change: Change) -> World | None:
    there = _find(world.runs, id=change.before.id)
    if there is None or there.rev != change.before.rev:
        return None
    entry = _find(world.entries, run_id=there.id)
    if change.entry_before is not None and (entry is None or entry.rev != change.entry_before.rev):
        return None
    if change.entry is None:
        entries = tuple(one for one in world.entries if one is not entry)
    elif entry is None:
        entries = (*world.entries, change.recorded_entry)
    else:
        entries = _replaced(world.entries, entry, change.recorded_entry)
    runs = _replaced(world.runs, there, change.recorded)
    return _with(
        world, runs=runs, entries=entries, wake=world.wake + change.wake, turn=max(world.turn, change.fair_share_rank)
    )


def entry(world: World, predictor: str, run_id: str) -> Answer:
    return world, _find(world.entries, run_id=run_id)


def due(world: World, predictor: str, now: float, limit: int = 1) -> Answer:
    return world, tuple(one for one in world.entries if one.visible_at <= now)[:limit]


def leased(world: World, predictor: str) -> Answer:
    return world, tuple(one for one in world.entries if one.owner)


def next_due_at(world: World, predictor: str, now: float) -> Answer:
    return world, min((one.visible_at for one in world.entries if one.visible_at > now), default=None)


def heartbeat(world: World, held: Entry, *, visible_at: float, progress) -> Answer:
    there = _find(world.entries, run_id=held.run_id, owner=held.owner, attempt=held.attempt)
    if there is None:
        return world, None
    renewed = evolve(there, visible_at=visible_at, progress=progress, rev=there.rev + 1)
    return _with(world, entries=_replaced(world.entries, there, renewed)), renewed


# --- pool -------------------------------------------------------------------------------------------------------


def pool(world: World, predictor: str) -> Answer:
    return world, Pool(world.predictor, world.wake, world.turn, world.note, world.slots)


def take_slot(world: World, slot: Slot) -> Answer:
    if _find(world.slots, number=slot.number):
        return world, False
    return _with(world, slots=tuple(sorted((*world.slots, slot), key=lambda one: one.number))), True


def update_slot(world: World, slot: Slot) -> Answer:
    there = _find(world.slots, number=slot.number, token=slot.token)
    if there is None:
        return world, False
    renewed_at = max(there.renewed_at, slot.renewed_at)
    renewed = evolve(there, handle=slot.handle or there.handle, renewed_at=renewed_at)
    return _with(world, slots=_replaced(world.slots, there, renewed)), True


def free_slot(world: World, slot: Slot, *, wake: int | None = None) -> Answer:
    there = _find(world.slots, number=slot.number, token=slot.token)
    if there is None or wake not in (None, world.wake):
        return world, False
    return _with(world, slots=tuple(one for one in world.slots if one is not there)), True


def note(world: World, predictor: str, text: str) -> Answer:
    return _with(world, note=text), None


# --- launcher, invoker, clock -----------------------------------------------------------------------------------


def launch(world: World, slot: Slot) -> Answer:
    there = next((one for one in world.tasks if one.slot.token == slot.token), None)
    tasks = world.tasks if there else (*world.tasks, Task(slot))
    return _with(world, tasks=tasks), f"task/{slot.token}"


def status(world: World, slots) -> Answer:
    alive = {task.slot.token for task in world.tasks if not task.ended}
    return world, tuple((slot.token, LaunchStatus(slot.token not in alive)) for slot in slots)


def poke(world: World) -> Answer:
    return _with(world, poked=True), None


def clock(world: World) -> Answer:
    return world, world.now


def live_version(world: World) -> Answer:
    return world, world.version


def new_token(world: World) -> Answer:
    return _with(world, tokens=world.tokens + 1), f"t{world.tokens + 1}"


# --- what merely happens ----------------------------------------------------------------------------------------


def task_ended(world: World, token: str, *, told: bool) -> World:
    """End a process; `told`: the dispatcher hears of it, as of every task that stopped."""
    tasks = tuple(evolve(task, ended=True) if task.slot.token == token else task for task in world.tasks)
    return _with(world, tasks=tasks, poked=world.poked or told)


def asked_again(world: World, at: float | None) -> World:
    """Somebody wants a dispatch at that time."""
    if at is None:
        return world
    return _with(world, timer=at if world.timer is None else min(at, world.timer))


def later(world: World, now: float) -> World:
    rings = world.timer is not None and world.timer <= now
    return _with(world, now=now, poked=world.poked or rings, timer=None if rings else world.timer)


def released(world: World) -> World:
    """A new release goes live, and its dispatch is on its way."""
    return _with(world, version=str(int(world.version) + 1), poked=True)


CHANGES = frozenset({"submit", "apply", "heartbeat", "take_slot", "update_slot", "free_slot", "launch"})
