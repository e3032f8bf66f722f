"""Which adapters a process's settings open; and that opening them loads and calls nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from matinee.backends.aws.files import S3Files
from matinee.backends.aws.logs import CloudWatchLogs, StreamLogs
from matinee.backends.aws.store import DynamoStore
from matinee.backends.factory import open_backend, open_files, open_log_writer, open_store
from matinee.errors import UsageError
from matinee.manifest import ComponentManifest, PredictorManifest, Resources, to_json
from matinee.settings import DISPATCHER, Settings
from matinee.worker.slot import HeldSlot


def test_on_aws_all_four_are_awss(on_aws):
    backend = open_backend(Settings.from_environment())
    assert isinstance(backend.store, DynamoStore)
    assert isinstance(backend.files, S3Files)
    assert isinstance(backend.logs, CloudWatchLogs)
    settings = Settings.from_environment()
    assert isinstance(open_store(settings), DynamoStore)
    assert isinstance(open_files(settings), S3Files)
    assert isinstance(open_log_writer(settings), StreamLogs)


def by_a_client(settings, _folder):
    open_backend(settings).invoker.poke(DISPATCHER)


def by_a_worker(settings, folder):
    manifest = PredictorManifest("plan", "batch", "plans", "", {}, {}, Resources())
    (folder / "manifest.json").write_text(json.dumps(to_json(ComponentManifest("plans", "hash", "v1", (manifest,)))))
    told = settings._replace(manifest=folder / "manifest.json", predictor="plan", slot_token="token")
    HeldSlot(told, store=None)._poke()


@pytest.mark.parametrize("poke", [by_a_client, by_a_worker])
def test_the_dispatcher_is_called_at_its_alias_whoever_pokes_it(on_aws, monkeypatch, tmp_path, poke):
    import boto3

    called = []

    def client(self, service, **more):
        class Client:
            def invoke(self, **arguments):
                called.append((arguments, more))

        return Client()

    monkeypatch.setattr(boto3.Session, "client", client)
    monkeypatch.setattr("matinee.lambda_api.invoker._clients", {})
    poke(Settings.from_environment(), tmp_path)
    ((arguments, made),) = called
    assert (arguments["FunctionName"], arguments["Qualifier"]) == ("matinee-app-dev-matinee-dispatcher", "live")
    assert arguments["InvocationType"] == "Event"
    assert (made["endpoint_url"], made["region_name"]) == (None, "eu-central-1")


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
from matinee.backends.factory import open_backend, open_files, open_log_writer
settings = Settings.from_environment()
open_backend(settings), open_files(settings), open_log_writer(settings)
print(*(sys.modules.keys() & {"boto3", "botocore"}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True, env=dict(os.environ)
    )
    assert done.stdout.split() == []
