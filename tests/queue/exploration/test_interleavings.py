"""Every interleaving of the protocol's own functions, with accidents: nothing is lost, nothing recorded twice.

The exploration's figures are in its output (`pytest -rP`). Queue, slots and runs are read from the base table, so no
read of the protocol may be stale; what DynamoDB's Query does not promise is one moment for all items of a pool (torn).
"""

from __future__ import annotations

import pytest
from exploring import invariants
from exploring.explore import Scenario
from exploring.scenarios import ANY, CRASH, LATE, LOST, ONE, SIGTERM, UNKNOWN, holds_everywhere

from matinee import runs

QUICK = {
    "one submitter, a dead process": Scenario(**ONE, faults=1, kinds=CRASH),
    "one submitter, two dead processes": Scenario(**ONE, faults=2, kinds=CRASH),
    "one submitter, lost answers": Scenario(**ONE, faults=1, kinds=LOST, **LATE),
    "one submitter, two launches of which nothing is heard": Scenario(**ONE, faults=2, kinds=UNKNOWN),
    "one submitter, two accidents of any kind": Scenario(**ONE, faults=2, kinds=ANY, **LATE),
    "two submitters, one dispatcher at a time": Scenario(dispatchers=1),
    "SIGTERM": Scenario(**ONE, faults=1, kinds=SIGTERM),
    "cancel and retry": Scenario(**ONE, cancels=True, fails=True),
    "cancel, retry and an accident of any kind": Scenario(**ONE, cancels=True, fails=True, faults=1, kinds=ANY, **LATE),
    "a release": Scenario(**ONE, releases=True),
    "a release, a retry and a dead process": Scenario(**ONE, releases=True, fails=True, faults=1, kinds=CRASH),
    "a slow start and a dead process": Scenario(**ONE, ticks=1, faults=1, kinds=CRASH),
    "runs claimed together": Scenario(**ONE, runs=3, together=2),
    "runs claimed together, lost answers": Scenario(**ONE, runs=3, together=2, faults=2, kinds=LOST, **LATE),
    "runs claimed together, SIGTERM": Scenario(**ONE, runs=3, together=2, faults=1, kinds=SIGTERM),
    "runs claimed together, a dead process": Scenario(**ONE, runs=2, together=2, faults=1, kinds=CRASH),
    "runs claimed together, cancel and retry": Scenario(**ONE, runs=2, together=2, cancels=True, fails=True),
    "runs claimed together, a release": Scenario(**ONE, runs=3, together=2, releases=True),
    "a pool that is no snapshot": Scenario(submitters=1, torn=True, cancels=True),
}
LONG = {
    "two submitters": Scenario(),
    "two submitters, a dead process": Scenario(dispatchers=1, faults=1, kinds=CRASH),
    "two submitters, an accident of any kind": Scenario(dispatchers=1, faults=1, kinds=ANY, **LATE),
    "two submitters, a launch of which nothing is heard": Scenario(faults=1, kinds=UNKNOWN),
    "two submitters, retry": Scenario(dispatchers=1, fails=True),
    "two submitters, cancel": Scenario(dispatchers=1, cancels=True),
    "two submitters, a release": Scenario(dispatchers=1, releases=True),
    "two submitters, a slow start": Scenario(dispatchers=1, ticks=1),
    "two submitters, SIGTERM": Scenario(dispatchers=1, faults=1, kinds=SIGTERM),
}


@pytest.mark.parametrize("name", QUICK)
def test_every_interleaving_ends_well(name):
    holds_everywhere(name, QUICK[name])


def test_a_run_whose_workers_never_start_has_failed_at_last(monkeypatch):
    monkeypatch.setattr(runs, "MAX_LOSSES", 2)
    monkeypatch.setattr(invariants, "MAX_LOSSES", 2)
    holds_everywhere(
        "two workers that die, of two that may", Scenario(**ONE, faults=2, kinds=frozenset({"worker crash"}))
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_every_interleaving_of_more_processes_ends_well(name):
    holds_everywhere(name, LONG[name])
