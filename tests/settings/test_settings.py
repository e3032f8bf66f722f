"""What a process is told by its environment: written and read by the same module, and refused when it is not known."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from matinee import settings as matinee_settings
from matinee.errors import UsageError
from matinee.settings import AwsSettings, LaunchSettings, Settings, UiSettings, secret_paths, ships_output

SOURCE = Path(matinee_settings.__file__).parent
WHOLE = Settings(
    backend="aws",
    app="activity",
    data=Path("/data"),
    lambda_endpoint="http://127.0.0.1:1",
    lambda_secret="of this start",
    function_prefix="matinee-activity-dev-",
    component="one",
    source=Path("/app/one.py"),
    manifest=Path("/app/manifest.json"),
    predictor="plan",
    slot_token="token",
    slot_number=2,
    lifeline_fd=7,
    logs="folder",
    store="local",
    files="local",
    invoker="local",
    launcher="aws",
)


@pytest.mark.parametrize("settings", [Settings(), WHOLE], ids=["nothing is set", "all is set"])
def test_settings_are_read_as_they_were_written(settings):
    assert Settings.from_environment(settings.environment()) == settings


def test_every_field_is_carried_by_a_variable_of_its_name():
    assert set(WHOLE.environment()) == {f"MATINEE_{name.upper()}" for name in WHOLE._fields}


def test_an_empty_environment_means_the_data_of_this_folder():
    assert Settings.from_environment({}) == Settings(backend="local", data=Path(".matinee"))


@pytest.mark.parametrize(
    ("name", "value", "reader", "way_out"),
    [
        ("MATINEE_BACKEND", "postgres", Settings.from_environment, "local or aws"),
        ("MATINEE_BACKEND", "AWS", Settings.from_environment, "local or aws"),
        ("MATINEE_BACKEND", "postgres", ships_output, "local or aws"),
        ("MATINEE_LOGS", "disk", Settings.from_environment, "folder"),
        ("MATINEE_SLOT_NUMBER", "one", Settings.from_environment, "MATINEE_SLOT_NUMBER=1"),
        ("MATINEE_LIFELINE_FD", "x", Settings.from_environment, "MATINEE_LIFELINE_FD=1"),
        ("MATINEE_SPOT", "no", LaunchSettings.from_environment, "0 or 1"),
        ("MATINEE_HTTPS", "yes", UiSettings.from_environment, "0 or 1"),
        ("MATINEE_BEHIND_CLOUDFRONT", "true", UiSettings.from_environment, "0 or 1"),
        ("MATINEE_SECRETS", "KEY", secret_paths, "Deploy"),
    ],
)
def test_a_value_that_is_not_known_is_refused_in_words(name, value, reader, way_out):
    with pytest.raises(UsageError) as caught:
        reader({name: value})
    assert name in caught.value.message
    assert value in caught.value.message
    assert way_out in caught.value.hint


def test_settings_of_a_backend_that_there_is_not_cannot_be_made():
    with pytest.raises(UsageError, match="'postgres'"):
        Settings(backend="postgres")


def test_aws_settings_and_launch_settings_are_read_as_they_were_written():
    aws = AwsSettings("table", "bucket", "eu-central-1", "http://127.0.0.1:1")
    assert AwsSettings.from_environment(aws.environment()) == aws
    launch = LaunchSettings("app", ("subnet-a", "subnet-b"), ("sg-1",), "queue", spot=False)
    assert LaunchSettings.from_environment(launch.environment()) == launch


def test_the_ui_reads_what_its_task_is_told():
    told = matinee_settings.ui_environment("10.0.0.0/16", https=True, behind_cloudfront=True)
    assert UiSettings.from_environment(told) == UiSettings(True, True, "10.0.0.0/16")
    nothing = matinee_settings.ui_environment("", https=False, behind_cloudfront=False)
    assert UiSettings.from_environment(nothing) == UiSettings()


def test_a_function_finds_its_secrets_where_its_template_says():
    paths = {"KEY": "/matinee/app/dev/KEY", "OTHER": "/matinee/app/dev/OTHER"}
    assert secret_paths(matinee_settings.secrets_environment(paths)) == paths
    assert secret_paths(matinee_settings.secrets_environment({})) == {}


@pytest.mark.parametrize(
    ("environ", "is_shipped"),
    [
        ({}, False),
        ({"MATINEE_BACKEND": "local", "MATINEE_STORE": "aws"}, False),  # `dev --data STAGE`
        ({"MATINEE_BACKEND": "aws"}, True),
        ({"MATINEE_BACKEND": "aws", "MATINEE_LOGS": "folder"}, False),
    ],
)
def test_output_is_shipped_on_aws_alone(environ, is_shipped):
    assert ships_output(environ) is is_shipped


def documents(tree: ast.AST) -> set[int]:
    """Return the docstrings: they are for people."""
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    bodies = [node.body for node in ast.walk(tree) if isinstance(node, owners) and node.body]
    return {id(body[0].value) for body in bodies if isinstance(body[0], ast.Expr)}


def spelled(file: Path) -> Iterator[str]:
    """Yield the places of a file that spell a variable's name."""
    tree = ast.parse(file.read_text())
    texts = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    for text in texts:
        if matinee_settings.PREFIX in str(text.value) and id(text) not in documents(tree):
            yield f"{file.relative_to(SOURCE)}:{text.lineno}"


def test_nobody_else_spells_the_name_of_a_variable():
    files = [file for file in SOURCE.rglob("*.py") if file != SOURCE / "settings.py"]
    assert [place for file in files for place in spelled(file)] == []


def test_every_variable_is_read_by_somebody():
    names = {
        name for name, value in vars(matinee_settings).items() if name.isupper() and str(value).startswith("MATINEE_")
    }
    nodes = [node for file in SOURCE.rglob("*.py") for node in ast.walk(ast.parse(file.read_text()))]
    read = {getattr(n, "id", getattr(n, "attr", "")) for n in nodes if isinstance(getattr(n, "ctx", None), ast.Load)}
    assert names - read == set()
