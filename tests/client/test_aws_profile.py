"""The AWS configuration of whoever works here neither breaks local runs nor reaches them, realtime and batch alike."""

from __future__ import annotations

import pytest

import matinee

SOURCE = """
import os
from matinee import batch, realtime

def seen() -> dict[str, str]:
    names = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    return {name: os.environ[name] for name in names if name in os.environ}

@realtime
def now() -> dict[str, str]:
    return seen()

@batch
def later() -> dict[str, str]:
    return seen()
"""
PERSONS = {
    "AWS_PROFILE": "not-on-this-machine",
    "AWS_DEFAULT_PROFILE": "not-on-this-machine",
    "AWS_ACCESS_KEY_ID": "AKIAREAL",
    "AWS_SECRET_ACCESS_KEY": "real",
    "AWS_SESSION_TOKEN": "real",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "AWS_USE_DUALSTACK_ENDPOINT": "true",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
}


@pytest.fixture
def app(tmp_path, monkeypatch):
    for name, value in PERSONS.items():
        monkeypatch.setenv(name, value)
    broken = tmp_path / "config"
    broken.write_text("[profile\nno configuration at all")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(broken))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(broken))
    (tmp_path / "app.py").write_text(SOURCE)
    with matinee.connect(tmp_path / "app.py") as app:
        yield app


def test_a_run_sees_nobody_s_keys(app):
    nobody = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    assert dict(app.now()) == nobody
    assert dict(app.later()) == nobody
