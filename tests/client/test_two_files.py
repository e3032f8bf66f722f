"""An app is the resolved path of its matinee.toml or of its single file: two files in one folder are two apps."""

from __future__ import annotations

import shutil

import pytest

import matinee
from matinee.backends.local.dev_record import dev_lock, running_dev, write_dev_record
from matinee.client.host import LocalHost, adopt_data
from matinee.errors import MatineeError
from matinee.operate.runs import list_runs
from matinee.ports import RunQuery
from matinee.project.load import load

SOURCE = "from matinee import realtime\n\n@realtime\ndef which() -> str:\n    return {!r}\n"


@pytest.fixture
def folder(tmp_path):
    for name in ("v1", "v2"):
        (tmp_path / f"{name}.py").write_text(SOURCE.format(name))
    return tmp_path


@pytest.fixture
def dev_of_v1(folder):
    """What `matinee dev v1.py` is to others on this machine."""
    project = load(folder / "v1.py")
    with dev_lock(project.data), LocalHost(project) as host:
        host.reload(project)
        write_dev_record(project.data, host.dev_record())
        yield project


def test_another_file_beside_a_running_dev_answers_itself(folder, dev_of_v1):
    for name in ("v2", "v1"):
        with matinee.connect(folder / f"{name}.py") as app:
            assert app.which() == name
    assert len(list_runs(folder / "v1.py", RunQuery())) == 1
    assert len(list_runs(folder / "v2.py", RunQuery())) == 1


def test_a_dev_is_found_by_every_path_of_its_file_and_by_no_other_file(folder, dev_of_v1, tmp_path, monkeypatch):
    (folder / "link.py").symlink_to(folder / "v1.py")
    monkeypatch.chdir(folder)
    for path in ("v1.py", "./v1.py", "link.py", folder / "v1.py", f"../{folder.name}/v1.py"):
        assert running_dev(load(path).data) is not None, path
    assert running_dev(load("v2.py").data) is None


def test_a_file_is_another_app_than_the_folder_it_belongs_to(folder):
    (folder / "matinee.toml").write_text('name = "whole"\n')
    whole, file = load(folder), load(folder / "v1.py")
    assert load(folder / "matinee.toml").data == whole.data == folder / ".matinee"
    assert len({whole.data, file.data, load(folder / "v2.py").data}) == 3


# --- what an older Matinee left ---------------------------------------------------------------------------------------


@pytest.fixture
def shared(folder):
    """The data of v2.py where its folder's files shared it."""
    with matinee.connect(folder / "v2.py") as app:
        assert app.which() == "v2"
    own = load(folder / "v2.py").data
    for path in own.iterdir():
        shutil.move(path, folder / ".matinee" / path.name)
    own.rmdir()
    return folder / ".matinee"


def test_the_history_of_a_file_moves_into_its_own_folder(folder, shared):
    assert [run.predictor for run in list_runs(folder / "v2.py", RunQuery())] == ["which"]
    assert (shared / "v2.py" / "state.db").exists()
    assert not (shared / "state.db").exists()


def test_another_file_does_not_take_it(folder, shared):
    assert list_runs(folder / "v1.py", RunQuery()) == ()
    assert len(list_runs(folder / "v2.py", RunQuery())) == 1


def test_an_app_s_data_stays_its_own(folder, shared):
    (folder / "matinee.toml").write_text('name = "whole"\n')
    assert list_runs(folder / "v2.py", RunQuery()) == ()
    assert (shared / "state.db").exists()


def test_nothing_moves_while_a_dev_runs_on_it(folder, shared):
    import fcntl

    with (shared / "dev.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        adopt_data(load(folder / "v2.py"))
        assert (shared / "state.db").exists()


# --- idempotency keys -------------------------------------------------------------------------------------------------

BATCH = """
from matinee import File, batch, realtime

@batch
def echo(text: str, picture: File | None = None) -> str:
    return text

@realtime
def double(n: int) -> int:
    return 2 * n
"""
LARGE = b"\x00\x01" * 200_000


@pytest.fixture
def app(tmp_path):
    (tmp_path / "app.py").write_text(BATCH)
    with matinee.connect(tmp_path / "app.py") as app:
        yield app


def is_refused(submit):
    with pytest.raises(MatineeError, match="was used before with other inputs") as refused:
        submit()
    assert refused.value.hint == "Take a new key for a new request."


def test_a_key_with_other_inputs_is_refused_and_queues_nothing(app):
    first = app.echo.submit(idempotency_key="k", text="monday")
    assert app.echo.submit(idempotency_key="k", text="monday").id == first.id
    is_refused(lambda: app.echo.submit(idempotency_key="k", text="tuesday"))
    is_refused(lambda: app.client.submit("echo", {"text": "tuesday"}, idempotency_key="k"))
    assert [run.id for run in app.runs()] == [first.id]


def test_large_inputs_are_compared_by_what_they_are(app):
    first = app.echo.submit(idempotency_key="k", text="x" * 10_000, picture=matinee.File(LARGE, name="a.bin"))
    again = app.echo.submit(idempotency_key="k", text="x" * 10_000, picture=matinee.File(LARGE, name="a.bin"))
    assert again.id == first.id, "the same file, uploaded twice"
    other = matinee.File(LARGE[:-1], name="a.bin")
    is_refused(lambda: app.echo.submit(idempotency_key="k", text="x" * 10_000, picture=other))
    is_refused(lambda: app.echo.submit(idempotency_key="k", text="x" * 9_999 + "y"))


def test_of_many_runs_none_is_left_when_one_is_refused(app):
    rows = [{"text": "a"}, {"text": "b"}]
    first = app.client.submit_many("echo", rows, idempotency_key="k")
    assert [run.id for run in app.client.submit_many("echo", rows, idempotency_key="k")] == [run.id for run in first]
    is_refused(
        lambda: app.client.submit_many("echo", [{"text": "a"}, {"text": "c"}, {"text": "d"}], idempotency_key="k")
    )
    left = [handle.run for handle in app.runs() if handle.run.status.value != "cancelled"]
    assert sorted(run.id for run in left) == sorted(run.id for run in first)


def test_a_table_of_many_rows_is_compared_by_its_rows(app):
    first = app.double.submit_rows(b"n\n1\n2\n", idempotency_key="k")
    assert app.double.submit_rows(b"n\n1\n2\n", idempotency_key="k").id == first.id
    is_refused(lambda: app.double.submit_rows(b"n\n1\n3\n", idempotency_key="k"))
    is_refused(lambda: app.double.submit_rows(b"n\n1\n", idempotency_key="k"))
