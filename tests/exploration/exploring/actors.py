"""The processes: which of the product's functions each calls, in which order, and what it does with the answer.

A process is a value (`Actor`). Between steps it chooses (`choices`); after a step `ended` says what it is now.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from exploring import world as model
from exploring.world import PLAN, World

from matinee.dispatch import control, dispatcher, worker
from matinee.runs import Entry, Failure, Progress, Run, Slot, Status, cancelled, evolve, fail, succeed

RETRIES = 1
RETRY_S = 10.0


class ViolationError(Exception):
    """An invariant does not hold."""


class Actor(NamedTuple):
    """A process: `step` with `args` is what it is in the middle of, after these `answers`; "" = it chooses."""

    kind: str
    name: str
    mode: str = ""
    slot: Slot | None = None
    held: tuple[Run, Entry] | None = None
    terminated: bool = False  # it has got SIGTERM
    step: str = ""
    args: tuple[Any, ...] = ()
    answers: tuple[Any, ...] = ()

    def begin(self, step: str, *args: Any, **changes: Any) -> Actor:
        return self._replace(step=step, args=args, answers=(), **changes)

    def become(self, mode: str, **changes: Any) -> Actor:
        return self._replace(step="", args=(), answers=(), mode=mode, **changes)


class Then(NamedTuple):
    """What a step's end leads to: the process, None when it has ended, and the world."""

    actor: Actor | None
    world: World


# --- steps: the product's functions on the ports ----------------------------------------------------------------


def _submit(ports, runs):
    ports.submit(runs)
    ports.poke()


def _cancel(ports, run_id):
    return control.cancel(ports, run_id, ports.clock())


def _dispatch(ports, max_workers):
    now = ports.clock()  # a line of its own: `replay` sees variables, not what an expression has so far
    version = ports.live_version()
    return dispatcher.dispatch(
        ports, ports, PLAN, max_workers=max_workers, version=version, now=now, token=ports.new_token
    )


def _renew(ports, slot):
    return worker.renew(ports, slot, now=ports.clock())


def _claim(ports, slot, has_claimed):
    if has_claimed and ports.live_version() != slot.version:
        return "outdated"
    return worker.claim_next(ports, PLAN, owner=slot.token, version="v", now=ports.clock())


def _leave(ports, slot):
    return worker.leave(ports, slot, ports.clock())


def _beat(ports, slot, entry):
    return worker.heartbeat(ports, slot, entry, progress=Progress(), now=ports.clock())


def _resign(ports, slot):
    worker.resign(ports, slot)


def _give_back(ports, run):
    return worker.give_back(ports, run, now=ports.clock())


def _finish(ports, run, how):
    now = ports.clock()

    def transition(current, entry):
        if how == "cancelled":
            return cancelled(current, now=now)
        if how == "fail":
            failure = Failure("exception", "No.")
            return fail(current, entry, failure=failure, now=now, retries=RETRIES, delay_s=RETRY_S)
        return succeed(current, result=f"{run.owner}/{run.attempt}", now=now)

    return worker.finish(ports, run, transition)


STEPS = {name[1:]: step for name, step in list(globals().items()) if name.startswith("_") and callable(step)}

# --- what a process does when it is not in the middle of a step ---------------------------------------------------


def choices(actor: Actor, world: World, scenario: Any) -> list[tuple[str, Then]]:
    """Return what the process may do next; nothing = it waits."""
    return _CHOICES[actor.kind](actor, world, scenario)


def _submitter(actor, world, scenario):
    index = int(actor.name[-1])
    runs = tuple(
        Run(f"run{index}{n}", PLAN, "batch", f"user{index}", Status.QUEUED, None, 0.0) for n in range(scenario.runs)
    )
    return [("submits", Then(actor.begin("submit", runs), world))]


def _canceller(actor, world, scenario):
    wanted = model.run(world, "run00")[1]
    return [("cancels", Then(actor.begin("cancel", "run00"), world))] if wanted else []


def _dispatcher(actor, world, scenario):
    if not world.poked:
        return []
    return [("is poked", Then(actor.begin("dispatch", scenario.max_workers), evolve(world, poked=False)))]


def _releaser(actor, world, scenario):
    return [("releases", Then(None, model.released(world)))]


def _worker(actor, world, scenario):
    if actor.mode == "waits":  # it looks for other work all the time
        return [("looks", Then(_to_claim(actor), world))] if model.due(world, PLAN, world.now)[1] else []
    run, entry = actor.held
    if entry.cancel_requested:
        return [("stops the work", Then(actor.begin("finish", run, "cancelled"), world))]
    hows = ("succeed", "fail") if scenario.fails else ("succeed",)
    moves = [(f"work {how}s", Then(actor.begin("finish", run, how), world)) for how in hows]
    if _hears_something(actor.slot, entry, world):
        moves.append(("beats", Then(actor.begin("beat", actor.slot, entry), world)))
    return moves


def _hears_something(slot, entry, world):
    """A heartbeat that would change and tell nothing is left out: there is no end of them."""
    there = model.entry(world, PLAN, entry.run_id)[1]
    if there is None or (there.owner, there.attempt) != (entry.owner, entry.attempt):
        return True
    lost_slot = all(one.token != slot.token for one in world.slots)
    return lost_slot or there.cancel_requested or there.visible_at < world.now + 60.0


def _to_claim(actor, **changes):
    return actor.begin("claim", actor.slot, actor.mode != "new", held=None, **changes)


_CHOICES = {
    "submitter": _submitter,
    "canceller": _canceller,
    "dispatcher": _dispatcher,
    "releaser": _releaser,
    "worker": _worker,
}

# --- what a step's end leads to -----------------------------------------------------------------------------------


def ended(actor: Actor, value: Any, world: World) -> Then:
    """The step returned `value`."""
    if actor.kind == "dispatcher":
        return Then(actor.become(""), model.asked_again(world, value.next_due_at))
    if actor.kind != "worker":
        return Then(None, world)
    return _WORKER[actor.step](actor, value, world)


def broken(actor: Actor, world: World) -> Then:
    """The step raised BackendError: a process does it again, and whoever poked the dispatcher does so again."""
    if actor.kind == "dispatcher":
        return Then(actor.become(""), evolve(world, poked=True))
    return _next(actor, world, lambda: Then(actor._replace(answers=()), world))


def crashed(actor: Actor, world: World) -> Then:
    if actor.kind == "dispatcher":
        return Then(actor.become(""), evolve(world, poked=True))
    if actor.kind == "worker":
        return Then(None, model.task_ended(world, actor.slot.token, told=True))
    return Then(None, evolve(world, silent=True))


def started(slot: Slot) -> Actor:
    """A process that was launched for a slot."""
    return Actor("worker", slot.token, "new", slot).begin("renew", slot)


def _next(actor, world, otherwise):
    """SIGTERM is heeded between two steps."""
    if not actor.terminated or actor.step in ("give_back", "resign"):
        return otherwise()
    if actor.held is not None:
        return Then(actor.begin("give_back", actor.held[0]), world)
    return Then(actor.begin("resign", actor.slot), world)


def _end(actor, world, *, told):
    return Then(None, model.task_ended(world, actor.slot.token, told=told))


def _renewed(actor, value, world):
    if not value:
        return _end(actor, world, told=False)
    return _next(actor, world, lambda: Then(_to_claim(actor), world))


def _claimed(actor, value, world):
    if value == "outdated":
        return Then(actor.begin("resign", actor.slot), world)
    if value is not None:
        holds = actor.become("holds", held=value)
        return _next(holds, world, lambda: Then(holds, world))
    return _next(actor, world, lambda: Then(actor.begin("leave", actor.slot), world))


def _left(actor, value, world):
    if isinstance(value, worker.Left):
        # A normal end is told to nobody, but for what is due later: wake alone must see to what was missed.
        return _end(actor, world, told=value.next_due_at is not None)
    if isinstance(value, worker.WaitUntil):
        waits = actor.become("waits")
        return _next(waits, world, lambda: Then(waits, world))
    return _next(actor, world, lambda: Then(_to_claim(actor), world))


def _finished(actor, value, world):
    run = actor.held[0]
    there = model.run(world, run.id)[1]
    ours = (there.owner, there.attempt, there.losses) == (run.owner, run.attempt, run.losses)
    if value is None and ours and there.status.is_final:
        raise ViolationError("a worker whose result is recorded was told that its attempt was lost")
    if value is None and ours:
        raise ViolationError("a worker was told that its attempt was lost while it was running on it")
    return _again(actor, world)


def _again(actor, world):
    idle = actor.become("had", held=None)
    return _next(idle, world, lambda: Then(_to_claim(idle), world))


def _beaten(actor, value, world):
    if value is None:
        return _again(actor, world)
    holds = actor.become("holds", held=(actor.held[0], value))
    return _next(holds, world, lambda: Then(holds, world))


_WORKER = {
    "renew": _renewed,
    "claim": _claimed,
    "leave": _left,
    "finish": _finished,
    "beat": _beaten,
    "give_back": lambda actor, value, world: Then(actor.begin("resign", actor.slot, held=None), world),
    "resign": lambda actor, value, world: _end(actor, world, told=True),
}
