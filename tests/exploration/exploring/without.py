"""The protocol with one safeguard taken out, each a small patch of a function or of the store's promise."""

from __future__ import annotations

from exploring import world as model

from matinee.dispatch import dispatcher, worker
from matinee.runs import LEASE_S, Status, evolve


def the_wake_check(patch):
    """A worker that leaves frees its slot whatever became due meanwhile."""
    free = model.free_slot
    patch.setattr(model, "free_slot", lambda world, slot, wake=None: free(world, slot))


def counting_leased_entries(patch):
    """The dispatcher counts only what is due: the workers there are seem enough for it."""
    patch.setattr(dispatcher, "_workers_needed", lambda due, leased, pool: len(due))


def slot_tokens(patch):
    """A slot is whoever's comes: only its number is compared."""

    def as_held(world, slot):
        there = model._find(world.slots, number=slot.number)
        return evolve(slot, token=there.token) if there else slot

    update, free = model.update_slot, model.free_slot
    patch.setattr(model, "update_slot", lambda world, slot: update(world, as_held(world, slot)))
    patch.setattr(model, "free_slot", lambda world, slot, wake=None: free(world, as_held(world, slot), wake=wake))


def the_look_after_a_failed_finish(patch):
    """A swap that failed is taken for a lost attempt."""

    def finish(store, run, transition):
        change = transition(run, store.entry(run.predictor, run.id))
        return change.recorded if store.apply(change) else None

    patch.setattr(worker, "finish", finish)


def reading_the_queue_before_the_slots(patch):
    """The slots are read first: who takes slot and lease in between looks like an owner without a slot."""

    def reclaim(store, predictor, now):
        holders = {slot.token for slot in store.pool(predictor).slots}
        for entry in store.leased(predictor):
            if entry.owner not in holders:
                dispatcher.lose_lease(store, entry, now)

    patch.setattr(dispatcher, "reclaim", reclaim)


def the_attempt_as_fence(patch):
    """A late worker ends whatever attempt is running."""
    patch.setattr(worker, "_is_ours", lambda current, run: current.status is Status.RUNNING)


def burying(patch):
    """The slot of a worker that has ended stays taken."""
    patch.setattr(dispatcher, "bury", lambda store, launcher, predictor, now: "")


def keeping_the_slot_of_an_unknown_launch(patch):
    """A launch whose answer is lost is taken for a failed one: its slot is free for another worker."""
    patch.setattr(dispatcher, "UnansweredError", ())


def waiting_for_a_slow_start(patch):
    """A worker that has not reported within a lease is taken for one that never was."""

    def bury(store, launcher, predictor, now):
        for slot in store.pool(predictor).slots:
            if not slot.renewed_at and slot.taken_at + LEASE_S < now:
                store.free_slot(slot)
        return bury_ended(store, launcher, predictor, now)

    bury_ended = dispatcher.bury
    patch.setattr(dispatcher, "bury", bury)


def launching_a_slot_without_handle_again(patch):
    """A dispatcher that died between take and launch leaves its slot as it is."""
    patch.setattr(dispatcher, "relaunch", lambda store, launcher, predictor: "")
