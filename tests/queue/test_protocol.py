"""Any order of submissions, dispatches, workers' steps, signals, crashes and clock jumps: what always holds.

Each step may be cut off before or after any of its calls to the store or the launcher, lose the answer to one, or have
another actor's whole step happen in between.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from matinee.backends.local.store import SqliteStore
from matinee.errors import BackendError
from matinee.ports import LaunchStatus, RunQuery
from matinee.queue.claims import (
    AHEAD_S,
    Claim,
    ClaimBatch,
    End,
    Leave,
    finish,
    leave_unless_due,
    release_claim,
    renew_slot,
)
from matinee.queue.dispatch import cancel, dispatch
from matinee.runs import LEASE_S, MAX_LOSSES, Failure, Progress, Run, Status, fail, new_run_id, succeed

PLAN = "plan"
RETRIES = 2


class Killed(BaseException):
    """The process is gone at this very call."""


class Ports:
    """The store as a worker has it: each of its steps may be interrupted in another way."""

    def __init__(self):
        self.store = None

    def __getattr__(self, name):
        return getattr(self.store, name)


class Worker:
    """A process: the run it works on, its claim batch, and the steps to be repeated until each has its answer."""

    def __init__(self, slot):
        self.slot = slot
        self.store = Ports()
        self.job: Claim | None = None
        self.steps: list[Callable[[], object]] = []
        together = 1 + int(slot.token.rpartition("-")[2]) % 3
        self.batch = ClaimBatch(self.store, PLAN, owner=slot.token, version="v", mean_s=AHEAD_S / together)

    def holds(self):
        """The attempts that somebody works on, or will, or that are to be recorded."""
        claims = [*self.batch.ahead, *((end.run, end.entry) for end in self.batch.ends)]
        return {(run.id, run.attempt) for run, _ in [*claims, *([self.job] if self.job else [])]}


class Launcher:
    """Processes by token. A token starts one worker, ever."""

    def __init__(self):
        self.workers: dict[str, Worker] = {}
        self.ended: set[str] = set()
        self.broken = False

    def launch(self, slot):
        if self.broken:
            raise BackendError("No capacity.")
        self.workers.setdefault(slot.token, Worker(slot))
        return f"task/{slot.token}"

    def status(self, slots):
        return {slot.token: LaunchStatus(slot.token not in self.alive) for slot in slots}

    @property
    def alive(self):
        return {token: one for token, one in self.workers.items() if token not in self.ended}


@dataclass
class Interruption:
    """Something at the n-th call that one step makes to its ports."""

    at: int = 0
    kind: object = ""
    act: object = None
    calls: int = field(default=0)

    def wrap(self, port):
        return _Interrupted(port, self)

    def around(self, method, *args, **kwargs):
        self.calls += 1
        here = self.calls == self.at
        if here and self.kind == "killed before":
            raise Killed
        if here and self.act:
            self.act()
        answer = method(*args, **kwargs)
        if here and self.kind == "killed after":
            raise Killed
        if here and self.kind == "answer lost":
            raise BackendError("The answer was lost.")
        return answer


class _Interrupted:
    def __init__(self, port, interruption):
        self._port, self._interruption = port, interruption

    def __getattr__(self, name):
        method = getattr(self._port, name)
        return lambda *args, **kwargs: self._interruption.around(method, *args, **kwargs)


CUTS = st.sampled_from(["killed before", "killed after", "answer lost"])
ACTS = st.lists(st.sampled_from(["submit", "dispatch", "work", "work", "cancel", "time"]), min_size=1, max_size=3)
HOW = st.sampled_from(["work", "work", "work", "fail", "heartbeat", "take long"])
happening = st.tuples(st.integers(1, 10), CUTS | ACTS)
interruptions = st.none() | happening
choice = st.integers(0, 50)


class Protocol(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self._folder = memory_folder()
        self.store = SqliteStore(Path(self._folder.name) / "state.db")
        self.launcher = Launcher()
        self.now = 1_800_000_000.0
        self.version = 1
        self.poked = False  # a dispatch is on its way: pokes are delivered at least once
        self.dispatch_at: float | None = None
        self.submitted: list[Run] = []
        self.final: dict[str, Run] = {}
        self.attempts: set[tuple[str, int]] = set()
        self.tokens = 0
        self.depth = 0
        self.busy: Worker | None = None

    @initialize(max_workers=st.integers(1, 3), count=st.integers(1, 4))
    def pool(self, max_workers, count):
        self.max_workers = max_workers
        self.submit("a", count)
        self.dispatch()

    def teardown(self):
        try:
            if hasattr(self, "max_workers"):
                self.settle()
        finally:
            self.store.close()
            self._folder.cleanup()

    # --- what people do -----------------------------------------------------------------------------------------

    @rule(user=st.sampled_from("ab"), count=st.integers(1, 3), interruption=interruptions)
    def submit(self, user, count, interruption=None):
        runs = [Run(new_run_id(), PLAN, "batch", user, Status.QUEUED, None, self.now) for _ in range(count)]
        for run in runs:
            run.__dict__["idempotency_key"] = run.id
        store, _ = self.ports(interruption)
        try:
            store.submit(runs)
        except BackendError:
            self.store.submit(runs)  # whoever got no answer asks again with the same key, which pokes again
        except Killed:
            if self.store.run(runs[0].id) is None:
                return
        self.submitted += runs
        self.poked = True

    @precondition(lambda self: self.submitted)
    @rule(which=choice, interruption=interruptions)
    def cancel(self, which, interruption=None):
        store, _ = self.ports(interruption)
        with suppress(BackendError, Killed):
            cancel(store, self.submitted[which % len(self.submitted)].id, self.now)

    @rule()
    def deploy(self):
        self.version += 1
        self.poked = True

    @rule(step_s=st.sampled_from([0.5, 3.0, 11.0, LEASE_S / 3, LEASE_S + 1, 3600.0, -30.0, -7200.0]))
    def clock(self, step_s):
        self.now += step_s

    # --- the dispatcher -----------------------------------------------------------------------------------------

    @precondition(lambda self: self.poked)
    @rule()
    def the_poke_arrives(self):
        self.dispatch()

    @rule(interruption=interruptions, broken=st.sampled_from([False, False, False, True]))
    def dispatch(self, interruption=None, broken=False):
        store, launcher = self.ports(interruption)
        self.launcher.broken = broken
        try:
            done = dispatch(
                store,
                launcher,
                PLAN,
                max_workers=self.max_workers,
                version=str(self.version),
                now=self.now,
                token=self.new_token,
            )
        except (BackendError, Killed):
            self.poked = True  # AWS repeats a failed asynchronous call; locally the host does
            return
        self.poked = False
        self.dispatch_at = done.next_due_at
        if interruption is None and not done.note:
            self.no_due_run_waits_while_a_slot_is_free()

    def new_token(self):
        self.tokens += 1
        return f"token-{self.tokens}"

    # --- workers ------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.launcher.alive)
    @rule(which=choice, how=HOW, interruption=interruptions)
    def worker(self, which, how, interruption=None):
        one = self.pick(which)
        one.store.store, _ = self.ports(interruption)
        try:
            with self.occupied(one):
                self.step(one, how)
        except BackendError:
            pass  # it will do the same again
        except Killed:
            self.end(one)

    @contextmanager
    def occupied(self, one):
        """A process does one thing at a time, whatever happens in between."""
        before, self.busy = self.busy, one
        try:
            yield
        finally:
            self.busy = before

    @rule(moves=st.lists(st.tuples(choice, HOW), min_size=2, max_size=8))
    def several_workers(self, moves):
        for which, how in moves:
            if self.launcher.alive:
                self.worker(which, how)

    @precondition(lambda self: self.launcher.alive)
    @rule(which=choice, how=HOW, interruption=happening)
    def interrupted_worker(self, which, how, interruption):
        self.worker(which, how, interruption)

    @precondition(lambda self: self.launcher.alive)
    @rule(which=choice, how=HOW, at=st.integers(1, 10))
    def worker_without_answer(self, which, how, at):
        self.worker(which, how, (at, "answer lost"))

    @precondition(lambda self: self.launcher.alive)
    @rule(which=choice)
    def kill(self, which):
        self.end(self.pick(which))

    @precondition(lambda self: self.launcher.alive)
    @rule(which=choice, interruption=interruptions)
    def terminate(self, which, interruption=None):
        one = self.pick(which)
        one.store.store, _ = self.ports(interruption)
        try:
            with self.occupied(one):
                for step in self.stop(one):
                    step()
        except (BackendError, Killed):
            pass
        self.end(one)

    def pick(self, which):
        alive = [one for one in self.launcher.alive.values() if one is not self.busy]
        return alive[which % len(alive)] if alive else None

    def end(self, one):
        self.launcher.ended.add(one.slot.token)
        self.poked = True  # the task-stopped event, or the host that sees its process end

    def step(self, one, how):
        """Do what the supervisor does next, in its order; what has no answer is done again before anything else."""
        one.steps = one.steps or self.plan(one, how)
        while one.steps:
            one.steps[0]()
            del one.steps[0]

    def plan(self, one, how):
        if one.job is None:
            return [lambda: self.claim(one)]
        run, entry = one.job
        if how == "heartbeat":
            return [lambda: self.keep(one)]
        if how == "take long":
            return [lambda: one.batch.return_ahead(self.now)]
        transition, one.job = self.transition(run, how, self.now), None
        if how == "fail":
            return [lambda: one.batch.return_ahead(self.now), lambda: finish(one.store, run, transition)]
        one.batch.put(End(run, entry, transition), one.batch.mean_s)
        self.begin(one)
        return [] if one.batch.ahead else [lambda: self.settle_batch(one)]

    def claim(self, one):
        if not renew_slot(one.store, one.slot, now=self.now):
            self.end(one)
        elif one.slot.version != str(self.version):
            one.store.free_slot(one.slot)
            self.end(one)
        else:
            one.batch.settle(claims=True, busy=False, now=self.now)
            self.begin(one)
            if one.job is None:
                self.leave(one)

    def settle_batch(self, one):
        one.batch.settle(claims=one.slot.version == str(self.version), busy=one.job is not None, now=self.now)
        if one.job is None:
            self.begin(one)

    def begin(self, one):
        one.job = one.batch.next()
        if one.job is not None:
            run, entry = one.job
            assert (run.owner, run.attempt) == (entry.owner, entry.attempt)
            assert (run.id, run.attempt) not in self.attempts, "an attempt number was given twice"
            self.attempts.add((run.id, run.attempt))

    def keep(self, one):
        run, entry = one.job
        if not renew_slot(one.store, one.slot, now=self.now):
            one.steps += self.stop(one)
            one.steps.append(lambda: self.end(one))
            return
        renewed = one.store.heartbeat(entry, visible_at=self.now + LEASE_S, progress=Progress(0.5))
        if renewed is None:  # stops the work: its result is nobody's
            one.job = None
            one.steps.append(lambda: one.batch.return_ahead(self.now))
        else:
            one.job = (run, renewed)

    def stop(self, one):
        """The steps of a worker that is to end: nothing it holds spends a retry."""
        job, one.job = one.job, None
        steps = [lambda: one.batch.return_ahead(self.now)]
        if job is not None:
            steps.append(lambda: release_claim(one.store, job[0], now=self.now))
        return [*steps, lambda: one.store.free_slot(one.slot)]

    def leave(self, one):
        """The end of a worker that left is told to nobody: the wake counter alone must see to what was missed."""
        left = leave_unless_due(one.store, one.slot, self.now)
        if isinstance(left, Leave):
            assert one.slot.token not in {entry.owner for entry in self.store.leased(PLAN)}, "it leaves a run behind"
            self.launcher.ended.add(one.slot.token)
            self.poked = self.poked or left.next_due_at is not None

    @staticmethod
    def transition(run, how, now):
        if how == "fail":
            failure = Failure("exception", "No.")
            return lambda run, entry: fail(run, entry, failure=failure, now=now, retries=RETRIES, delay_s=10.0)
        return lambda current, entry: succeed(current, result=[run.owner, run.attempt], now=now)

    # --- interruptions ------------------------------------------------------------------------------------------

    def ports(self, interruption):
        if interruption is None or self.depth:
            return self.store, self.launcher
        at, what = interruption
        acts = {
            "dispatch": self.dispatch,
            "submit": lambda: self.submit("c", 1),
            "work": lambda: self.pick(at) and self.worker(at, "work"),
            "cancel": lambda: self.submitted and self.cancel(at),
            "time": lambda: self.clock(LEASE_S + 1),
        }
        inner = None if isinstance(what, str) else lambda: self.others([acts[name] for name in what])
        plan = Interruption(at, what, inner)
        return plan.wrap(self.store), plan.wrap(self.launcher)

    def others(self, acts):
        self.depth += 1
        for act in acts:
            act()
        self.depth -= 1

    # --- what must always hold ----------------------------------------------------------------------------------

    @invariant()
    def every_run_is_finished_or_queued_exactly_once(self):
        runs = {run.id: run for run in self.store.runs(RunQuery(limit=10_000))}
        entries = self.store.entries(PLAN, 10_000)
        assert {run.id for run in self.submitted} == set(runs)
        assert sorted(e.run_id for e in entries) == sorted(r.id for r in runs.values() if not r.status.is_final)
        for entry in entries:
            run = runs[entry.run_id]
            assert entry.is_leased == (run.status is Status.RUNNING)
            assert entry.attempt == run.attempt
            assert not entry.is_leased or entry.owner == run.owner
            assert run.losses < MAX_LOSSES
            assert run.failures <= RETRIES

    @invariant()
    def what_is_final_never_changes(self):
        for run in self.store.runs(RunQuery(limit=10_000)):
            if run.id in self.final:
                assert run == self.final[run.id]
            elif run.status.is_final:
                self.final[run.id] = run
                assert run.status is not Status.SUCCEEDED or run.result == [run.owner, run.attempt]

    @invariant()
    def every_run_of_a_worker_is_in_its_hands(self):
        """Between its steps: a lease that its worker knows nothing of would wait until it expires, and spend a loss."""
        for entry in self.store.leased(PLAN):
            one = self.launcher.alive.get(entry.owner)
            if one is not None and not one.steps:
                assert (entry.run_id, entry.attempt) in one.holds()

    @invariant()
    def there_are_never_more_than_max_workers(self):
        slots = self.store.pool(PLAN).slots
        assert len(slots) <= getattr(self, "max_workers", 0)
        assert len({slot.number for slot in slots}) == len(slots)

    def no_due_run_waits_while_a_slot_is_free(self):
        slots = self.store.pool(PLAN).slots
        unfinished = {e.run_id for e in self.store.due(PLAN, self.now, 99)} | {
            e.run_id for e in self.store.leased(PLAN)
        }
        assert len(slots) >= min(self.max_workers, len(unfinished))

    def settle(self):
        """With no more accidents, and no dispatch but those the protocol asks for, all is done and nobody is left."""
        for _ in range(2000):
            if self.poked or (self.dispatch_at is not None and self.dispatch_at <= self.now):
                self.dispatch()
            for one in list(self.launcher.alive.values()):
                self.worker(list(self.launcher.alive).index(one.slot.token), "work")
            if not self.poked and not self.launcher.alive:
                if self.dispatch_at is None:
                    break
                self.now = max(self.now, self.dispatch_at)
            self.now += 0.25
        assert self.store.entries(PLAN) == []
        assert self.store.pool(PLAN).slots == ()
        assert self.launcher.alive == {}
        for run in self.store.runs(RunQuery(limit=10_000)):
            assert run.status.is_final


def memory_folder():
    fast = Path("/dev/shm")
    return tempfile.TemporaryDirectory(dir=fast if fast.is_dir() else None)


TestProtocol = Protocol.TestCase
TestProtocol.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
