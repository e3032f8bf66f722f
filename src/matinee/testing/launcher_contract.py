"""What every Launcher does. Inherit `LauncherContract` and give it two fixtures.

`launcher` starts workers that run until SIGTERM ends them. `started` is a function: how many workers were
ever started for a token.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from matinee.ports import Launcher
from matinee.runs import Slot
from matinee.testing.harness import wait_until

Started = Callable[[str], int]


def ended(launcher: Launcher, slot: Slot) -> bool:
    """Return whether the launcher says that the slot's worker has ended."""
    return launcher.status([slot])[slot.token].ended


class LauncherContract:
    """The whole contract."""

    @pytest.fixture
    def slot(self, launcher: Launcher) -> Iterator[Slot]:
        """A slot whose worker is ended after the test."""
        slot = Slot("plan", 0, os.urandom(8).hex(), version="hash", taken_at=time.time())
        yield slot
        launcher.stop(slot)

    def test_a_launched_worker_runs(self, launcher: Launcher, started: Started, slot: Slot) -> None:
        handle = launcher.launch(slot)
        assert handle
        wait_until(lambda: started(slot.token) == 1)
        assert not ended(launcher, replace(slot, handle=handle))

    def test_a_token_starts_one_worker_however_often_asked(
        self, launcher: Launcher, started: Started, slot: Slot
    ) -> None:
        first = launcher.launch(slot)
        assert launcher.launch(slot) == first
        wait_until(lambda: started(slot.token) >= 1)
        assert launcher.launch(slot) == first
        assert not ended(launcher, replace(slot, handle=first))
        assert started(slot.token) == 1

    def test_a_worker_that_is_stopped_has_ended(self, launcher: Launcher, started: Started, slot: Slot) -> None:
        launched = replace(slot, handle=launcher.launch(slot))
        wait_until(lambda: started(slot.token) == 1)
        launcher.stop(launched)
        wait_until(lambda: ended(launcher, launched))
        assert launcher.status([launched])[slot.token].reason

    def test_a_token_whose_worker_has_ended_starts_no_other(
        self, launcher: Launcher, started: Started, slot: Slot
    ) -> None:
        launched = replace(slot, handle=launcher.launch(slot))
        wait_until(lambda: started(slot.token) == 1)
        launcher.stop(launched)
        wait_until(lambda: ended(launcher, launched))
        launcher.launch(slot)
        assert ended(launcher, launched)
        assert started(slot.token) == 1

    def test_a_worker_that_never_was_has_ended(self, launcher: Launcher) -> None:
        never = Slot("plan", 3, "never-launched", version="hash", taken_at=time.time(), handle="nowhere")
        assert ended(launcher, never)

    def test_the_status_of_many_is_by_token(self, launcher: Launcher, slot: Slot) -> None:
        launched = replace(slot, handle=launcher.launch(slot))
        never = Slot("plan", 1, "never", version="hash", taken_at=time.time(), handle="nowhere")
        statuses = launcher.status([launched, never])
        assert {token: status.ended for token, status in statuses.items()} == {slot.token: False, "never": True}
        assert launcher.status([]) == {}

    def test_stopping_what_has_ended_is_no_error(self, launcher: Launcher, slot: Slot) -> None:
        launcher.stop(slot)
        launched = replace(slot, handle=launcher.launch(slot))
        launcher.stop(launched)
        wait_until(lambda: ended(launcher, launched))
        launcher.stop(launched)
