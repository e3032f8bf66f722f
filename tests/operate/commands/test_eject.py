"""What is ejected stands by itself: templates, Dockerfiles and a README that says what to do with them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from matinee.errors import ComponentError, ProjectError, UsageError
from matinee.names import NETWORK_STACK
from matinee.operate.eject import eject
from matinee.stack.templates import network_template

STACKS = (NETWORK_STACK, "matinee-tiny-dev-data", "matinee-tiny-dev", "matinee-tiny-dev-edge")


def test_the_templates_of_a_stage_are_written_in_the_order_they_are_made(greeting_app, tmp_path):
    made = eject(greeting_app, tmp_path / "out", "dev", images=False)
    assert made.stacks == (*(f"{name}.json" for name in STACKS), "README.md")
    assert json.loads((tmp_path / "out" / f"{NETWORK_STACK}.json").read_text()) == network_template()
    app = json.loads((tmp_path / "out" / "matinee-tiny-dev.json").read_text())
    assert {"FunctionGreet", "DefinitionGreetAll", "UiService"} <= app["Resources"].keys()


def test_the_same_app_gives_the_same_files(greeting_app, tmp_path):
    for name in ("one", "two"):
        eject(greeting_app, tmp_path / name, "dev", images=False)
    one, two = ({f.name: f.read_bytes() for f in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two


def test_the_readme_names_every_stack_with_what_it_is_told(greeting_app, tmp_path):
    eject(greeting_app, tmp_path, "dev", images=False, force=True)
    text = (tmp_path / "README.md").read_text()
    places = [text.index(f"--stack-name {name} ") for name in STACKS]
    assert places == sorted(places)
    for name in STACKS:
        for parameter in json.loads((tmp_path / f"{name}.json").read_text())["Parameters"]:
            assert f"| `{parameter}` |" in text


def test_a_stage_has_its_own_settings(write_app, greeting_app, tmp_path):
    with (greeting_app / "matinee.toml").open("a") as toml:
        toml.write('[stages.prod.aws]\nedge = "alb"\n[stages.prod.predictors.greet]\nmemory_mb = 1024\n')
    made = eject(greeting_app, tmp_path / "out", "prod", images=False)
    assert "matinee-tiny-prod-edge.json" not in made.stacks
    app = json.loads((tmp_path / "out" / "matinee-tiny-prod.json").read_text())
    assert app["Resources"]["FunctionGreet"]["Properties"]["MemorySize"] == 1024


def test_a_folder_with_files_of_its_own_is_left_alone_and_one_of_ours_is_renewed(greeting_app, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="has files of its own"):
        eject(greeting_app, tmp_path, "dev", images=False)
    assert [file.name for file in tmp_path.glob("*.json")] == []
    eject(greeting_app, tmp_path, "dev", images=False, force=True)
    eject(greeting_app, tmp_path, "dev", images=False)
    assert (tmp_path / "mine.txt").read_text() == "mine"
    with pytest.raises(UsageError, match="is a file"):
        eject(greeting_app, tmp_path / "mine.txt", "dev", images=False)


def test_a_component_that_does_not_load_is_told_and_nothing_is_written(write_app, tmp_path):
    source = "from matinee import realtime\n@realtime\ndef work() -> int: return 1\nraise OSError('no')\n"
    app = write_app(broken=source)
    with pytest.raises(ComponentError, match=r"broken: .*no"):
        eject(app, tmp_path / "out", "dev", images=False)
    assert not (tmp_path / "out").exists()


def test_a_size_that_aws_has_not_is_told_and_nothing_is_written(greeting_app, tmp_path):
    with (greeting_app / "matinee.toml").open("a") as toml:
        toml.write("[predictors.greet_all]\nmemory_mb = 3000\n")
    with pytest.raises(ProjectError, match="Fargate has no such size"):
        eject(greeting_app, tmp_path / "out", "dev", images=False)
    assert not (tmp_path / "out").exists()


def test_a_command_that_writes_templates_loads_neither_boto3_nor_what_images_need(greeting_app, tmp_path):
    code = (
        "import sys; from pathlib import Path; from matinee.operate.eject import eject\n"
        f"eject(Path({str(greeting_app)!r}), Path({str(tmp_path / 'out')!r}), 'dev', images=False)\n"
        "print(*sys.modules.keys() & {'boto3', 'botocore', 'pydantic', 'streamlit', 'matinee.images', 'yaml'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == []
