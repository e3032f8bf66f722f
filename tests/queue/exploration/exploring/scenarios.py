"""What the explorations have in common: the kinds of accidents, and that all ends well."""

from __future__ import annotations

from exploring.explore import Explorer

CRASH, LOST = frozenset({"crash"}), frozenset({"lost answer", "refused launch"})
UNKNOWN = frozenset({"lost launch"})
SIGTERM = frozenset({"sigterm"})
ANY = CRASH | LOST | UNKNOWN | SIGTERM
ONE = {"submitters": 1, "dispatchers": 1}
TWO = {"submitters": 1, "runs": 2, "max_workers": 2, "dispatchers": 1}
LATE = {"may_overlap": True}


def holds_everywhere(name, scenario):
    """Explore; print the counts; every invariant holds, and a good end can be reached from everywhere."""
    found = Explorer(scenario).explore()
    print(f"{name}: {found}")
    assert not found.violation, found
    assert found.complete
    assert found.done, "no way leads to the end"
