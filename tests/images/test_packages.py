"""What is installed in an image: exact, kept next to the app, for its platform, without a secret of the index."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
import zipfile
from base64 import b64encode
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from matinee.environments.inspect import inspect
from matinee.errors import BackendError, ComponentError
from matinee.images.plan import RUNTIME_PACKAGES, plan_images
from matinee.project.load import load

AMD64 = "linux/amd64"
TELL = """
    # /// script
    # dependencies = ["{requirement}"]
    # ///
    from importlib.metadata import version
    from matinee import realtime

    @realtime
    def {name}() -> str:
        return version("{package}")
"""


def tell(name: str, requirement: str) -> str:
    package = requirement.partition("=")[0].partition("<")[0].partition(">")[0]
    return TELL.format(name=name, requirement=requirement, package=package)


def plans(app: Path, **options):
    return plan_images(load(app), inspect(app).components, platform=AMD64, **options)


def test_components_of_one_app_may_need_what_excludes_each_other(write_app, build_app, start_lambda) -> None:
    app = write_app(old=tell("old", "numpy<2"), new=tell("new", "numpy>=2"))
    answers = [
        start_lambda(image, "--env", f"MATINEE_PREDICTOR={image.name}").invoke({})
        for image in build_app(app, "old", "new").images
    ]
    assert [answer.partition(".")[0] for answer in answers] == ["1", "2"]


def test_versions_are_kept_next_to_the_app_and_what_changes_is_said(write_app) -> None:
    app = write_app(one=tell("one", "iniconfig<2"))
    (first,) = plans(app)
    file = app / "locks" / "one-linux-amd64.txt"
    kept = file.read_text()
    assert "iniconfig==1.1.1 \\\n    --hash=sha256:" in kept
    assert plans(app)[0].tag == first.tag
    assert file.read_text() == kept

    (app / "one.py").write_text((app / "one.py").read_text().replace("iniconfig<2", "iniconfig>=2"))
    (second,) = plans(app)
    assert second.tag != first.tag
    assert any("iniconfig 1.1.1 → 2" in note for note in second.notes)
    assert [note for note in second.notes if "boto3" in note] == []


@pytest.mark.parametrize("line", ["-e ./mine", "./mine"])
def test_a_folder_of_this_machine_is_no_dependency_of_an_image(write_app, line) -> None:
    app = write_app()
    (app / "one" / "mine").mkdir(parents=True)
    (app / "one" / "mine" / "pyproject.toml").write_text('[project]\nname = "mine"\nversion = "1.0"\n')
    (app / "one" / "mine" / "mine.py").write_text("")
    (app / "one" / "requirements.txt").write_text(f"{line}\n")
    (app / "one" / "predictor.py").write_text("from matinee import realtime\n@realtime\ndef one() -> int: ...\n")
    (app / "matinee.toml").write_text('name = "tiny"\ncomponents = ["one"]\n')
    with pytest.raises(ComponentError, match=r"depends on .*mine, a folder of this machine"):
        plans(app)


def test_another_platform_gets_the_same_versions(write_app) -> None:
    app = write_app(one=tell("one", "iniconfig<2"))
    plans(app)
    file = app / "locks" / "one-linux-amd64.txt"
    file.write_text(file.read_text().replace("# made from: ", "# made from: long ago "))
    (other,) = plan_images(load(app), inspect(app).components, platform="linux/arm64")
    pinned = [line for line in (app / "locks" / "one-linux-arm64.txt").read_text().splitlines() if "==" in line]
    assert pinned == [line for line in file.read_text().splitlines() if "==" in line]
    assert other.platform == "linux/arm64"


def test_an_image_for_another_architecture_is_made_without_running_anything(
    write_app, build_app, foreign_base, engine, tmp_path
) -> None:
    base, platform = foreign_base
    app = write_app(f'[images]\nbase = "{base}"\n', one=tell("one", "iniconfig"))
    (image,) = build_app(app, "one", platform=platform).images
    found = engine.inspect(image.reference)
    assert f"{found['Os']}/{found['Architecture']}" == platform
    container = engine.run("create", "--platform", platform, image.reference).stdout.strip()
    try:
        engine.run("cp", f"{container}:/usr/local/lib/python3.11/site-packages", str(tmp_path / "packages"))
    finally:
        engine.run("rm", "--volumes", container)
    (client,) = (tmp_path / "packages").glob("runtime_client*.so")
    machine = client.read_bytes()[18]
    assert machine == {"linux/arm64": 0xB7, "linux/amd64": 0x3E}[platform]


@pytest.fixture
def private_index(tmp_path):
    """Serve one wheel to whoever knows the password; yield the address without it."""
    info = "mine-1.0.dist-info"
    wheel = tmp_path / "mine-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("mine.py", "WHOSE = 'ours'\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"mine.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    pages = {"/mine/": f'<a href="/{wheel.name}">{wheel.name}</a>'.encode(), f"/{wheel.name}": wheel.read_bytes()}

    class Index(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.headers.get("Authorization") == "Basic " + b64encode(b"me:s3cret-word").decode()
            body = pages.get(self.path, b"")
            self.send_response(401 if not known else 200 if body else 404)
            self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/octet-stream")
            self.send_header("Content-Length", str(len(body) if known else 0))
            self.end_headers()
            if known and self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_private_index_is_used_and_its_password_is_nowhere_in_the_image(
    write_app, build_app, run_image, private_index, engine, tmp_path
) -> None:
    app = write_app(
        one="""
        # /// script
        # dependencies = ["mine"]
        # ///
        import mine
        from matinee import realtime

        @realtime
        def one() -> str:
            return mine.WHOSE
    """
    )
    index = f'[[index]]\nname = "mine"\nurl = "http://me:s3cret-word@{private_index}"\n'
    (app / "uv.toml").write_text(index)
    made = build_app(app, "one")
    (image,) = made.images
    assert run_image(image, "-c", "import mine; print(mine.WHOSE)", entrypoint="python").stdout.strip() == "ours"
    assert "s3cret-word" not in (app / "locks" / "one-linux-amd64.txt").read_text()
    archive = tmp_path / "image.tar"
    engine.run("save", "--output", str(archive), image.reference)
    assert subprocess.run(["grep", "-q", "s3cret-word", archive], check=False).returncode == 1
    assert "uv.toml" not in json.dumps([file.path for plan in made.plans for file in plan.context.files])


def test_what_would_have_to_be_compiled_is_refused_with_the_way_out(write_app, tmp_path, monkeypatch, engine) -> None:
    source = tmp_path / "native"
    source.mkdir()
    (source / "setup.py").write_text(
        "from setuptools import setup\n"
        "from setuptools.dist import Distribution\n"
        "class Native(Distribution):\n    def has_ext_modules(self): return True\n"
        "setup(name='native', version='1.0', py_modules=['native'], distclass=Native)\n"
    )
    (source / "native.py").write_text("")
    app = write_app(one=tell("one", "native").replace('"native"]', f'"native @ {source.as_uri()}"]'))
    from matinee.images.build import build_images

    with pytest.raises((ComponentError, BackendError), match="native") as error:
        build_images(engine, plans(app, engine=engine))
    assert "--eject one" in error.value.hint


BLOCK = """
import importlib, sys

class Missing:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition('.')[0] in {blocked!r}:
            raise ModuleNotFoundError(f'no component has {{name}}', name=name)

sys.meta_path.insert(0, Missing)
for name in {modules!r}:
    importlib.import_module(name)
"""


def test_what_runs_in_a_component_imports_no_package_that_its_image_has_not() -> None:
    """The runtime, the worker, and the client with which a predictor calls another."""
    declared = {Requirement(text).name.replace("-", "_") for text in metadata.requires("matinee") or ()}
    in_images = {name.replace("-", "_") for name in RUNTIME_PACKAGES} | {"pyarrow", "pillow", "numpy", "pandas"}
    modules = [
        "matinee.client.core", "matinee.runtime.execute", "matinee.runtime.inspect", "matinee.runtime.plain",
        "matinee.worker.main", "matinee.worker.child", "matinee.backends.factory",
    ]  # fmt: skip
    code = BLOCK.format(blocked=[*sorted(declared - in_images), "packaging"], modules=modules)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
