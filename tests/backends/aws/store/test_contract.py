from __future__ import annotations

from matinee.testing.store_contract import StoreContract


class TestDynamoStore(StoreContract):
    """On DynamoDB Local and on MiniStack; the fixture is in conftest."""
