from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from matinee.backends.local.store import SqliteStore
from matinee.errors import BackendError, UnansweredError
from matinee.ports import LaunchStatus


class FakeLauncher:
    """Workers that are only said to run. `ended` holds the tokens of those that have ended."""

    def __init__(self):
        self.launched = []
        self.ended = set()
        self.broken = ""
        self.silent = False  # it launches, and no answer comes

    def launch(self, slot):
        if self.broken:
            raise BackendError(self.broken)
        if slot.token not in [known.token for known in self.launched]:
            self.launched.append(slot)
        if self.silent:
            raise UnansweredError("No answer came.")
        return f"task/{slot.token}"

    def status(self, slots):
        known = {slot.token for slot in self.launched} - self.ended
        return {slot.token: LaunchStatus(slot.token not in known, "killed") for slot in slots}

    def stop(self, slot):
        self.ended.add(slot.token)


def memory_folder():
    """A folder that needs no disk where there is one: these tests are about order, not durability."""
    fast = Path("/dev/shm")
    return tempfile.TemporaryDirectory(dir=fast if fast.is_dir() else None)


@pytest.fixture
def launcher():
    return FakeLauncher()


@pytest.fixture
def store():
    with memory_folder() as folder:
        store = SqliteStore(Path(folder) / "state.db")
        yield store
        store.close()
