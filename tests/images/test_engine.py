"""Which engine and which builder there is, and what they are told: played by a script in the engine's place."""

from __future__ import annotations

import json

import pytest

from matinee.errors import BackendError
from matinee.images.engine import Engine
from matinee.images.plan import resolve_base

DOCKER = {"Client": {"Version": "28.0.1"}, "Server": {"Version": "28.0.1", "Os": "linux", "Arch": "arm64"}}
PODMAN = {"Client": {"Version": "5.2.0", "OsArch": "linux/amd64"}, "Server": None}
DIGEST = "sha256:" + "ab" * 32


def answering(version, *cases: str) -> str:
    lines = "\n".join(cases)
    return f"""case "$1 $2" in
    version*) echo '{json.dumps(version)}';;
    {lines}
    *) exit 1;; esac"""


def test_with_buildx_it_builds_where_the_images_are_and_in_the_form_lambda_takes(fake_engine) -> None:
    fake_engine(answering(DOCKER, '"buildx version") exit 0;;', '"context show") echo desktop-linux;;'))
    engine = Engine.detect()
    assert engine.platform == "linux/arm64"
    assert engine.buildkit
    assert {"--provenance=false", "--sbom=false"} <= set(engine.flags)
    assert engine.variables["BUILDX_BUILDER"] == "desktop-linux"


def test_without_buildx_it_builds_with_the_legacy_builder_which_knows_no_such_flag(fake_engine) -> None:
    fake_engine(answering(DOCKER))
    engine = Engine.detect()
    assert not engine.buildkit
    assert engine.variables == {"DOCKER_BUILDKIT": "0"}
    assert not [flag for flag in engine.flags if "provenance" in flag]


def test_podman_is_told_to_write_what_docker_writes(fake_engine) -> None:
    fake_engine(answering(PODMAN), "podman")
    engine = Engine.detect()
    assert (engine.platform, engine.flags) == ("linux/amd64", ("--format", "docker"))


def test_a_name_that_is_no_command_is_said(monkeypatch) -> None:
    monkeypatch.setenv("MATINEE_ENGINE", "no-such-engine")
    with pytest.raises(BackendError, match="MATINEE_ENGINE=no-such-engine names no command"):
        Engine.detect()


def test_a_base_is_pinned_by_its_digest(fake_engine) -> None:
    found = [{"Id": "sha256:1", "Os": "linux", "Architecture": "arm64", "RepoDigests": [f"python@{DIGEST}"]}]
    fake_engine(answering(DOCKER, f"""image*) echo '{json.dumps(found)}';;"""))
    base = resolve_base(Engine.detect(), "python:3.11-slim", "linux/arm64", "3.11")
    assert base.reference == f"python:3.11-slim@{DIGEST}"
    assert not base.note


def test_a_base_without_a_digest_is_said_and_told_by_its_content(fake_engine) -> None:
    found = [{"Id": "sha256:1", "Os": "linux", "Architecture": "arm64", "RepoDigests": []}]
    fake_engine(answering(DOCKER, f"""image*) echo '{json.dumps(found)}';;"""))
    base = resolve_base(Engine.detect(), "python:3.11-slim", "linux/arm64")
    assert (base.reference, base.identity) == ("python:3.11-slim", "sha256:1")
    assert "no digest to be pinned by" in base.note


def test_a_push_gives_the_digest_the_registry_named(fake_engine) -> None:
    fake_engine(answering(DOCKER, "tag*) exit 0;;", f"push*) echo 'app-1: digest: {DIGEST} size: 1234';;"))
    assert Engine.detect().push("matinee-app:one-1", "registry.example/app:one-1") == DIGEST


def test_a_push_that_is_refused_says_why(fake_engine) -> None:
    fake_engine(answering(DOCKER, "tag*) exit 0;;", "push*) echo 'denied: not yours' >&2; exit 1;;"))
    with pytest.raises(BackendError, match="denied: not yours"):
        Engine.detect().push("matinee-app:one-1", "registry.example/app:one-1")
