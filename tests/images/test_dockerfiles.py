"""A Dockerfile is made, can be had, and is then its owner's: taken as it is, if it has what every image must have."""

from __future__ import annotations

import pytest

from matinee.errors import BackendError, ProjectError, UsageError
from matinee.images.dockerfile import check_dockerfile, ejected_dockerfile
from matinee.operate.build import eject

LINES = ["ARG MATINEE_ENVIRONMENT=scratch", "FROM ${MATINEE_ENVIRONMENT}", "COPY app/ /app/"]
OTHERWISE = """# a comment
arg MATINEE_ENVIRONMENT
FROM python AS other
RUN true
from $MATINEE_ENVIRONMENT
COPY --from=other /x /x
COPY --chown=nobody \\
  app /app
"""


@pytest.fixture
def app(write_app):
    return write_app(double="from matinee import realtime\n@realtime\ndef double(n: int) -> int:\n    return 2 * n\n")


def test_an_ejected_dockerfile_is_taken_as_its_owner_changed_it(app, build_app, run_image) -> None:
    (file,) = eject(app, ["double"])
    assert file == app / "double.Dockerfile"
    with pytest.raises(UsageError, match="is there already"):
        eject(app, ["double"])
    file.write_text(file.read_text() + "USER root\nRUN echo mine > /etc/mine\nUSER nobody\n")
    (image,) = build_app(app, "double").images
    assert run_image(image, "/etc/mine", entrypoint="cat").stdout == "mine\n"
    assert "double.Dockerfile" not in run_image(image, "/app", entrypoint="ls").stdout


@pytest.mark.parametrize("line", range(3))
def test_one_without_a_needed_line_is_refused_before_anything_is_built(tmp_path, line) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text("\n".join(text for number, text in enumerate(LINES) if number != line))
    with pytest.raises(ProjectError, match="has no line"):
        check_dockerfile("double", file)


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(LINES),
        OTHERWISE,
        ejected_dockerfile("double", "#\nFROM x"),
    ],
)
def test_the_lines_may_be_written_as_docker_takes_them(tmp_path, text) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text(text)
    assert check_dockerfile("double", file) == text


@pytest.mark.parametrize(
    ("more", "said"), [("USER root", "would run as root"), ('ENTRYPOINT ["sh"]', "has another ENTRYPOINT")]
)
def test_one_that_undoes_what_an_image_must_be_leaves_no_image(app, build_app, images_of, more, said) -> None:
    (app / "double.Dockerfile").write_text("\n".join([*LINES, more]))
    with pytest.raises(ProjectError, match=said):
        build_app(app, "double")
    assert not images_of(app)


def test_a_step_that_fails_is_told_in_the_builders_words_and_leaves_no_image(app, build_app, images_of) -> None:
    (app / "double.Dockerfile").write_text("\n".join([*LINES, "RUN echo it is not here && exit 3"]))
    with pytest.raises(BackendError, match=r"double.*(returned a non-zero code: 3|exit code: 3)"):
        build_app(app, "double")
    assert not images_of(app)
