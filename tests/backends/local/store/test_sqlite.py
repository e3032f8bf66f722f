from __future__ import annotations

import pytest

from matinee.backends.local.store import SqliteStore
from matinee.testing.store_contract import StoreContract


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        store = SqliteStore(tmp_path / "data" / "state.db")
        yield store
        store.close()
