"""Which adapters a process's settings open; and that opening them loads and calls nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from matinee.backends.aws.files import S3Files
from matinee.backends.aws.logs import CloudWatchLogs, StreamLogs
from matinee.backends.aws.store import DynamoStore
from matinee.client.backend import open_backend
from matinee.errors import UsageError
from matinee.runtime import worker_backend
from matinee.settings import Settings


def test_on_aws_all_four_are_awss(on_aws):
    backend = open_backend(Settings.from_environment())
    assert isinstance(backend.store, DynamoStore)
    assert isinstance(backend.files, S3Files)
    assert isinstance(backend.logs, CloudWatchLogs)
    settings = Settings.from_environment()
    assert isinstance(worker_backend.open_store(settings), DynamoStore)
    assert isinstance(worker_backend.open_files(settings), S3Files)
    assert isinstance(worker_backend.open_log_writer(settings), StreamLogs)


def test_functions_are_called_at_their_alias(on_aws, monkeypatch):
    import boto3

    called = []

    def client(self, service, **more):
        class Client:
            def invoke(self, **arguments):
                called.append((arguments, more["config"]))

        return Client()

    monkeypatch.setattr(boto3.Session, "client", client)
    monkeypatch.setattr("matinee.lambda_api.invoker._clients", {})
    open_backend(Settings.from_environment()).invoker.poke("matinee-dispatcher")
    arguments, config = called[0]
    assert (arguments["FunctionName"], arguments["Qualifier"]) == ("matinee-app-dev-matinee-dispatcher", "live")
    assert config.tcp_keepalive


def test_correction_17_a_slow_prediction_is_sent_once_and_its_connection_kept_alive(on_aws):
    invoker = open_backend(Settings.from_environment()).invoker
    config = invoker._open().meta.config
    assert config.retries == {"total_max_attempts": 1, "mode": "standard"}
    assert config.tcp_keepalive
    assert config.read_timeout > 900


@pytest.mark.parametrize("name", ["MATINEE_TABLE", "MATINEE_BUCKET"])
def test_an_environment_without_table_or_bucket_says_so(on_aws, monkeypatch, name):
    monkeypatch.delenv(name)
    with pytest.raises(UsageError, match=f"no {name}") as caught:
        open_backend(Settings.from_environment())
    assert "stage=" in caught.value.hint


def test_a_backend_that_is_opened_and_not_used_loads_no_boto3(on_aws):
    code = """
import sys
from matinee.settings import Settings
from matinee.client.backend import open_backend
from matinee.runtime import worker_backend
settings = Settings.from_environment()
open_backend(settings), worker_backend.open_files(settings), worker_backend.open_log_writer(settings)
print(*(sys.modules.keys() & {"boto3", "botocore"}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True, env=dict(os.environ)
    )
    assert done.stdout.split() == []
