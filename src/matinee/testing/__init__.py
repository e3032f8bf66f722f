"""Contract suites that every backend passes, for its tests to inherit; needs pytest.

class TestSqliteStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path): ...
"""
