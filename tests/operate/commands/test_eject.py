"""What is ejected stands by itself: templates, Dockerfiles and a README that says what to do with them."""

from __future__ import annotations

import json
import os
import re
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
    assert made.stacks == (*(f"{name}.json" for name in STACKS), "release.json", "release.py", "README.md")
    assert json.loads((tmp_path / "out" / f"{NETWORK_STACK}.json").read_text()) == network_template()
    app = json.loads((tmp_path / "out" / "matinee-tiny-dev.json").read_text())
    assert {"FunctionGreet", "DefinitionGreetAll", "UiService"} <= app["Resources"].keys()


def test_the_same_app_gives_the_same_files(greeting_app, tmp_path):
    for name in ("one", "two"):
        eject(greeting_app, tmp_path / name, "dev", images=False)
    one, two = ({f.name: f.read_bytes() for f in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two


AWS = """#!/bin/sh
printf '%s\\n' "$*" >> "$CALLS"
case "$*" in
*describe-availability-zones*) printf 'use1-az3\\tus-east-1e\\neuc1-az2\\tz1\\neuc1-az3\\tz2\\neuc1-az1\\tz3\\n' ;;
*create-service-linked-role*) exit 254 ;;
*) echo value ;;
esac
"""
RECORD = '#!/bin/sh\nprintf "%s\\n" "$(basename "$0") $*" >> "$CALLS"\n'


def run_readme(folder, tmp_path):
    """Run the README's commands in one shell; return what was asked of aws, docker and python, in order."""
    tools, calls = tmp_path / "bin", tmp_path / "calls"
    tools.mkdir()
    for name, text in {"aws": AWS, "docker": RECORD, "python3": RECORD}.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    script = "\n".join(re.findall(r"(?s)```sh\n(.*?)```", (folder / "README.md").read_text()))
    environ = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "CALLS": str(calls)}
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=folder, env=environ, check=True, timeout=60)
    return calls.read_text().splitlines()


def test_the_readme_is_every_command_and_each_stack_gets_what_it_asks_for(greeting_app, tmp_path):
    with (greeting_app / "matinee.toml").open("a") as toml:
        toml.write('[auth]\nmode = "password"\n')
    out = tmp_path / "out"
    eject(greeting_app, out, "dev", images=False)
    calls = run_readme(out, tmp_path)
    deployed = [call for call in calls if call.startswith("cloudformation deploy ")]
    assert [call.split()[3] for call in deployed] == list(STACKS)
    for name, call in zip(STACKS, deployed, strict=True):
        values = dict(word.split("=", 1) for word in call.partition("--parameter-overrides")[2].split())
        assert values.keys() == json.loads((out / f"{name}.json").read_text()).get("Parameters", {}).keys()
        assert all(values.values())
        is_large = (out / f"{name}.json").stat().st_size > 51_200
        assert ("--s3-bucket matinee-tiny-dev-" in call) == is_large, "the CLI takes no larger template from a file"
    assert "Zones=z1,z2,z3" in deployed[0], "without one in which CloudFront has no VPC origins"
    secrets = [call.partition("--name ")[2].split()[0] for call in calls if "put-parameter" in call]
    assert secrets == ["/matinee/tiny/dev/MATINEE_PASSWORD", "/matinee/tiny/dev/MATINEE_COOKIE_SECRET"]
    built = [call.split()[-2] for call in calls if call.startswith("docker build")]
    assert [image.partition(":")[2].rpartition("-")[0] for image in built] == ["greeting", "greeting_all", "matinee-ui"]
    assert "--provenance" not in " ".join(calls), "Debian's Docker has no BuildKit"
    assert calls.index(next(c for c in calls if c.startswith("docker push"))) > calls.index(deployed[1])
    assert calls[-1] == "python3 release.py"


def test_a_network_of_one_s_own_is_named_in_the_readme(greeting_app, tmp_path):
    with (greeting_app / "matinee.toml").open("a") as toml:
        toml.write('[aws]\nvpc = "vpc-1"\nsubnets = ["subnet-1", "subnet-2"]\n')
    eject(greeting_app, tmp_path / "out", "dev", images=False)
    calls = run_readme(tmp_path / "out", tmp_path)
    app = next(call for call in calls if "--stack-name matinee-tiny-dev --template" in call)
    assert "VpcId=vpc-1" in app
    assert "SubnetIds=subnet-1,subnet-2" in app


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
