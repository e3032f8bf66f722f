"""What can go wrong with images is said in one sentence, with what to do; and leaves nothing half-made."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from matinee.cli.main import run as matinee
from matinee.environments.inspect import inspect
from matinee.errors import BackendError, ComponentError, ProjectError, UsageError
from matinee.images.engine import Engine
from matinee.images.packages import folder_of_layers
from matinee.images.plan import plan_images
from matinee.images.ui_image import ui_context
from matinee.operate.build import build
from matinee.project.load import load

DOUBLE = "from matinee import realtime\n@realtime\ndef double(n: int) -> int:\n    return 2 * n\n"
VERSION = '{"Client": {"Version": "28.0"}, "Server": {"Version": "28.0", "Os": "linux", "Arch": "amd64"}}'


def test_without_an_engine_it_says_what_to_install(monkeypatch, write_app, capsys) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert matinee(["build", "--app", str(write_app(double=DOUBLE))]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "There is no Docker on this machine" in said
    assert "https://docs.docker.com/get-docker/" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?", "Start"),
        ("permission denied while trying to connect to the Docker daemon socket", "usermod -aG docker"),
    ],
)
def test_an_engine_that_does_not_answer_says_how_it_is_mended(fake_engine, words, said) -> None:
    fake_engine(f"echo '{words}' >&2; exit 1")
    with pytest.raises(BackendError) as error:
        Engine.detect()
    assert said in error.value.hint
    assert "docker" in error.value.message


def test_a_full_disk_says_how_to_make_room(fake_engine, write_app) -> None:
    fake_engine(
        f"""case "$1 $2" in
        version*) echo '{VERSION}';;
        buildx*) exit 1;;
        "image inspect")
            echo '[{{"Id": "x", "Os": "linux", "Architecture": "amd64"}}]'
            case "$3" in python*) exit 0;; *) exit 1;; esac;;
        build*) echo 'write /layer.tar: no space left on device' >&2; exit 1;; esac"""
    )
    with pytest.raises(BackendError, match="the engine's disk is full") as error:
        build(write_app(double=DOUBLE), ["double"])
    assert "docker system prune" in error.value.hint


@pytest.mark.parametrize(
    ("dependencies", "said"),
    [
        ('"no-such-package-of-anybody"', "no-such-package-of-anybody"),
        ('"numpy==1.26.4", "numpy>=2"', "numpy"),
        ('"not a requirement"', "cannot be read"),
    ],
)
def test_dependencies_that_do_not_come_together_name_component_and_reason(write_app, dependencies, said) -> None:
    header = f"# /// script\n# dependencies = [{dependencies}]\n# ///\n"
    app = write_app(double=header + DOUBLE)
    with pytest.raises(ComponentError, match=said) as error:
        plan_images(load(app), inspect(app).components, platform="linux/amd64")
    assert "double" in error.value.message
    assert not (app / "locks").exists()


def test_a_name_that_is_no_component_and_a_platform_that_is_none(write_app, engine) -> None:
    app = write_app(double=DOUBLE)
    with pytest.raises(UsageError, match="no component 'duoble'") as error:
        build(app, ["duoble"])
    assert error.value.hint == "Did you mean double?"
    with pytest.raises(UsageError, match="'windows/amd64' is no platform"):
        build(app, ["double"], platform="windows/amd64")


def test_a_base_of_another_architecture_is_refused(write_app, foreign_base) -> None:
    base, _ = foreign_base
    app = write_app(f'[images]\nbase = "{base}"\n', double=DOUBLE)
    with pytest.raises((ProjectError, BackendError), match=rf"{base} .*(is for|cannot be fetched)"):
        build(app, ["double"])


def test_a_base_with_another_python_is_refused(write_app, engine, tmp_path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "Dockerfile").write_text("FROM scratch\nENV PYTHON_VERSION=3.99.1\n")
    engine.build(tmp_path / "base", "matinee-test-python:3.99")
    try:
        app = write_app('[images]\nbase = "matinee-test-python:3.99"\n', double=DOUBLE)
        with pytest.raises(ProjectError, match=r"has Python 3\.99, and its packages are for"):
            build(app, ["double"])
    finally:
        engine.run("image", "rm", "--force", "matinee-test-python:3.99")


def test_what_looks_like_a_secret_stays_out_and_is_said(write_app, build_app, run_image) -> None:
    app = write_app()
    folder = app / "double"
    folder.mkdir()
    (folder / "predictor.py").write_text(DOUBLE)
    for name in (".env", "server.pem", "id_rsa", "weights.bin", "credentials.json"):
        (folder / name).write_text("x")
    (app / "matinee.toml").write_text('name = "tiny"\ncomponents = ["double"]\n')
    said: list[str] = []
    (image,) = build_app(app, "double", report=lambda _, line: said.append(line)).images
    assert set(run_image(image, "-A", "/app/double", entrypoint="ls").stdout.split()) == {
        "__pycache__", "predictor.py", "weights.bin",
    }  # fmt: skip
    for name in (".env", "server.pem", "id_rsa", "credentials.json"):
        assert any(line.startswith(f"double/{name} is left out") for line in said)


def test_a_module_beside_that_is_imported_is_in_the_image(write_app) -> None:
    app = write_app(double="import helper\n" + DOUBLE)
    (app / "helper.py").write_text("")
    (app / "unrelated.py").write_text("")
    (plan,) = plan_images(load(app), inspect(app).components, platform="linux/amd64")
    assert [file.path for file in plan.context.files] == ["double.py", "helper.py"]


def test_a_build_that_is_interrupted_leaves_no_image_and_no_files(write_app, engine, images_of) -> None:
    app = write_app(double=DOUBLE)
    lines = ["ARG MATINEE_ENVIRONMENT", "FROM ${MATINEE_ENVIRONMENT}", "COPY app/ /app/"]
    (app / "double.Dockerfile").write_text("\n".join([*lines, "RUN sleep 317"]))
    command = [sys.executable, "-m", "matinee.cli.main", "build", "double", "--app", str(app)]
    layers = app / "matinee" / "images"
    shutil.copytree(folder_of_layers(), layers, copy_function=link, ignore=shutil.ignore_patterns("tmp*", "*.half"))
    environment = {**os.environ, "XDG_CACHE_HOME": str(app)}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    for line in process.stderr:
        if "RUN sleep" in line:
            break
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert not images_of(app)
    assert not list(layers.glob("tmp*"))
    deadline = time.monotonic() + 20  # the engine hears of it when the connection is gone
    while "sleep 317" in engine.run("ps", "--no-trunc", "--format", "{{.Command}}").stdout:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def test_a_link_of_the_ui_that_leads_out_of_the_apps_folder_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "app"
    (folder / "common").mkdir(parents=True)
    (tmp_path / "outside.txt").write_text("somebody else's")
    (folder / "common" / "own.txt").write_text("own")
    (folder / "common" / "link.txt").symlink_to(tmp_path / "outside.txt")
    (folder / "main.py").write_text("from matinee import realtime\n\n@realtime\ndef f() -> int:\n    return 1\n")
    (folder / "ui.py").write_text("import streamlit\n")
    (folder / "matinee.toml").write_text('name = "x"\nshared = ["common"]\ncomponents = ["main.py"]\n')
    context = ui_context(load(folder))
    assert [file.path for file in context.files] == ["ui.py", "common/own.txt"]
    assert context.left_out == {"common/link.txt": "it leads out of the app's folder."}
