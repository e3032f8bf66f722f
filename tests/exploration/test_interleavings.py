"""Every interleaving of the protocol's own functions, with accidents: nothing is lost, nothing recorded twice.

The exploration's figures are in its output (`pytest -rP`). Queue, slots and runs are read from the base table, so no
read of the protocol may be stale; what DynamoDB's Query does not promise is one moment for all items of a pool (torn).
"""

from __future__ import annotations

import pytest
from exploring import without
from exploring.explore import Explorer, Scenario

CRASH, LOST = frozenset({"crash"}), frozenset({"lost answer", "refused launch"})
ONE = {"submitters": 1}
LATE = {"may_overlap": True}
QUICK = {
    "one submitter, a dead process": Scenario(**ONE, dispatchers=1, faults=1, kinds=CRASH),
    "one submitter, two dead processes": Scenario(**ONE, dispatchers=1, faults=2, kinds=CRASH),
    "two submitters, one dispatcher at a time": Scenario(dispatchers=1),
    "one submitter, lost answers": Scenario(**ONE, dispatchers=1, faults=1, kinds=LOST, **LATE),
    "one submitter, a launch that was only said to fail": Scenario(
        **ONE, dispatchers=1, faults=1, kinds=frozenset({"lost launch"}), **LATE
    ),
    "SIGTERM": Scenario(**ONE, dispatchers=1, faults=1, kinds=frozenset({"sigterm"})),
    "cancel and retry": Scenario(**ONE, dispatchers=1, cancels=True, fails=True),
    "a release": Scenario(**ONE, dispatchers=1, releases=True),
    "a lease that runs out": Scenario(**ONE, max_workers=2, dispatchers=1, ticks=1),
    "a pool that is no snapshot": Scenario(**ONE, torn=True, cancels=True),
}
LONG = {
    "two submitters": Scenario(),
    "two submitters, a dead process": Scenario(dispatchers=1, faults=1, kinds=CRASH),
    "two submitters, retry": Scenario(dispatchers=1, fails=True),
    "two submitters, SIGTERM": Scenario(dispatchers=1, faults=1, kinds=frozenset({"sigterm"})),
    "two workers": Scenario(max_workers=2, dispatchers=1),
    "two runs, two workers": Scenario(**ONE, runs=2, max_workers=2, dispatchers=1),
    "two dispatchers, lost answers": Scenario(**ONE, faults=1, kinds=LOST, **LATE),
}
NEEDED = {
    "the_wake_check": Scenario(dispatchers=1),
    "counting_leased_entries": Scenario(max_workers=2, dispatchers=1),
    "slot_tokens": Scenario(faults=1, kinds=frozenset({"worker crash"})),
    "the_look_after_a_failed_finish": Scenario(**ONE, dispatchers=1, faults=1, kinds=LOST, **LATE),
    "reading_the_queue_before_the_slots": Scenario(),
    "the_attempt_as_fence": Scenario(**ONE, max_workers=2, dispatchers=1, ticks=1),
    "burying": Scenario(**ONE, dispatchers=1, faults=1, kinds=CRASH),
    "launching_a_slot_without_handle_again": Scenario(**ONE, dispatchers=1, faults=1, kinds=CRASH),
}


def holds_everywhere(name, scenario):
    found = Explorer(scenario).explore()
    print(f"{name}: {found}")
    assert not found.violation, found
    assert found.complete
    assert found.done, "no way leads to the end"


@pytest.mark.parametrize("name", QUICK)
def test_every_interleaving_ends_well(name):
    holds_everywhere(name, QUICK[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_every_interleaving_of_more_processes_ends_well(name):
    holds_everywhere(name, LONG[name])


@pytest.mark.slow
@pytest.mark.parametrize("safeguard", NEEDED)
def test_without_this_safeguard_an_interleaving_ends_badly(safeguard, monkeypatch):
    getattr(without, safeguard)(monkeypatch)
    found = Explorer(NEEDED[safeguard]).explore()
    print(f"without {safeguard}: {found}")
    assert found.violation, found
    assert found.trace
