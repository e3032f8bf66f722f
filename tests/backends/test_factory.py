"""One factory opens every port by the settings, each port by its own choice; nothing loads before it is opened."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import matinee
from matinee.backends import factory
from matinee.backends.local.store import SqliteStore
from matinee.client.core import Client
from matinee.client.host import LocalHost
from matinee.errors import UsageError
from matinee.lambda_api.invoker import LambdaInvoker
from matinee.project.load import load
from matinee.settings import Settings

SOURCE = Path(matinee.__file__).parent
# A backend of somebody's own, of one port: it keeps runs somewhere else.
OWN = """
from matinee.backends.local.store import SqliteStore
from matinee.client.core import Client
from matinee.client.host import LocalHost

TRAITS = {"release_age_s": 9.0, "how_to_start": "Start the server."}


class ServerStore(SqliteStore):
    pass


def open_store(settings):
    return ServerStore(settings.data / "server.db")
"""


@pytest.fixture
def postgres(tmp_path, monkeypatch):
    """A package of a further backend, registered by its one line."""
    (tmp_path / "own_backend.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(factory.PACKAGES, "postgres", "own_backend")
    yield "postgres"
    sys.modules.pop("own_backend", None)


def test_a_further_store_is_a_package_and_a_line(postgres, tmp_path):
    settings = Settings.from_environment({"MATINEE_DATA": str(tmp_path), "MATINEE_STORE": postgres})
    backend = factory.open_backend(settings)
    try:
        assert type(backend.store).__name__ == "ServerStore"
        backend.store.put_document("kind", "key", {"a": 1})
        assert backend.store.document("kind", "key") == {"a": 1}
        assert (tmp_path / "server.db").exists()
        assert not (tmp_path / "state.db").exists()
        assert backend.traits.release_age_s == 9.0
        assert backend.traits.how_to_start == "Start the server."
        assert backend.files.put("one", b"bytes") == 5
        assert (tmp_path / "files").exists()
        assert isinstance(backend.invoker, LambdaInvoker)
    finally:
        backend.store.close()


def test_a_child_process_is_told_of_the_same_store(postgres, tmp_path):
    settings = Settings(data=tmp_path, store=postgres)
    assert Settings.from_environment(settings.environment()).store == postgres


def test_an_app_that_is_hosted_here_keeps_its_runs_there(postgres, tmp_path, monkeypatch):
    monkeypatch.setenv("MATINEE_STORE", postgres)
    (tmp_path / "greet.py").write_text(
        "from matinee import realtime\n\n\n@realtime\ndef greet(name: str) -> str:\n    return name\n"
    )
    with LocalHost(load(tmp_path / "greet.py")) as host:
        host.reload(host.project)
        client = Client(host.backend, host.settings, owner=True)
        run = client.predict("greet", {"name": "Ada"})
        assert type(host.backend.store).__name__ == "ServerStore"
        assert host.backend.store.run(run.id).result == "Ada"
        assert not (host.settings.data / "state.db").exists()


def test_a_port_that_a_backend_has_not_is_refused_in_words(postgres, tmp_path):
    with pytest.raises(UsageError, match="The backend postgres has no launcher") as caught:
        factory.open_launcher(Settings(data=tmp_path, launcher=postgres))
    assert "MATINEE_LAUNCHER" in caught.value.hint


@pytest.mark.parametrize(
    ("port", "opened"),
    [
        ("store", factory.open_store),
        ("files", factory.open_files),
        ("invoker", factory.open_invoker),
        ("launcher", factory.open_launcher),
    ],
)
def test_a_backend_that_there_is_not_is_refused_in_words(port, opened, tmp_path):
    with pytest.raises(UsageError, match=f"MATINEE_{port.upper()} is 'oracle': there is no such backend") as caught:
        opened(Settings(data=tmp_path, **{port: "oracle"}))
    assert "local or aws" in caught.value.hint


def test_each_port_is_chosen_apart(tmp_path):
    """Runs on AWS, files and logs here."""
    code = """
from matinee.backends.factory import open_backend
from matinee.settings import Settings
backend = open_backend(Settings.from_environment())
print(*(type(port).__module__ for port in (backend.store, backend.files, backend.logs)))
print(backend.traits.release_age_s)
"""
    told = {"MATINEE_STORE": "aws", "MATINEE_TABLE": "app", "MATINEE_BUCKET": "app", "MATINEE_DATA": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **told}, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == [
        "matinee.backends.aws.store",
        "matinee.backends.local.files",
        "matinee.backends.local.logs",
        "5.0",
    ]


def test_the_launcher_of_this_machine_needs_to_know_commands(tmp_path):
    with pytest.raises(UsageError, match="matinee dev"):
        factory.open_launcher(Settings(data=tmp_path))


def test_importing_the_factory_loads_no_backend():
    code = "import json, sys, matinee.backends.factory; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = json.loads(done.stdout)
    strangers = ("sqlite3", "boto3", "botocore", "matinee.backends.aws", "matinee.backends.local", "matinee.lambda_api")
    assert [name for name in loaded if name.startswith(strangers)] == []


def test_the_local_store_is_the_default(tmp_path):
    store = factory.open_store(Settings(data=tmp_path))
    assert isinstance(store, SqliteStore)
    store.close()


def branches(file: Path) -> list[str]:
    """Return the comparisons of a file with the name of a backend."""
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Compare):
            names = [part.value for part in (node.left, *node.comparators) if isinstance(part, ast.Constant)]
            if {"aws", "local"} & set(names):
                found.append(f"{file.relative_to(SOURCE)}:{node.lineno}")
    return found


def test_nobody_else_asks_which_backend_it_is():
    places = {"settings.py", "backends/factory.py", "cli/deploy.py"}  # the last: where images are built
    files = [file for file in SOURCE.rglob("*.py") if file.relative_to(SOURCE).as_posix() not in places]
    assert [place for file in files for place in branches(file)] == []
