"""Every interleaving in which two workers may live: never more, and nothing waits while a slot is free."""

from __future__ import annotations

import pytest
from exploring.explore import Scenario
from exploring.scenarios import ONE, TWO, UNKNOWN, holds_everywhere

SCENARIOS = {
    "two submitters, two workers": Scenario(max_workers=2, dispatchers=1),
    "two runs, two workers": Scenario(**TWO),
    "two runs, two workers, a dead dispatcher": Scenario(**TWO, faults=1, kinds=frozenset({"dispatcher crash"})),
    "two runs, two workers, a dead worker": Scenario(**TWO, faults=1, kinds=frozenset({"worker crash"})),
    "two runs, two workers, a launch of which nothing is heard": Scenario(**TWO, faults=1, kinds=UNKNOWN),
    "two runs, two workers, a release": Scenario(**TWO, releases=True),
    "two workers, a lease that runs out": Scenario(**ONE, max_workers=2, ticks=1),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_interleaving_ends_well(name):
    holds_everywhere(name, SCENARIOS[name])
