"""The processes: which of the product's functions each calls, in which order, and what it does with the answer.

A process is a value (`Actor`). Between steps it chooses (`choices`); after a step `ended` says what it is now.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from exploring import world as model
from exploring.world import PLAN, World

from matinee.errors import BackendError
from matinee.queue import claims as queue_claims
from matinee.queue import dispatch
from matinee.queue.claims import AHEAD_S, Claim, ClaimBatch, End
from matinee.runs import LEASE_S, Change, Failure, Progress, Run, Slot, Status, cancelled, evolve, fail, succeed

RETRIES = 1
RETRY_S = 10.0


class ViolationError(Exception):
    """An invariant does not hold."""


class Batch(NamedTuple):
    """A `ClaimBatch` as a value; `together` is how many runs are short enough to be claimed at once."""

    together: int = 1
    ahead: tuple[Claim, ...] = ()
    ends: tuple[End, ...] = ()
    unanswered: tuple[Change, ...] = ()


class Again(NamedTuple):
    """A step met an error of the store: it is done again, with the batch as it is by now."""

    batch: Batch


class Outcome(NamedTuple):
    """How the work on an attempt ends, as a transition."""

    how: str
    run: Run
    now: float

    def __call__(self, current, entry):
        if self.how == "cancelled":
            return cancelled(current, now=self.now)
        if self.how == "fail":
            failure = Failure("exception", "No.")
            return fail(current, entry, failure=failure, now=self.now, retries=RETRIES, delay_s=RETRY_S)
        return succeed(current, result=f"{self.run.owner}/{self.run.attempt}", now=self.now)


class Actor(NamedTuple):
    """A process: `step` with `args` is what it is in the middle of, after these `answers`; "" = it chooses."""

    kind: str
    name: str
    mode: str = ""
    slot: Slot | None = None
    held: Claim | None = None  # the run it works on
    batch: Batch = Batch()
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
    return dispatch.cancel(ports, run_id, ports.clock())


def _dispatch(ports, max_workers):
    now = ports.clock()  # a line of its own: `replay` sees variables, not what an expression has so far
    version = ports.live_version()
    return dispatch.dispatch(
        ports, ports, PLAN, max_workers=max_workers, version=version, now=now, token=ports.new_token
    )


def _renew(ports, slot):
    return queue_claims.renew_slot(ports, slot, now=ports.clock())


def _claim(ports, slot, batch, has_claimed):
    if has_claimed and ports.live_version() != slot.version:
        return "outdated"
    return _settled(ports, slot, batch, claims=True, busy=False)


def _record(ports, slot, batch, busy, terminated):
    staying = not terminated and ports.live_version() == slot.version
    return _settled(ports, slot, batch, claims=staying, busy=busy)


def _settled(ports, slot, batch, *, claims, busy):
    made = _made(ports, slot, batch)
    now = ports.clock()
    try:
        made.settle(claims=claims, busy=busy, now=now)
    except BackendError:
        return Again(_value(made, batch))
    return _value(made, batch)


def _leave(ports, slot):
    return queue_claims.leave_unless_due(ports, slot, ports.clock())


def _beat(ports, slot, entry):
    now = ports.clock()
    if not queue_claims.renew_slot(ports, slot, now=now):
        return "slot lost"
    return ports.heartbeat(entry, visible_at=now + LEASE_S, progress=Progress())


def _return_ahead(ports, slot, batch):
    made = _made(ports, slot, batch)
    now = ports.clock()
    try:
        made.return_ahead(now)
    except BackendError:
        return Again(_value(made, batch))
    if batch.ahead:
        ports.poke()
    return _value(made, batch)


def _end(ports, slot, batch, run, how):
    returned = _return_ahead(ports, slot, batch)
    if isinstance(returned, Again):
        return returned
    now = ports.clock()
    try:
        return queue_claims.finish(ports, run, Outcome(how, run, now))
    except BackendError:
        return Again(returned)


def _stop(ports, slot, batch, run):
    returned = _return_ahead(ports, slot, batch)
    if isinstance(returned, Again):
        return returned
    now = ports.clock()
    try:
        if run is not None:
            queue_claims.release_claim(ports, run, now=now)
        return ports.free_slot(slot)
    except BackendError:
        return Again(returned)


STEPS = {
    "submit": _submit,
    "cancel": _cancel,
    "dispatch": _dispatch,
    "renew": _renew,
    "claim": _claim,
    "record": _record,
    "leave": _leave,
    "beat": _beat,
    "return_ahead": _return_ahead,
    "end": _end,
    "stop": _stop,
}


def _made(ports, slot, batch):
    made = ClaimBatch(ports, PLAN, owner=slot.token, version="v", mean_s=AHEAD_S / batch.together)
    made.ahead.extend(batch.ahead)
    made.ends.extend(batch.ends)
    made.unanswered.extend(batch.unanswered)
    return made


def _value(made, batch):
    return Batch(batch.together, tuple(made.ahead), tuple(made.ends), tuple(made.unanswered))


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
    _, entry = actor.held
    if entry.cancel_requested:
        return [("stops the work", Then(_to_end(actor, "cancelled"), world))]
    moves = [("work succeeds", Then(_succeeded(actor, world), world))]
    if scenario.fails:
        moves.append(("work fails", Then(_to_end(actor, "fail"), world)))
    if takes_long(actor):
        moves.append(("takes long", Then(actor.begin("return_ahead", actor.slot, actor.batch), world)))
    if _hears_something(actor.slot, entry, world):
        moves.append(("beats", Then(actor.begin("beat", actor.slot, entry), world)))
    return moves


def takes_long(actor):
    """Whether a worker has something to do only because its run goes on."""
    return bool(actor.batch.ahead or actor.batch.ends)


def _succeeded(actor, world):
    """The next run ahead is begun at once; with the last of them the ends are recorded."""
    run, entry = actor.held
    end = End(run, entry, Outcome("succeed", run, world.now))
    ahead, ends = actor.batch.ahead, (*actor.batch.ends, end)
    held, batch = (ahead[0] if ahead else None), actor.batch._replace(ahead=ahead[1:], ends=ends)
    if batch.ahead:
        return actor.become("holds", held=held, batch=batch)
    step = (actor.slot, batch, held is not None, actor.terminated)
    return actor.begin("record", *step, held=held, batch=batch, mode="holds")


def _to_end(actor, how):
    return actor.begin("end", actor.slot, actor.batch, actor.held[0], how)


def _to_stop(actor, **changes):
    run = actor.held[0] if actor.held else None
    return actor.begin("stop", actor.slot, actor.batch, run, **changes)


def _hears_something(slot, entry, world):
    """A heartbeat that would change and tell nothing is left out: there is no end of them."""
    there = model.entry(world, PLAN, entry.run_id)[1]
    if there is None or (there.owner, there.attempt) != (entry.owner, entry.attempt):
        return True
    lost_slot = all(one.token != slot.token for one in world.slots)
    return lost_slot or there.cancel_requested or there.visible_at < world.now + LEASE_S


def _to_claim(actor, **changes):
    return actor.begin("claim", actor.slot, actor.batch, actor.mode != "new", held=None, **changes)


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
    if isinstance(value, Again):  # whatever else happens meanwhile, a signal too
        slot, _, *rest = actor.args
        return Then(actor.begin(actor.step, slot, value.batch, *rest, batch=value.batch), world)
    return _WORKER[actor.step](actor, value, world)


def broken(actor: Actor, world: World) -> Then:
    """The step raised BackendError: a process does it again, and whoever poked the dispatcher does so again."""
    if actor.kind == "dispatcher":
        return Then(actor.become(""), evolve(world, poked=True))
    return Then(actor._replace(answers=()), world)


def crashed(actor: Actor, world: World) -> Then:
    if actor.kind == "dispatcher":
        return Then(actor.become(""), evolve(world, poked=True))
    if actor.kind == "worker":
        return Then(None, model.task_ended(world, actor.slot.token, told=True))
    return Then(None, evolve(world, silent=True))


def started(slot: Slot, together: int) -> Actor:
    """A process that was launched for a slot."""
    return Actor("worker", slot.token, "new", slot, batch=Batch(together)).begin("renew", slot)


def terminated(actor: Actor, world: World) -> Then:
    """The process gets SIGTERM, which it heeds between two steps."""
    asked = actor._replace(terminated=True)
    return Then(asked, world) if actor.step else _next(asked, world)


def _next(actor, world, otherwise=None):
    """What a worker does between two steps: it ends when it was asked to, else `otherwise`."""
    if actor.terminated:
        return Then(_to_stop(actor), world)
    return Then(otherwise or actor, world)


def _gone(actor, world, *, told):
    return Then(None, model.task_ended(world, actor.slot.token, told=told))


def _renewed(actor, value, world):
    if not value:
        return _gone(actor, world, told=False)
    return _next(actor, world, _to_claim(actor))


def _claimed(actor, value, world):
    if value == "outdated":
        return Then(_to_stop(actor), world)
    if not value.ahead:
        idle = actor.become("had" if actor.mode != "new" else "new", batch=value)
        return _next(idle, world, idle.begin("leave", actor.slot))
    return _begun(actor, value, world)


def _recorded(actor, value, world):
    if actor.held is not None:
        return _next(actor.become("holds", batch=value), world)
    if value.ahead:
        return _begun(actor, value, world)
    return _idle(actor, world, batch=value)


def _begun(actor, batch, world):
    return _next(actor.become("holds", held=batch.ahead[0], batch=batch._replace(ahead=batch.ahead[1:])), world)


def _left(actor, value, world):
    if isinstance(value, queue_claims.Leave):
        # A normal end is told to nobody, but for what is due later: wake alone must see to what was missed.
        return _gone(actor, world, told=value.next_due_at is not None)
    if isinstance(value, queue_claims.WaitUntil):
        return _next(actor.become("waits"), world)
    return _next(actor, world, _to_claim(actor))


def _finished(actor, value, world):
    run = actor.held[0]
    there = model.run(world, run.id)[1]
    ours = (there.owner, there.attempt, there.losses) == (run.owner, run.attempt, run.losses)
    if value is None and ours and there.status.is_final:
        raise ViolationError("a worker whose result is recorded was told that its attempt was lost")
    if value is None and ours:
        raise ViolationError("a worker was told that its attempt was lost while it was running on it")
    return _idle(actor, world, batch=Batch(actor.batch.together))


def _idle(actor, world, *, batch):
    idle = actor.become("had", held=None, batch=batch)
    return _next(idle, world, _to_claim(idle))


def _beaten(actor, value, world):
    if value == "slot lost":
        return Then(_to_stop(actor), world)
    if value is None:  # others have the run by now: what is ahead of it goes back
        return Then(actor.begin("return_ahead", actor.slot, actor.batch, held=None), world)
    return _next(actor.become("holds", held=(actor.held[0], value)), world)


def _returned(actor, value, world):
    if actor.held is None:
        return _idle(actor, world, batch=value)
    return _next(actor.become("holds", batch=value), world)


_WORKER = {
    "renew": _renewed,
    "claim": _claimed,
    "record": _recorded,
    "leave": _left,
    "end": _finished,
    "beat": _beaten,
    "return_ahead": _returned,
    "stop": lambda actor, value, world: _gone(actor, world, told=True),
}
