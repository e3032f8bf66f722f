"""Named users at the running server: in by their own password, out when it changes or they are removed."""

from __future__ import annotations

import pytest

from matinee.access.people import Users
from matinee.backends.local.store import SqliteStore
from matinee.testing.harness import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def users(tmp_path):
    store = SqliteStore(tmp_path / "state.db")
    yield Users(store)
    store.close()


def test_a_change_of_password_or_a_removal_signs_out_within_seconds(start, users):
    for name in ("ada", "ben"):
        users.add(name, "correct horse")
    server = start({"mode": "users"})
    with server.signed_in("Ada", "correct horse") as ada, server.signed_in("ben", "correct horse") as ben:
        assert server.sign_in(server.browser(), "ada", "of ben's").status_code == 401
        assert server.sign_in(server.browser(), "nobody", "correct horse").status_code == 401
        assert (ada.get("/").status_code, ben.get("/").status_code) == (200, 200)
        users.change_password("ada", "battery staple")
        wait_until(lambda: ada.get("/").status_code == 401)
        assert not server.opens_websocket(ada)
        assert ben.get("/").status_code == 200
        users.remove("ben")
        wait_until(lambda: ben.get("/").status_code == 401)
        assert server.sign_in(ada, "ada", "battery staple").status_code == 303
