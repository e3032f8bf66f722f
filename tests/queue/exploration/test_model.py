"""The model of the store keeps the store's own contract: what the exploration finds is true of the stores."""

from __future__ import annotations

import pytest
from exploring.model_store import ModelStore

from matinee.testing.store_contract import StoreContract


class TestTheModel(StoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        store = ModelStore(tmp_path / "state.db")
        yield store
        store.close()
