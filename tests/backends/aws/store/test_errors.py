"""Every error of AWS is a sentence with the way out, and one line in the log."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from botocore import exceptions

from matinee.backends.aws.errors import explained
from matinee.backends.aws.session import Session
from matinee.errors import BackendError, LimitError, NotFoundError, UnansweredError
from matinee.settings import AwsSettings


def answered(code, text="", status=400):
    response = {"Error": {"Code": code, "Message": text}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return exceptions.ClientError(response, "PutItem")


URL = "https://dynamodb.eu-central-1.amazonaws.com"


@pytest.mark.parametrize(
    ("error", "kind", "message", "hint"),
    [
        (
            answered("AccessDeniedException"),
            BackendError,
            "dynamodb:PutItem is not allowed",
            "dynamodb:PutItem on table/t",
        ),
        (answered("AccessDenied", "no", 403), BackendError, "is not allowed", "Allow dynamodb:PutItem on table/t"),
        (answered("ExpiredTokenException"), BackendError, "does not accept the credentials", "aws sso login"),
        (answered("UnrecognizedClientException"), BackendError, "does not accept the credentials", "AWS_PROFILE"),
        (answered("ResourceNotFoundException", "gone"), BackendError, "does not exist", "Deploy the app"),
        (answered("ThrottlingException"), BackendError, "asked too often", "quota"),
        (answered("LimitExceededException", "10 tables"), BackendError, "a quota of the account", "Service Quotas"),
        (answered("RequestTimeTooSkewed"), BackendError, "refuses the request's time", "clock"),
        (answered("ValidationException", "Item size has exceeded"), LimitError, "this large", "files"),
        (answered("InternalServerError", "oops", 500), UnansweredError, "oops", "Try again"),
        (answered("ValidationException", "strange"), BackendError, "strange", "fault"),
        (exceptions.NoCredentialsError(), BackendError, "no AWS credentials", "aws sts get-caller-identity"),
        (exceptions.ProfileNotFound(profile="x"), BackendError, "x", "AWS_PROFILE"),
        (exceptions.NoRegionError(), BackendError, "no region", "AWS_REGION"),
        (exceptions.EndpointConnectionError(endpoint_url=URL), BackendError, "cannot be reached", "network"),
        (exceptions.ConnectTimeoutError(endpoint_url=URL), BackendError, "cannot be reached", "subnet"),
        (
            exceptions.ReadTimeoutError(endpoint_url=URL),
            UnansweredError,
            "connection to the table t broke",
            "Try again",
        ),
        (exceptions.ParamValidationError(report="bad"), BackendError, "bad", "configuration"),
    ],
)
def test_an_error_of_aws_names_the_way_out_and_is_logged_once(error, kind, message, hint, caplog):
    with pytest.raises(kind, match=message) as raised, explained("The table t", "dynamodb:PutItem", "table/t"):
        raise error
    assert hint in raised.value.hint
    assert raised.value.__cause__ is error
    (record,) = caplog.records
    line = json.loads(record.getMessage())
    assert line == record.aws
    assert (line["event"], line["action"], line["resource"]) == ("aws_call_failed", "dynamodb:PutItem", "table/t")


@pytest.mark.parametrize("error", [KeyError("ours"), NotFoundError("There is no file.")])
def test_what_is_no_error_of_aws_passes_and_is_not_logged(error, caplog):
    with pytest.raises(type(error)) as raised, explained("The table t", "dynamodb:PutItem", "table/t"):
        raise error
    assert raised.value is error
    assert caplog.records == []


def test_settings_travel_by_the_environment():
    settings = AwsSettings("app-dev", "app-dev-files", "eu-central-1", "http://127.0.0.1:4566")
    assert AwsSettings.from_environment(settings.environment()) == settings
    assert AwsSettings.from_environment({"AWS_DEFAULT_REGION": "eu-west-1"}) == AwsSettings(region="eu-west-1")


def test_clients_are_patient_shared_and_made_once(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    session = Session(AwsSettings(region="eu-central-1"))
    client = session.client("dynamodb")
    assert session.client("dynamodb") is client
    config = client.meta.config
    assert (config.retries["mode"], config.retries["total_max_attempts"]) == ("standard", 5)
    assert config.tcp_keepalive is True
    assert config.max_pool_connections >= 64
    assert session.client("dynamodb", retry=False).meta.config.retries["total_max_attempts"] == 1


def test_boto3_is_imported_when_something_is_asked_of_aws():
    code = (
        "import sys\n"
        "from matinee.backends.aws.files import S3Files\n"
        "from matinee.backends.aws.session import Session\n"
        "from matinee.backends.aws.store import DynamoStore\n"
        "from matinee.settings import AwsSettings\n"
        "session = Session(AwsSettings('t', 'b'))\n"
        "DynamoStore(session), S3Files(session)\n"
        "assert not {'boto3', 'botocore', 'pydantic'} & set(sys.modules), sorted(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
