"""Each safeguard of the protocol is needed: without it an interleaving ends badly, and the shortest one is printed."""

from __future__ import annotations

import pytest
from exploring import without
from exploring.explore import Explorer, Scenario
from exploring.scenarios import CRASH, LATE, LOST, ONE, UNKNOWN

NEEDED = {
    "the_wake_check": Scenario(dispatchers=1),
    "counting_leased_entries": Scenario(max_workers=2, dispatchers=1),
    "slot_tokens": Scenario(faults=1, kinds=frozenset({"worker crash"})),
    "the_look_after_a_failed_finish": Scenario(**ONE, cancels=True),
    "reading_the_queue_before_the_slots": Scenario(),
    "the_attempt_as_fence": Scenario(**ONE, max_workers=2, ticks=1),
    "taking_up_claims_without_answer": Scenario(**ONE, runs=3, together=2, faults=1, kinds=LOST, **LATE),
    "returning_what_is_ahead": Scenario(**ONE, runs=2, together=2),
    "freeing_dead_slots": Scenario(**ONE, faults=1, kinds=CRASH),
    "launching_a_slot_without_handle_again": Scenario(**ONE, faults=1, kinds=CRASH),
    "keeping_the_slot_of_an_unknown_launch": Scenario(dispatchers=1, faults=1, kinds=UNKNOWN),
    "waiting_for_a_slow_start": Scenario(dispatchers=1, ticks=1),
}


@pytest.mark.slow
@pytest.mark.parametrize("safeguard", NEEDED)
def test_without_this_safeguard_an_interleaving_ends_badly(safeguard, monkeypatch):
    getattr(without, safeguard)(monkeypatch)
    found = Explorer(NEEDED[safeguard]).explore()
    print(f"without {safeguard}: {found}")
    assert found.violation, found
    assert found.trace
