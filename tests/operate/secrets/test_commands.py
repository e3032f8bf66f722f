"""`matinee secret` as its user meets it: values come in unseen and never come out."""

from __future__ import annotations

import io
import os
import pty
import stat
import subprocess
import sys
import termios
from pathlib import Path
from unittest import mock

import boto3
import pytest
from botocore.stub import ANY, Stubber
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from matinee import secrets
from matinee.backends.aws.session import Session
from matinee.cli.main import run
from matinee.errors import BackendError, UsageError
from matinee.names import Names
from matinee.operate import access
from matinee.rehearsal.world import ACCOUNT, REGION
from matinee.settings import AwsSettings
from matinee.testing.harness import wait_until

VALUE = "hunter2-ü"


@pytest.fixture
def app(tmp_path, monkeypatch):
    (tmp_path / "matinee.toml").write_text('name = "vault"\n')
    (tmp_path / "ask.py").write_text("from matinee import realtime\n\n@realtime\ndef ask() -> int:\n    return 1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def said(capsys, monkeypatch):
    """Return a function that runs a command with a standard input: its exit code, stdout and stderr."""

    def command(*words, typed=VALUE):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed.encode())))
        code = run(["secret", *words])
        out, err = capsys.readouterr()
        return code, out, err

    return command


def test_what_predictors_declare_is_listed_before_anything_was_started(app, said):
    source = app / "ask.py"
    source.write_text(source.read_text().replace("@realtime", "@realtime(secrets=['API_KEY'])"))
    assert access.list_secrets(app) == (access.Secret("API_KEY", is_set=False, used_by=("ask",)),)
    assert said("set", "API_KEY")[0] == 0
    assert access.list_secrets(app) == (access.Secret("API_KEY", is_set=True, used_by=("ask",)),)


def test_set_list_and_remove_in_the_file(app, said):
    (app / ".env").write_text('# kept\nOTHER="o" # too\nAPI_KEY=old\n\nexport LAST=l')
    code, out, err = said("set", "API_KEY")
    assert (code, out) == (0, "")
    assert f"API_KEY is set in {app}/.env." in err.replace("\n", "")
    assert (app / ".env").read_text() == f"# kept\nOTHER=\"o\" # too\nAPI_KEY='{VALUE}'\n\nexport LAST=l"
    assert said("set", "NEW")[0] == 0
    assert secrets.read(app) == {"OTHER": "o", "API_KEY": VALUE, "LAST": "l", "NEW": VALUE}
    _, out, _ = said("list")
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [
        [n, "yes"] for n in ("API_KEY", "LAST", "NEW", "OTHER")
    ]
    assert VALUE not in out
    assert said("remove", "NEW")[0] == 0
    assert said("remove", "NEW")[2].startswith("error: There is no secret NEW in .env.")


def test_the_file_is_for_its_owner_s_eyes_alone(app, said):
    said("set", "API_KEY")
    assert stat.S_IMODE((app / ".env").stat().st_mode) == 0o600


@pytest.mark.parametrize("words", [("API_KEY", VALUE), (f"API_KEY={VALUE}",), (f"API_KEY={VALUE}", "--stage", "dev")])
def test_a_value_on_the_command_line_is_refused_and_not_repeated(app, said, words):
    code, out, err = said("set", *words)
    assert code == 2
    assert "not given on the command line: the shell would remember it" in err
    assert VALUE not in out + err
    assert not (app / ".env").exists()


@pytest.mark.parametrize(
    ("words", "typed", "says"),
    [
        (("set", "API_KEY"), "\n", "The secret's value is empty."),
        (("set", "API_KEY"), "a\0b", "has a zero byte"),
        (("set", "2fast"), VALUE, "A secret cannot be called that."),
        (("set", "MATINEE_PASSWORD"), VALUE, "is read from `.env` by nobody"),
        (("set", "API_KEY", "--stage", "Prod!"), VALUE, "There can be no stage 'Prod!'"),
        (("set", "API_KEY", "--stage", "prod"), "x" * 4097, "is 4,097 bytes: SSM takes 4,096"),
    ],
)
def test_bad_input_is_one_sentence_and_changes_nothing(app, said, words, typed, says):
    code, _, err = said(*words, typed=typed)
    assert code == 2
    assert says in " ".join(err.split())
    assert not (app / ".env").exists()


def test_a_file_that_git_would_commit_is_told(app, said):
    assert "ignore" not in said("set", "API_KEY")[2], "there is no repository"
    subprocess.run(["git", "init", "--quiet"], cwd=app, check=True)
    assert "git does not ignore .env" in said("set", "API_KEY")[2]
    (app / ".gitignore").write_text(".env\n")
    assert "ignore" not in said("set", "API_KEY")[2]


def test_a_new_app_keeps_its_secrets_out_of_git():
    from matinee.operate.new import TEMPLATE

    assert ".env" in (TEMPLATE / "gitignore.template").read_text().splitlines()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1), min_size=1, max_size=4))
def test_any_text_comes_back_as_it_was_set(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("app")
    (folder / "matinee.toml").write_text('name = "vault"\ncomponents = ["ask.py"]\n')
    (folder / "ask.py").write_text("from matinee import realtime\n\n@realtime\ndef ask() -> int:\n    return 1\n")
    with mock.patch.object(access, "_is_ignored", return_value=None):  # git takes longer than all the rest
        for number, value in enumerate(values):
            access.set_secret(folder, f"K{number}", value)
    assert secrets.read(folder) == {f"K{number}": value for number, value in enumerate(values)}


def test_a_file_with_a_line_nobody_understands_is_left_as_it_is(app, said):
    (app / ".env").write_text("A='never ends\n")
    code, _, err = said("set", "B")
    assert (code, "has a line that cannot be read" in err) == (2, True)
    assert (app / ".env").read_text() == "A='never ends\n"


def test_at_a_terminal_the_value_is_asked_for_and_not_shown(app):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "matinee.cli.main", "secret", "set", "API_KEY"]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=app, start_new_session=True
    ) as process:
        os.close(theirs)
        shown = b""
        while b"(hidden)" not in shown:
            shown += os.read(ours, 1000)
        wait_until(lambda: not termios.tcgetattr(ours)[3] & termios.ECHO, what="a terminal that shows nothing")
        os.write(ours, f"{VALUE}\n".encode())
        try:
            while more := os.read(ours, 1000):
                shown += more
        except OSError:  # the other end is closed
            pass
        assert process.wait(20) == 0
    os.close(ours)
    assert VALUE.encode() not in shown
    assert secrets.read(app) == {"API_KEY": VALUE}


# --- of a stage -----------------------------------------------------------------------------------------------------


@pytest.fixture
def on_ministack(app, endpoint, monkeypatch):
    told = {"AWS_ACCESS_KEY_ID": ACCOUNT, "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": REGION}
    for name, value in (told | {"MATINEE_AWS_ENDPOINT": endpoint}).items():
        monkeypatch.setenv(name, value)


def test_a_stage_s_secrets_are_in_ssm_encrypted_tagged_and_apart_from_other_stages(app, said, ssm, on_ministack):
    for typed in ("first", VALUE):
        code, out, err = said("set", "API_KEY", "--stage", "prod", typed=typed)
        assert (code, out) == (0, "")
        assert "API_KEY is set in /matinee/vault/prod/API_KEY." in err
    kept = ssm.get_parameter(Name="/matinee/vault/prod/API_KEY", WithDecryption=True)["Parameter"]
    assert (kept["Value"], kept["Type"], kept["Version"]) == (VALUE, "SecureString", 2)
    tags = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId="/matinee/vault/prod/API_KEY")["TagList"]
    assert {(tag["Key"], tag["Value"]) for tag in tags} == {("matinee:app", "vault"), ("matinee:stage", "prod")}
    _, out, _ = said("list", "--stage", "prod")
    assert out.splitlines()[1].split()[0] == "API_KEY"
    assert VALUE not in out
    assert said("list", "--stage", "dev")[1] == ""
    assert said("remove", "API_KEY", "--stage", "prod")[0] == 0
    code, _, err = said("remove", "API_KEY", "--stage", "prod")
    assert (code, "There is no secret API_KEY in the stage prod." in err) == (2, True)


def test_a_changed_password_comes_with_the_command_that_has_the_ui_take_it(app, said, ssm, on_ministack):
    assert "replaced by" not in said("set", "API_KEY", "--stage", "dev")[2]
    code, _, err = said("set", "MATINEE_PASSWORD", "--stage", "dev")
    command = "aws ecs update-service --cluster matinee-vault-dev --service ui --force-new-deployment"
    assert (code, command in " ".join(err.split())) == (0, True)


def test_a_password_that_is_in_secrets_manager_is_put_there_once_the_stack_has_made_it(
    app, said, on_ministack, endpoint
):
    (app / "matinee.toml").write_text('name = "vault"\n[aws]\npassword_in = "secrets-manager"\n')
    code, _, err = said("set", "MATINEE_PASSWORD", "--stage", "dev")
    told = " ".join(err.split())
    assert (code, "The first deployment makes matinee/vault/dev/MATINEE_PASSWORD in Secrets Manager." in told) == (
        2,
        True,
    )
    manager = boto3.client("secretsmanager", endpoint_url=endpoint, region_name=REGION)
    manager.create_secret(Name="matinee/vault/dev/MATINEE_PASSWORD", SecretString="random")
    assert said("set", "MATINEE_PASSWORD", "--stage", "dev")[0] == 0
    assert manager.get_secret_value(SecretId="matinee/vault/dev/MATINEE_PASSWORD")["SecretString"] == VALUE


@pytest.fixture
def stubbed():
    session = Session(AwsSettings(region=REGION))
    client = boto3.client("ssm", region_name=REGION, aws_access_key_id="a", aws_secret_access_key="b")
    session._clients["ssm"] = client
    with Stubber(client) as stubber:
        yield session, stubber


@pytest.mark.parametrize(
    ("code", "message", "says"),
    [
        (
            "AccessDeniedException",
            "User: arn:aws:iam::1:user/ada is not authorized to perform: ssm:PutParameter on resource: arn:aws:ssm:x",
            "API_KEY may not be used: ssm:PutParameter is not allowed. Allow ssm:PutParameter on arn:aws:ssm:x.",
        ),
        ("UnrecognizedClientException", "The security token is invalid.", "AWS does not accept the credentials"),
        ("TooManyUpdates", "There are concurrent updates.", "refused ssm:PutParameter"),
    ],
)
def test_what_aws_refuses_is_said_without_the_value(stubbed, code, message, says):
    session, stubber = stubbed
    told = {"Name": "/matinee/vault/prod/API_KEY", "Value": VALUE, "Type": "SecureString", "Tags": ANY}
    stubber.add_client_error("put_parameter", code, message, expected_params=told)
    with pytest.raises(BackendError) as error:
        access._put(session, Names("vault", "prod"), "API_KEY", VALUE)
    assert says in str(error.value)
    assert VALUE not in str(error.value)


def test_bytes_that_are_no_text_are_refused(app):
    command = [sys.executable, "-m", "matinee.cli.main", "secret", "set", "API_KEY"]
    done = subprocess.run(command, input=b"\xff\xfe", cwd=app, capture_output=True, check=False)
    assert (done.returncode, b"no UTF-8 text" in done.stderr) == (2, True)


def test_a_folder_nobody_may_write_to_is_told(app, said, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(access.os, "open", refuse)
    with pytest.raises(UsageError, match=r"\.env cannot be written: Permission denied"):
        access.set_secret(Path(), "API_KEY", VALUE)
