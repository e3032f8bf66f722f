"""One image is Lambda function, task and local process; it runs as nobody, with a root it cannot write to."""

from __future__ import annotations

import json
import shutil
import socket

import pytest

from matinee.images.engine import Engine

TINY = """
    import os
    from matinee import realtime

    @realtime(memory_mb=256, timeout_s=5, examples=[{"n": 1}])
    def double(n: int) -> dict[str, int]:
        '''Twice as much.'''
        return {"twice": 2 * n, "user": os.getuid(), "process": os.getpid()}
"""


def test_it_answers_as_a_lambda_function_as_nobody_on_a_read_only_root(write_app, build_app, start_lambda) -> None:
    (image,) = build_app(write_app(double=TINY), "double").images
    function = start_lambda(image, "--read-only", "--env", "MATINEE_PREDICTOR=double")
    answers = [function.invoke({"n": n}) for n in (1, 2)]
    assert [answer["twice"] for answer in answers] == [2, 4]
    assert answers[0]["user"] != 0
    assert answers[0]["process"] == answers[1]["process"]


def test_it_is_told_what_it_holds_and_carries_the_same_manifest(write_app, build_app, run_image) -> None:
    made = build_app(write_app(double=TINY), "double")
    (plan,), (image,) = made.plans, made.images
    said = json.loads(run_image(image, "inspect").stdout)
    assert [p["name"] for p in said["predictors"]] == ["double"]
    kept = json.loads(run_image(image, "/app/manifest.json", entrypoint="cat").stdout)
    assert kept["predictors"] == said["predictors"]
    assert plan.tag == f"double-{kept['hash']}"


def test_what_did_not_change_costs_nothing_and_changed_code_a_layer(write_app, build_app, engine) -> None:
    app = write_app(double=TINY)
    first = build_app(app, "double").images[0]
    assert build_app(app, "double").images[0].was_cached
    (app / "double.py").write_text((app / "double.py").read_text() + "# changed\n")
    second = build_app(app, "double").images[0]
    layers = [engine.inspect(image.reference)["RootFS"]["Layers"] for image in (first, second)]
    assert first.tag != second.tag
    assert layers[0][:-1] == layers[1][:-1]
    assert layers[0][-1] != layers[1][-1]


def test_both_builders_of_docker_make_the_same_of_it(write_app, build_app, start_lambda, monkeypatch) -> None:
    older = shutil.which("docker", path="/usr/bin")  # before 23, BuildKit was part of the client
    monkeypatch.setenv("DOCKER_BUILDKIT", "1")
    monkeypatch.setenv("MATINEE_ENGINE", older or "docker")
    if not Engine.detect().buildkit:
        pytest.skip("BuildKit needs `docker buildx` or Docker's client before 23.")
    (image,) = build_app(write_app(double=TINY), "double").images
    answer = start_lambda(image, "--read-only", "--env", "MATINEE_PREDICTOR=double").invoke({"n": 4})
    assert answer["twice"] == 8


def test_a_function_that_waits_for_a_request_ends_when_it_is_told(write_app, build_app, engine) -> None:
    (image,) = build_app(write_app(double=TINY), "double").images
    with socket.create_server(("127.0.0.1", 0)) as service:
        service.settimeout(30)
        address = f"AWS_LAMBDA_RUNTIME_API=127.0.0.1:{service.getsockname()[1]}"
        options = ("--detach", "--network", "host", "--env", address, "--env", "MATINEE_PREDICTOR=double")
        container = engine.run("run", *options, image.reference).stdout.strip()
        try:
            waiting, _ = service.accept()
            assert b"/invocation/next" in waiting.recv(4096)
            engine.run("kill", "--signal", "TERM", container)
            assert engine.run("wait", container).stdout.strip() == "143"
        finally:
            engine.run("rm", "--force", "--volumes", container)
