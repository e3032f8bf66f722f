"""The pages on deploying, rolling back and destroying: their commands run, in order, on the emulator."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pretending import Pretend

from matinee.cli import deploy as cli_deploy
from matinee.cli import main
from matinee.deploy.cloud import Cloud

DOCS = Path(__file__).parents[2] / "docs" / "how-to"
RECOMMEND = """
    from matinee import realtime
    @realtime(examples=[{{"age": 7}}])
    def recommend(age: int) -> str:
        return "{what}"
"""


@dataclass
class Said:
    code: int
    out: str
    err: str


@pytest.fixture
def matinee(
    capsys: pytest.CaptureFixture[str], pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Said]:
    monkeypatch.setattr(cli_deploy, "open_tools", lambda build="local": pretend.tools)
    monkeypatch.setattr("matinee.deploy.destroy.LAGS_S", 0.1)

    def run(*arguments: str) -> Said:
        capsys.readouterr()
        code = main.run(list(arguments))
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run


@pytest.fixture
def folder(write_app: Callable[..., Path], cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = write_app(recommend=RECOMMEND.format(what="chess"))
    file = folder / "matinee.toml"
    file.write_text(file.read_text().replace('name = "tiny"', f'name = "{cloud.names.app}"'))
    monkeypatch.chdir(folder)
    return folder


def commands(page: str) -> list[list[str]]:
    text = (DOCS / page).read_text()
    found = "".join(re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    return [shlex.split(line)[2:] for line in found.splitlines() if line.startswith("$ matinee ")]


def edit(folder: Path, what: str) -> None:
    file = folder / "recommend.py"
    file.write_text(re.sub(r'return ".*"', f'return "{what}"', file.read_text()))


def test_the_pages_tell_a_story_that_runs(
    matinee: Callable[..., Said], folder: Path, cloud: Cloud, pretend: Pretend
) -> None:
    pretend.answers["recommend"] = "chess"
    plan, deploy, only = commands("deploy.md")
    said = matinee(*plan)
    assert (said.code, said.out) == (0, "")
    assert "+ recommend v1" in said.err
    assert "US $ a month" in said.err
    assert "Anybody who has the address can use the app" in said.err
    said = matinee(*deploy)
    assert said.code == 0, said.err
    assert "recommend, its first example passed" in said.err
    assert "Release 1 is live on dev after " in said.err
    assert "matinee rollback --stage dev" in said.err
    edit(folder, "tennis")
    said = matinee(*only)
    assert "~ recommend v1 → v2" in said.err
    edit(folder, "golf")
    said = matinee(*deploy)
    assert "~ function matinee-" in said.err
    assert "Release 3 is live on dev" in said.err
    assert "Nothing to do: release 3 is live on dev (recommend v3)." in matinee(*deploy).err

    versions, back, to, release, destroy, with_data = commands("roll-back-and-destroy.md")
    assert re.search(r"recommend +v3 +live +3", matinee(*versions).out)
    assert "Release 4 is live on dev: recommend v3 → v2." in matinee(*back).err
    said = matinee(*to)
    assert (said.code, "error: recommend v2 is live already." in said.err) == (2, True)
    assert "Release 5 is live on dev: recommend v2 → v1." in matinee(*release).err
    said = matinee(*destroy)
    assert "Table, bucket, images, logs and secrets are kept" in said.err
    assert "dev is gone. Left with its tags: 0. " in said.err
    said = matinee(*with_data)
    assert said.code == 0, said.err
    assert "dev is gone. Left with its tags: 0.\n" in said.err


def test_machines_get_one_document(matinee: Callable[..., Said], folder: Path, pretend: Pretend) -> None:
    pretend.answers["recommend"] = "chess"
    planned = json.loads(matinee("plan", "--json").out)
    assert (planned["is_first"], planned["versions"][0]["after"]) == (True, "v1")
    done = json.loads(matinee("deploy", "--yes", "--json").out)
    assert (done["release"], done["changed"], done["versions"]) == (1, True, {"recommend": "v1"})
    listed = json.loads(matinee("versions", "--json").out)
    assert listed["rows"][0]["is_live"]
    gone = json.loads(matinee("destroy", "--stage", "dev", "--data", "--yes", "--json").out)
    assert (gone["stage"], gone["kept"], gone["left"], gone["declined"]) == ("dev", [], [], False)


BAD = {
    "nobody to ask": (("deploy",), "error: Nobody is here to be asked."),
    "a stage that can be none": (
        ("deploy", "--stage", "My-Stage", "--yes"),
        "error: There can be no stage 'My-Stage'.",
    ),
    "a part of nothing": (("deploy", "--traffic", "10%"), "error: --traffic is for one component."),
    "no part": (("deploy", "--only", "recommend", "--traffic", "lots"), "error: 'lots' is no part of the calls."),
    "no such place": (("plan", "--build", "moon"), "error: Images are not built 'moon'."),
    "nothing to roll back": (("rollback",), "error: Nothing is live on the stage dev yet."),
    "nothing to list": (("versions",), "error: Nothing is live on the stage dev yet."),
    "nothing to destroy": (("destroy", "--stage", "dev", "--yes"), "error: There is nothing of the stage dev of"),
    "no component": (("push", "recomend"), "error: There is no component or predictor 'recomend'."),
}


@pytest.mark.parametrize(("arguments", "said"), BAD.values(), ids=BAD)
def test_bad_input_is_one_sentence_and_code_2(
    matinee: Callable[..., Said], folder: Path, monkeypatch: pytest.MonkeyPatch, pretend: Pretend, arguments, said: str
) -> None:
    real = pretend.tools
    monkeypatch.setattr(cli_deploy, "open_tools", lambda build="local": real if build == "local" else _real(build))
    heard = matinee(*arguments)
    assert (heard.code, heard.out) == (2, "")
    assert said in heard.err
    assert "Traceback" not in heard.err


_real = cli_deploy.open_tools


def test_the_workflow_of_the_page_is_yaml_with_the_commands_there_are(tmp_path: Path) -> None:
    yaml: Any = pytest.importorskip("yaml")
    text = re.search(r"```yaml\n(.*?)```", (DOCS / "deploy-from-ci.md").read_text(), re.DOTALL)[1]
    jobs = yaml.safe_load(text)["jobs"]
    runs = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert 'matinee deploy --stage "$STAGE" --yes' in runs
    assert any("matinee destroy --stage" in run for run in runs)
