"""What runs on Lambda already moves in unchanged: a plain handler, and an image that exists."""

from __future__ import annotations

import pytest

from matinee import connect
from matinee.environments.inspect import inspect
from matinee.errors import InputError, UsageError
from matinee.operate.build import eject
from matinee.project.load import load

HANDLER = """
import os
import helper

def handler(event, context):
    return {"twice": helper.twice(event["n"]), "request": context.aws_request_id, "process": os.getpid()}
"""


@pytest.fixture
def app(tmp_path):
    folder = tmp_path / "app"
    (folder / "old").mkdir(parents=True)
    (folder / "old" / "prediction.py").write_text(HANDLER)
    (folder / "old" / "helper.py").write_text("def twice(n):\n    return 2 * n\n")
    (folder / "matinee.toml").write_text('name = "moved"\n[components.old]\nhandler = "prediction.handler"\n')
    return folder


def test_a_handler_answers_here_as_a_process(app) -> None:
    with connect(app) as moved:
        assert moved.old(event={"n": 4}).twice == 8
        with pytest.raises(InputError):
            moved.old(event="no object")
        with pytest.raises(UsageError, match="takes events as they are"):
            moved.old.predict_rows([{"n": 1}])


def test_a_handler_answers_as_an_image_with_the_event_as_it_is(app, build_app, start_lambda) -> None:
    (image,) = build_app(app, "old").images
    function = start_lambda(image, "--read-only")
    assert function.invoke({"n": 21})["twice"] == 42


def test_an_image_that_exists_is_taken_as_it_is(app, build_app, start_lambda, engine) -> None:
    (built,) = build_app(app, "old").images
    (app / "matinee.toml").write_text(f'name = "moved"\n[components.kept]\nimage = "{built.reference}"\n')
    made = build_app(app, "kept")
    (image,), (plan,) = made.images, made.plans
    assert image.id == built.id
    assert image.reference == f"matinee-moved:kept-{plan.manifest.hash}"
    assert plan.manifest.predictors[0].plain == "image"
    assert start_lambda(image).invoke({"n": 3})["twice"] == 6


def test_without_containers_an_image_says_what_it_needs(app) -> None:
    (app / "matinee.toml").write_text('name = "moved"\n[components.kept]\nimage = "somewhere/kept:1"\n')
    with connect(app) as moved, pytest.raises(UsageError, match=r"matinee dev --containers"):
        moved["kept"](event={})


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('handler = "prediction.nothing"', "prediction.py defines no nothing"),
        ('handler = "missing.handler"', "the component old has no missing.py"),
        ('handler = "no function"', "must be a module and a function"),
        ('image = "x:1"\nhandler = "prediction.handler"', "handler has no use beside image"),
        ('handler = "prediction.handler"\napt = ["libgomp1; rm -rf /"]', "is no name of a Debian package"),
    ],
)
def test_what_is_wrong_with_one_is_said(app, table, said) -> None:
    (app / "matinee.toml").write_text(f'name = "moved"\n[components.old]\n{table}\n')
    try:
        (item,) = inspect(app).components
        told = item.manifest.trouble.message
    except UsageError as error:
        told = str(error)
    assert said in told


def test_an_image_that_exists_has_no_dockerfile_to_own(app) -> None:
    (app / "matinee.toml").write_text('name = "moved"\n[components.kept]\nimage = "x:1"\n')
    with pytest.raises(UsageError, match="kept is an image that exists"):
        eject(app, ["kept"])


def test_no_component_may_have_the_name_of_the_ui(app) -> None:
    (app / "matinee.toml").write_text('name = "moved"\n[components.matinee-ui]\nimage = "x:1"\n')
    with pytest.raises(UsageError, match="matinee-ui: names that begin with matinee- are the app's own"):
        load(app)
