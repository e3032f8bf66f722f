"""`matinee dev --data STAGE`: components run here, on the table and bucket that `deploy --data-only` made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pretending import Pretend

from matinee.access.tokens import list_tokens
from matinee.backends.local.dev_record import dev_lock, write_dev_record
from matinee.client.connect import open_stage
from matinee.client.core import Client
from matinee.client.host import LocalHost, open_client
from matinee.deploy import current_state
from matinee.deploy.cloud import Cloud
from matinee.deploy.pipeline import deploy
from matinee.deploy.plan import DeployOptions
from matinee.errors import ConflictError, NotFoundError
from matinee.operate import access, runs, status
from matinee.operate.dev import data_of
from matinee.ports import RunQuery
from matinee.project.load import load
from matinee.runs import Status

LOUD = """
    from matinee import batch, predictor, realtime, state
    hello = predictor("hello")

    @realtime
    def hello_again(name: str) -> str:
        return f"{name} {int(state.increment(name))}"

    @batch(cpu=0.25, memory_mb=512)
    def all(names: list[str]) -> list[str]:
        print("at work")
        return [hello(name=name) for name in names]
"""


@pytest.fixture(autouse=True)
def at_the_emulator(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATINEE_AWS_ENDPOINT", endpoint)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")


def test_what_runs_here_keeps_its_runs_and_files_on_aws(
    app: Callable[..., Path], cloud: Cloud, pretend: Pretend
) -> None:
    folder = app()
    (folder / "count.py").write_text("\n".join(line[4:] for line in LOUD.splitlines()))
    deploy(folder, DeployOptions(data_only=True), pretend.tools)
    project = load(folder)
    with LocalHost(project, place=data_of(project, "dev")) as host:
        release = host.reload(project)
        client = Client(host.backend, host.settings, "ada", owner=True)
        assert client.result(client.predict("hello", {"name": "Ada"})) == "Hello Ada"
        assert client.result(client.predict("hello_again", {"name": "Ada"})) == "Ada 1", "state is the stage's"
        long = client.predict("hello", {"name": "A" * 9000})  # too long for the table: a file
        run = client.wait(client.submit("all", {"names": ["Ada", "Bob"]}).id, timeout_s=60)
        assert (run.status, client.result(run)) == (Status.SUCCEEDED, ["Hello Ada", "Hello Bob"])
        assert "at work" in [line.message for line in client.logs(run.id)], "logs are kept here"
    there = current_state.no_release(cloud)
    assert there.store.run(run.id).status is Status.SUCCEEDED
    assert there.store.release().components == release.components
    stage = open_stage(project, "dev")
    assert stage.run(run.id).status is Status.SUCCEEDED, "and --stage reads them"
    stage.close()
    assert list(there.files.list(f"results/{long.id}")) == [f"results/{long.id}/1.json"]
    assert not (project.data / "state.db").exists()
    done = deploy(folder, DeployOptions(tries=False), pretend.tools)
    assert done.release == release.number + 1, "the app is deployed over it, and its runs are still there"
    assert there.store.run(run.id) is not None


def test_a_command_beside_it_reaches_the_same_data(app: Callable[..., Path], cloud: Cloud, pretend: Pretend) -> None:
    folder = app()
    deploy(folder, DeployOptions(data_only=True), pretend.tools)
    project = load(folder)
    place = data_of(project, "dev")
    with dev_lock(project.data), LocalHost(project, place=place) as host:
        host.reload(project)
        write_dev_record(project.data, host.dev_record())
        with open_client(project) as client:
            run = client.predict("hello", {"name": "Ada"})
    assert current_state.no_release(cloud).store.run(run.id).status is Status.SUCCEEDED


def test_every_command_beside_it_reads_the_stage(app: Callable[..., Path], cloud: Cloud, pretend: Pretend) -> None:
    folder = app()
    deploy(folder, DeployOptions(data_only=True), pretend.tools)
    project = load(folder)
    place = data_of(project, "dev")
    with dev_lock(project.data), LocalHost(project, place=place) as host:
        host.reload(project)
        write_dev_record(project.data, host.dev_record())
        with open_client(project) as client:
            run = client.predict("hello", {"name": "Ada"})
        assert [row.id for row in runs.list_runs(folder, RunQuery())] == [run.id]
        assert runs.show(folder, run.id).run.id == run.id
        access.create_token(folder, "ci")
        assert status.status_of(folder).release == host.backend.store.release().number
    (stored,) = list_tokens(current_state.no_release(cloud).store)
    assert stored.person.name == "ci", "tokens are the stage's too"
    assert not (project.data / "state.db").exists(), "nothing was made in the folder"
    assert runs.list_runs(folder, RunQuery()) == (), "without the dev the folder's own are read"


def test_where_there_is_no_data_or_an_app_it_is_said(app: Callable[..., Path], cloud: Cloud, pretend: Pretend) -> None:
    folder = app()
    project = load(folder)
    with pytest.raises(NotFoundError) as missing:
        data_of(project, "dev")
    assert missing.value.hint == "Make them: matinee deploy --stage dev --data-only"
    deploy(folder, DeployOptions(), pretend.tools)
    with pytest.raises(ConflictError, match="The app is deployed on dev: what runs here would be live in its place"):
        data_of(project, "dev")
