from __future__ import annotations

from matinee.testing.files_contract import FilesContract


class TestS3Files(FilesContract):
    """On MiniStack; the fixture is in conftest."""
