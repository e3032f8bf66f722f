"""A client that a program makes from the document of each example, without a complaint, predicts."""

from __future__ import annotations

import datetime
import importlib
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from starlette.applications import Starlette

from matinee.access.people import Person
from matinee.api.routes import routes
from matinee.client.core import Client
from matinee.client.host import LocalHost
from matinee.project.load import load

EXAMPLES = Path(__file__).parents[2] / "examples"


class Generated:
    """An example that is served, and the package that was made for it."""

    def __init__(self, url: str, package: str) -> None:
        self._package = package
        self.client = self.module("client").Client(base_url=f"{url}/api/v1", raise_on_unexpected_status=True)

    def module(self, name: str) -> ModuleType:
        return importlib.import_module(f"{self._package}.{name}")

    def call(self, operation: str, /, **arguments: Any) -> Any:
        return self.module(f"api.{operation}").sync(client=self.client, **arguments)


@pytest.fixture
def generated(request, tmp_path: Path, listening, monkeypatch: pytest.MonkeyPatch) -> Iterator[Generated]:
    folder = tmp_path / request.param
    shutil.copytree(EXAMPLES / request.param, folder, ignore=shutil.ignore_patterns(".matinee"))
    project = load(folder)
    with LocalHost(project) as host:
        host.reload(project)

        def open_client(person: Person) -> Client:
            return Client(host.backend, host.settings, person.name, owner=person.is_owner)

        with listening(Starlette(routes=routes(open_client))) as url:
            document = tmp_path / "document.json"
            document.write_bytes(urllib.request.urlopen(f"{url}/api/v1/openapi.json", timeout=20).read())
            package = f"made_for_{request.param}"
            command = [sys.executable, "-m", "openapi_python_client", "generate", "--path", str(document)]
            done = subprocess.run(
                [*command, "--meta", "none", "--fail-on-warning", "--output-path", str(tmp_path / package)],
                env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            monkeypatch.syspath_prepend(tmp_path)
            yield Generated(url, package)


@pytest.mark.parametrize("generated", ["activity"], indirect=True)
def test_a_client_made_for_the_activity_example_predicts_and_submits(generated: Generated):
    models = generated.module("models")
    predicted = generated.call(
        "recommend.predict_recommend", body=models.RecommendInputs(gender=models.RecommendInputsGender.FEMALE)
    )
    assert predicted.status is models.RunStatus.SUCCEEDED
    assert predicted.result.activity in predicted.result.candidates
    gender = models.PlanInputsGender.FEMALE
    days = [datetime.date(2026, 1, 1), datetime.date(2026, 1, 3)]
    run = generated.call("plan.submit_plan", body=models.PlanInputs(gender=gender, start=days[0], end=days[1]))
    assert (run.predictor, run.kind) == ("plan", models.RunKind.BATCH)
    listed = generated.call("runs.list_runs")
    assert {one.predictor for one in listed.runs} == {"recommend", "plan"}


@pytest.mark.parametrize("generated", ["digits"], indirect=True)
def test_a_client_made_for_the_digits_example_sends_a_picture(generated: Generated):
    models, types = generated.module("models"), generated.module("types")
    picture = next(iter(sorted((EXAMPLES / "digits" / "samples").glob("*.png"))))
    with picture.open("rb") as stream:
        stored = generated.call("uploads.upload", body=types.File(stream), name=picture.name)
    inputs = models.ClassifyInputs.from_dict({"image": stored.to_dict()})
    predicted = generated.call("classify.predict_classify", body=inputs)
    assert predicted.result.label in range(10)
