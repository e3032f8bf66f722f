"""Secrets on this machine: from `.env`, to the processes of the predictor that declared them, and nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import matinee
from matinee import secrets
from matinee.client.host import LocalHost, open_client
from matinee.environments.inspect import inspect_app
from matinee.errors import NotFoundError, ProjectError, UsageError
from matinee.project.load import load
from matinee.testing.harness import running_app, wait_until

VALUE = "s3cr€t-${HOME}-#-'q'"
WITH = """
    import os
    from matinee import batch, realtime

    @realtime(secrets=["API_KEY"])
    def ask() -> list[str]:
        return [os.environ.get("API_KEY", ""), os.environ.get("OTHER_KEY", "")]

    @realtime
    def beside() -> list[str]:
        return [os.environ.get("API_KEY", ""), os.environ.get("OTHER_KEY", "")]

    @batch(secrets=["OTHER_KEY"])
    def night() -> list[str]:
        return [os.environ.get("API_KEY", ""), os.environ.get("OTHER_KEY", "")]
"""
WITHOUT = """
    import os
    from matinee import realtime

    @realtime
    def free() -> list[str]:
        return [os.environ.get("API_KEY", ""), os.environ.get("OTHER_KEY", "")]
"""


@pytest.fixture
def app(write_app, monkeypatch):
    for name in ("API_KEY", "OTHER_KEY"):
        monkeypatch.delenv(name, raising=False)
    return write_app(paid=WITH, open=WITHOUT)


def keep(app: Path, **values: str) -> None:
    quoted = {name: value.replace("\\", "\\\\").replace("'", "\\'") for name, value in values.items()}
    (app / ".env").write_text("# mine\n" + "".join(f"export {name}='{value}'\n" for name, value in quoted.items()))


def everything_written(app: Path) -> bytes:
    return b"".join(path.read_bytes() for path in (app / ".matinee").rglob("*") if path.is_file())


def test_only_the_processes_of_the_predictor_that_declared_a_secret_have_it(app):
    keep(app, API_KEY=VALUE, OTHER_KEY="other")
    with matinee.connect(app) as connected:
        assert connected.ask() == [VALUE, ""]
        assert connected.beside() == ["", ""]
        assert connected.free() == ["", ""]
        assert connected.night() == ["", "other"]
    assert b"other" not in everything_written(app).replace(b'["","other"]', b""), "only the predictor itself told it"


def test_a_secret_changes_no_version_and_no_manifest(app):
    keep(app, API_KEY="one", OTHER_KEY="other")
    before = inspect_app(load(app))
    keep(app, API_KEY="two", OTHER_KEY="other")
    assert inspect_app(load(app)) == before


def test_a_missing_secret_is_told_with_its_predictor_its_name_and_where_to_put_it(app):
    keep(app, API_KEY=VALUE)
    with open_client(load(app)) as client:
        with pytest.raises(NotFoundError) as told:
            client.predictor("ask")
        assert client.predict("free", {}).result == ["", ""], "the other component keeps working"
    assert str(told.value) == (
        "There is no predictor 'ask' in tiny. It may be in a component that does not load. "
        "paid: night needs the secret OTHER_KEY, and it is not set. "
        "Write a line OTHER_KEY=… into .env beside the matinee.toml: matinee secret set OTHER_KEY"
    )


def test_without_the_file_a_variable_of_this_process_will_do_and_the_file_comes_first(tmp_path):
    of = secrets.of_predictor
    assert of("ask", ["A"], {}, {"A": "exported"}) == {"A": "exported"}
    assert of("ask", ["A"], {"A": "kept", "B": "more"}, {"A": "exported"}) == {"A": "kept"}
    with pytest.raises(UsageError, match="ask needs the secret A"):
        of("ask", ["A"], {"A": ""}, {})
    assert secrets.read(tmp_path) == {}


def test_a_file_that_cannot_be_read_is_told_without_a_traceback(tmp_path):
    (tmp_path / ".env").write_bytes(b"A=\xff\n")
    with pytest.raises(UsageError, match="no UTF-8 text"):
        secrets.read(tmp_path)
    (tmp_path / ".env").unlink()
    (tmp_path / ".env").mkdir()
    with pytest.raises(UsageError, match=r"\.env cannot be read"):
        secrets.read(tmp_path)


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ('["sk-live-1234"]', "ask declares the secret 'sk-live-1234', which is no name."),
        ('["AWS_SECRET_ACCESS_KEY"]', "ask declares the secret AWS_SECRET_ACCESS_KEY, which the platform sets itself."),
        ('["PATH"]', "ask declares the secret PATH, which the platform sets itself."),
    ],
)
def test_a_name_that_cannot_be_is_told_with_its_line(write_app, declared, says):
    trouble = inspect_app(load(write_app(paid=WITH.replace('["API_KEY"]', declared))))[0].manifest.trouble
    assert (trouble.message, trouble.line) == (says, 5)
    toml = f"[predictors.ask]\nsecrets = {declared}"
    with pytest.raises(ProjectError, match=r"matinee\.toml: ask declares the secret"):
        inspect_app(load(write_app(toml, paid=WITH)))


def test_a_secret_read_while_importing_is_told_where_to_read_it(write_app):
    source = """
        import os
        from matinee import realtime
        KEY = os.environ["API_KEY"]

        @realtime
        def ask() -> str:
            return KEY
    """
    trouble = inspect_app(load(write_app(paid=source)))[0].manifest.trouble
    assert trouble.message == "paid.py failed while it was imported: KeyError: 'API_KEY'."
    assert trouble.hint == (
        "A secret is there when its predictor runs: read os.environ['API_KEY'] inside the function that declares it."
    )
    assert trouble.line == 4


def test_what_is_told_of_a_process_when_something_fails_has_no_values(app):
    keep(app, API_KEY=VALUE, OTHER_KEY="other")
    with LocalHost(load(app)) as host:
        host.reload(load(app))
        assert host._functions["ask"].environment["API_KEY"] == VALUE
        assert VALUE not in repr(host._functions)


@pytest.mark.slow
def test_dev_takes_a_secret_as_soon_as_it_is_saved_and_the_ui_never_has_it(app):
    with running_app(app, "--port", "8830") as dev, matinee.connect(app) as connected:
        assert "error: paid: ask needs the secret API_KEY, and it is not set." in dev.text
        keep(app, API_KEY=VALUE, OTHER_KEY="other")
        wait_until(lambda: connected.client.release().predictor("ask"))
        assert connected.ask() == [VALUE, ""]
        wait_until(lambda: "v1 is live" in dev.text.partition("error")[2], what="the news")
        keep(app, API_KEY="new", OTHER_KEY="other")
        wait_until(lambda: connected.ask() == ["new", ""])
        environments = [path.read_bytes() for path in processes(b"matinee.ui.serve")]
        assert environments
        assert not any(b"API_KEY" in environment for environment in environments)
        assert VALUE not in dev.text


def processes(command: bytes) -> list[Path]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if command in (entry / "cmdline").read_bytes() and entry.stat().st_uid == os.getuid():
                found.append(entry / "environ")
        except OSError:
            continue
    return found
