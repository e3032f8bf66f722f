"""Breadth-first exploration of all interleavings, with every state seen once.

Worlds and processes are interned to small numbers; what a process does in a world is computed once, however many
states it is in. A state is (world, faults left, ticks left, processes), equal processes being interchangeable.
"""

from __future__ import annotations

import gc
import time
from array import array
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from exploring import actors as processes
from exploring import world as model
from exploring.actors import Actor, Then, ViolationError
from exploring.invariants import check_change, check_quiet, check_resting, check_worker, check_world, is_done
from exploring.replay import LOST, UNANSWERED, Raised, Request, Returned, replay
from exploring.world import World

from matinee.runs import evolve

GONE = -1


@dataclass(frozen=True)
class Scenario:
    """What is explored: up to `faults` accidents of these `kinds`; `ticks` is how often time jumps by a lease."""

    max_workers: int = 1
    submitters: int = 2
    runs: int = 1  # of each submitter
    together: int = 1  # runs that are claimed at once
    dispatchers: int = 2  # that may run at once
    faults: int = 0
    kinds: frozenset[str] = frozenset()  # crash, worker crash, lost answer, lost launch, ...
    ticks: int = 0
    cancels: bool = False
    fails: bool = False
    releases: bool = False
    torn: bool = False
    may_overlap: bool = False  # a process whose slot was freed may live on until its next look

    @property
    def may_lose(self) -> bool:
        """Whether a run may lose its worker: no answer that is lost, and no signal, is a reason to."""
        return bool(self.ticks or (self.faults and self.kinds & {"crash", "worker crash"}))


@dataclass
class Found:
    """What an exploration saw; `violation` is "" when every invariant held, else `trace` is a shortest way to it."""

    states: int = 0
    transitions: int = 0
    seconds: float = 0.0  # of processor time
    violation: str = ""
    trace: list[str] = field(default_factory=list)
    done: int = 0  # states in which all is done
    complete: bool = True

    def __str__(self) -> str:
        counts = f"{self.states:,} states, {self.transitions:,} transitions, {self.seconds:.1f} s"
        if not self.violation:
            return f"{counts}; every invariant holds" + ("" if self.complete else " (cut off)")
        return "\n".join(
            [f"{counts}; violated: {self.violation}", *(f"  {at + 1:2} {x}" for at, x in enumerate(self.trace))]
        )


class _Numbers:
    """Values by number."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[Any, int] = {}

    def of(self, value: Any) -> int:
        number = self._numbers.setdefault(value, len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number


@dataclass(frozen=True)
class Move:
    """One transition of one process. `cost` = faults spent; `violation` = an invariant it breaks."""

    label: str
    actor: int
    world: int
    born: int = GONE
    cost: int = 0
    violation: str = ""


class Explorer:
    """One exploration of one scenario."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self._worlds, self._actors = _Numbers(), _Numbers()
        self._moves: dict[tuple[int, int], list[Move]] = {}
        self._replayed: dict[Any, Any] = {}
        self._places: dict[Any, tuple[Any, ...]] = {}
        self._eager = {"new_token"} | (set() if scenario.ticks else {"clock"})
        self._eager |= set() if scenario.releases else {"live_version"}

    # --- one process, one world ---------------------------------------------------------------------------------

    def moves(self, actor_id: int, world_id: int) -> list[Move]:
        key = (actor_id, world_id)
        if key not in self._moves:
            self._moves[key] = list(self._computed(self._actors.values[actor_id], self._worlds.values[world_id]))
        return self._moves[key]

    def _computed(self, actor: Actor, world: World):
        kinds = self.scenario.kinds
        if actor.step:
            yield from self._called(actor, world)
        else:
            for label, then in processes.choices(actor, world, self.scenario):
                yield self._move(actor, label, world, lambda then=then: self._settled(then))
        if ("crash" in kinds or f"{actor.kind} crash" in kinds) and (actor.step or actor.kind == "worker"):
            yield self._move(actor, "is killed", world, lambda: processes.crashed(actor, world), cost=1)
        if "sigterm" in kinds and actor.kind == "worker" and not actor.terminated:
            yield self._move(actor, "gets SIGTERM", world, lambda: self._terminated(actor, world), cost=1)

    def _terminated(self, actor: Actor, world: World) -> Then:
        return self._settled(processes.terminated(actor, world))

    def _called(self, actor: Actor, world: World):
        request = self._replay(actor).request
        after, answer = _perform(world, request)
        label = _spelled(request)
        yield self._move(actor, f"{label} → {_short(answer)}", world, lambda: self._answered(actor, answer, after))
        kinds = self.scenario.kinds
        if "lost answer" in kinds and request.method in model.CHANGES - {"launch"} and after is not world:
            lost = f"{label} → done, but the answer is lost"
            yield self._move(actor, lost, world, lambda: self._answered(actor, LOST, after), cost=1)
        if request.method == "launch" and "lost launch" in kinds:
            lost = f"{label} → done, but the answer is lost"
            yield self._move(actor, lost, world, lambda: self._answered(actor, UNANSWERED, after), cost=1)
            unheard = f"{label} → not done, and no answer comes"
            yield self._move(actor, unheard, world, lambda: self._answered(actor, UNANSWERED, world), cost=1)
        if request.method == "launch" and "refused launch" in kinds:
            yield self._move(actor, f"{label} → refused", world, lambda: self._answered(actor, LOST, world), cost=1)

    def _answered(self, actor: Actor, answer: Any, world: World) -> Then:
        return self._settled(Then(actor._replace(answers=(*actor.answers, answer)), world))

    def _settled(self, then: Then) -> Then:
        """Go on until the process calls something others can see, chooses, or ends."""
        while then.actor is not None and then.actor.step:
            actor, world = then
            outcome = self._replay(actor)
            if isinstance(outcome, Returned):
                then = processes.ended(actor, outcome.value, world)
            elif isinstance(outcome, Raised):
                then = processes.broken(actor, world)
            elif outcome.request.method in self._eager:
                world, answer = _perform(world, outcome.request)
                then = Then(actor._replace(answers=(*actor.answers, answer)), world)
            else:
                place = (actor._replace(answers=()), outcome)
                return Then(actor._replace(answers=self._places.setdefault(place, actor.answers)), world)
        return then

    def _replay(self, actor: Actor) -> Any:
        key = (actor.step, actor.args, actor.answers)
        if key not in self._replayed:
            step = processes.STEPS[actor.step]
            self._replayed[key] = replay(step, actor.args, actor.answers, torn=self.scenario.torn)
        return self._replayed[key]

    def _move(self, actor: Actor, label: str, world: World, act: Any, cost: int = 0) -> Move:
        label = f"{actor.name} {label}"
        try:
            then = act()
            check_change(world, then.world)
            check_world(then.world, self.scenario)
            check_worker(then.actor, then.world)
        except ViolationError as error:
            return Move(label, GONE, 0, cost=cost, violation=str(error))
        new = then.world.tasks[len(world.tasks) :]
        born = GONE
        if new:
            started = processes.started(new[0].slot, self.scenario.together)
            born = self._actors.of(self._settled(Then(started, then.world)).actor)
        after = GONE if then.actor is None else self._actors.of(then.actor)
        return Move(label, after, self._worlds.of(then.world), born, cost)

    # --- all processes ------------------------------------------------------------------------------------------

    def first(self) -> tuple[Any, ...]:
        world, scenario = World(), self.scenario
        starting = [Actor("submitter", f"submitter{n}") for n in range(scenario.submitters)]
        starting += [Actor("dispatcher", "dispatcher")] * scenario.dispatchers
        starting += [Actor("canceller", "canceller")] * scenario.cancels + [
            Actor("releaser", "deploy")
        ] * scenario.releases
        ids = sorted(self._actors.of(actor) for actor in starting)
        return (self._worlds.of(world), scenario.faults, scenario.ticks, *ids)

    def successors(self, state: tuple[Any, ...]):
        """Yield (label, state, whether it is an accident, violation)."""
        world_id, faults, ticks, *actors = state
        quiet = resting = True
        seen = GONE
        for at, actor in enumerate(actors):
            if actor == seen:
                continue
            seen = actor
            for move in self.moves(actor, world_id):
                quiet = quiet and move.cost > 0
                resting = resting and (move.cost > 0 or self._is_work(actor, move))
                if move.cost > faults:
                    continue
                others = actors[:at] + actors[at + 1 :] + [one for one in (move.actor, move.born) if one != GONE]
                others.sort()
                yield move.label, (move.world, faults - move.cost, ticks, *others), move.cost > 0, move.violation
        world = self._worlds.values[world_id]
        if resting:
            try:
                check_resting(world, [self._actors.values[one] for one in actors], self.scenario)
            except ViolationError as error:
                yield "nothing moves but work", None, False, str(error)
        if quiet:
            yield from self._quiet(state, world)
        elif ticks:
            after = self._worlds.of(model.later(world, world.now + model.LEASE_OVER_S))
            yield "time passes, longer than a lease", (after, faults, ticks - 1, *actors), True, ""

    def _is_work(self, actor_id: int, move: Move) -> bool:
        """Whether the move ends somebody's work, which may take as long as it likes."""
        actor = self._actors.values[actor_id]
        return actor.mode == "holds" and not actor.step and " work " in move.label

    def _quiet(self, state: tuple[Any, ...], world: World):
        actors = [self._actors.values[one] for one in state[3:]]
        if is_done(world, actors):
            yield "", None, False, ""
            return
        try:
            check_quiet(world, actors, self.scenario)
        except ViolationError as error:
            yield "nothing moves any more", None, False, str(error)
            return
        times = [world.timer, *(entry.visible_at for entry in world.entries if entry.visible_at > world.now)]
        at = min((one for one in times if one is not None), default=world.now)
        after = model.later(world, max(at, world.now))
        label = f"time passes until {at}"
        if world.silent and not after.poked:
            after, label = evolve(after, poked=True, silent=False), "the backstop dispatches"
        yield label, (self._worlds.of(after), *state[1:]), False, ""

    def explore(self, *, seconds: float = 120.0, states: int = 5_000_000) -> Found:
        """Explore until all is seen, an invariant is violated, or time or room runs out."""
        gc.disable()  # values hold no cycles, and looking for some takes a third of the time
        try:
            return self._explored(seconds, states)
        finally:
            gc.enable()

    def _explored(self, seconds: float, states: int) -> Found:  # noqa: C901 (one loop)
        begun = time.process_time()
        found = Found()
        first = self.first()
        number, order, parents, labels = {first: 0}, deque([first]), array("l", [GONE]), [""]
        edges_from, edges_to, good = array("l"), array("l"), []
        while order:
            state = order.popleft()
            here = number[state]
            for label, after, accident, violation in self.successors(state):
                if violation:
                    found.violation, found.trace = violation, [*_trace(here, parents, labels), label]
                    break
                if after is None:
                    good.append(here)
                    continue
                there = number.setdefault(after, len(number))
                if there == len(parents):
                    parents.append(here)
                    labels.append(label)
                    order.append(after)
                found.transitions += 1
                if not accident:
                    edges_from.append(here)
                    edges_to.append(there)
            if found.violation:
                break
            if len(number) > states or (here % 1024 == 0 and time.process_time() - begun > seconds):
                found.complete = False
                break
        found.states, found.done = len(number), len(good)
        if found.complete and not found.violation:
            stuck = _cannot_reach(good, edges_from, edges_to, len(number))
            if stuck is not None:
                found.violation = "from here all is never done"
                found.trace = _trace(stuck, parents, labels)
        found.seconds = time.process_time() - begun
        return found


def _trace(at: int, parents: Any, labels: list[str]) -> list[str]:
    trace = []
    while parents[at] != GONE:
        trace.append(labels[at])
        at = parents[at]
    return trace[::-1]


def _cannot_reach(good: list[int], sources: Any, targets: Any, count: int) -> int | None:
    """Return the first state from which no good one is reached without another accident."""
    before: list[list[int]] = [[] for _ in range(count)]
    for source, target in zip(sources, targets, strict=True):
        before[target].append(source)
    reached = bytearray(count)
    todo = list(good)
    while todo:
        at = todo.pop()
        if not reached[at]:
            reached[at] = 1
            todo += before[at]
    return next((at for at in range(count) if not reached[at]), None)


def _perform(world: World, request: Request) -> Any:
    return getattr(model, request.method)(world, *request.args, **dict(request.kwargs))


def _spelled(request: Request) -> str:
    args = [_short(arg) for arg in request.args if arg != model.PLAN]
    args += [f"{name}={_short(value)}" for name, value in request.kwargs]
    return f"{request.method}({', '.join(args)})"


def _short(value: Any) -> str:
    name = type(value).__name__
    if name == "Change":
        return f"{value.before.id} {value.before.status}→{value.after.status}"
    if name == "Slot":
        return f"slot {value.number} {value.token}"
    if name in ("Run", "Entry"):
        what = value.status if name == "Run" else f"of {value.owner or 'nobody'}"
        return f"{value.id if name == 'Run' else value.run_id} {what} #{value.attempt}"
    if name == "Pool":
        return f"wake {value.wake}, slots {[slot.token for slot in value.slots]}"
    return f"[{', '.join(map(_short, value))}]" if isinstance(value, tuple) else str(value)
