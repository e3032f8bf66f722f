"""The protocol with one safeguard taken out, each a small patch of a function or of the store's promise."""

from __future__ import annotations

from exploring import actors
from exploring import world as model

from matinee.queue import claims, dispatch
from matinee.runs import LEASE_S, Status, evolve


def the_wake_check(patch):
    """A worker that leaves frees its slot whatever became due meanwhile."""
    free = model.free_slot
    patch.setattr(model, "free_slot", lambda world, slot, wake=None: free(world, slot))


def counting_leased_entries(patch):
    """The dispatcher counts only what is due: the workers there are seem enough for it."""
    patch.setattr(dispatch, "_workers_needed", lambda due, leased, pool: len(due))


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

    patch.setattr(claims, "finish", finish)


def reading_the_queue_before_the_slots(patch):
    """The slots are read first: who takes slot and lease in between looks like an owner without a slot."""

    def reclaim(store, predictor, now):
        holders = {slot.token for slot in store.pool(predictor).slots}
        for entry in store.leased(predictor):
            if entry.owner not in holders:
                dispatch.lose_lease(store, entry, now)

    patch.setattr(dispatch, "reclaim", reclaim)


def the_attempt_as_fence(patch):
    """A late worker ends whatever attempt is running."""
    patch.setattr(claims, "_is_same_attempt", lambda current, run: current.status is Status.RUNNING)


def taking_up_claims_without_answer(patch):
    """A worker whose claims were applied, though no answer came, knows nothing of them."""
    patch.setattr(claims.ClaimBatch, "_take_up_unanswered", lambda batch: batch.unanswered.clear())


def returning_what_is_ahead(patch):
    """What was claimed ahead of a run that takes long waits for it."""
    patch.setattr(actors, "takes_long", lambda actor: False)


def freeing_dead_slots(patch):
    """The slot of a worker that has ended stays taken."""
    patch.setattr(dispatch, "free_dead_slots", lambda store, launcher, predictor, now: "")


def keeping_the_slot_of_an_unknown_launch(patch):
    """A launch whose answer is lost is taken for a failed one: its slot is free for another worker."""
    patch.setattr(dispatch, "UnansweredError", ())


def waiting_for_a_slow_start(patch):
    """A worker that has not reported within a lease is taken for one that never was."""

    def free_dead_slots(store, launcher, predictor, now):
        for slot in store.pool(predictor).slots:
            if not slot.renewed_at and slot.taken_at + LEASE_S < now:
                store.free_slot(slot)
        return as_it_is(store, launcher, predictor, now)

    as_it_is = dispatch.free_dead_slots
    patch.setattr(dispatch, "free_dead_slots", free_dead_slots)


def launching_a_slot_without_handle_again(patch):
    """A dispatcher that died between take and launch leaves its slot as it is."""
    patch.setattr(dispatch, "relaunch", lambda store, launcher, predictor: "")
