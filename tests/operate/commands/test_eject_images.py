"""A Dockerfile that is ejected needs nothing of the machine it was made on."""

from __future__ import annotations

import pytest

from matinee.images.dockerfile import code_dockerfile, environment_dockerfile
from matinee.images.plan import ImagePlan
from matinee.manifest import ComponentManifest
from matinee.operate.build import dockerfile

OWN = """# With a library of the system's.
ARG MATINEE_ENVIRONMENT=scratch
FROM ${MATINEE_ENVIRONMENT}
USER root
RUN apt-get install -y libgomp1
USER nobody
COPY app/ /app/
"""


@pytest.fixture
def written():
    def write(own):
        manifest = ComponentManifest("recommend", "abc")
        plan = ImagePlan("recommend", "recommend-abc", "matinee-shop", "linux/arm64", manifest, dockerfile=own)
        layers = ["common.tar", "own.tar", "framework.tar"]
        variables = {"MATINEE_SOURCE": "/app/recommend.py"}
        environment = environment_dockerfile(
            "recommend", "python:3.11-slim", layers=layers, variables=variables, folder="/app"
        )
        return dockerfile(plan, environment).splitlines()

    return write


def test_packages_come_from_the_lock_and_no_archive_is_needed(written):
    lines = written(code_dockerfile("recommend"))
    assert not [line for line in lines if line.startswith("ADD ")]
    [install] = [line for line in lines if "pip install" in line]
    assert "--require-hashes" in install and "--no-deps" in install
    assert "COPY recommend/requirements.txt /tmp/requirements.txt" in lines
    assert "COPY framework/ /usr/local/lib/matinee/" in lines


def test_it_ends_as_the_image_that_is_deployed(written):
    lines = written(code_dockerfile("recommend"))
    assert lines.index("COPY recommend/app/ /app/") < lines.index("USER nobody") < lines.index("VOLUME /tmp")
    assert lines[-2:] == ['ENTRYPOINT ["python", "-m", "matinee.start"]', 'CMD ["realtime"]']
    assert any("MATINEE_SOURCE" in line for line in lines)


def test_lines_of_a_dockerfile_of_one_s_own_follow_those_of_the_environment(written):
    lines = written(OWN)
    assert lines[-3:] == ["USER root", "RUN apt-get install -y libgomp1", "USER nobody"]
    assert lines.count("COPY app/ /app/") == 0 and not [line for line in lines if "MATINEE_ENVIRONMENT" in line]
