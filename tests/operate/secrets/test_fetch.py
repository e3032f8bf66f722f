"""What a deployed function fetches at INIT: by one signed request of the standard library, before its component."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import boto3
import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from matinee.errors import BackendError
from matinee.rehearsal.world import ACCOUNT, REGION, ministack
from matinee.runtime import secrets
from matinee.runtime.secrets import Place, fetch, signed
from support.emulators import skip_if_unavailable

AT = datetime(2026, 11, 26, 9, 5, 7, tzinfo=UTC)
BODY = json.dumps({"Names": ["/matinee/app/dev/Schlüssel"], "WithDecryption": True}).encode()


@pytest.mark.parametrize("token", ["", "a+token/with=signs=="])
@pytest.mark.parametrize("host", ["ssm.eu-central-1.amazonaws.com", "127.0.0.1:4566"])
def test_the_signature_is_the_one_botocore_makes(token, host, monkeypatch):
    place = Place(f"https://{host}", "eu-central-1", "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", token)
    ours = signed(place, host, BODY, AT.timestamp())
    monkeypatch.setattr(auth, "get_current_datetime", lambda *_, **__: AT.replace(tzinfo=None))
    told = {name: ours[name] for name in ("content-type", "x-amz-target")}
    request = AWSRequest("POST", place.endpoint + "/", headers=told, data=BODY)
    credentials = Credentials(place.key, place.secret, token or None)
    auth.SigV4Auth(credentials, "ssm", place.region).add_auth(request)
    assert ours["authorization"] == request.headers["Authorization"]
    assert ours["x-amz-date"] == request.headers["X-Amz-Date"] == "20261126T090507Z"
    assert ours.get("x-amz-security-token") == request.headers.get("X-Amz-Security-Token")


@pytest.mark.parametrize(
    ("region", "endpoint"),
    [
        ("eu-central-1", "https://ssm.eu-central-1.amazonaws.com"),
        ("cn-north-1", "https://ssm.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_it_asks_the_region_s_own_endpoint(region, endpoint):
    assert Place.from_environment({"AWS_REGION": region}).endpoint == endpoint


def environment(endpoint, **told):
    wanted = ",".join(f"{name}={path}" for name, path in told.items())
    return {
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "test",
        "MATINEE_AWS_ENDPOINT": endpoint,
        "MATINEE_PREDICTOR": "ask",
        "MATINEE_STAGE": "prod",
        "MATINEE_SECRETS": wanted,
    }


def test_it_fetches_from_ssm_whatever_a_secret_holds(ssm, endpoint):
    values = {f"KEY_{number}": f"välue {number}, = 'x'\n" for number in range(23)}  # more than one call's ten
    for name, value in values.items():
        ssm.put_parameter(Name=f"/matinee/app/prod/{name}", Value=value, Type="SecureString")
    told = {name: f"/matinee/app/prod/{name}" for name in values}
    assert fetch(environment(endpoint, **told)) == values


def test_one_that_is_not_there_is_named_with_the_command_that_sets_it(endpoint):
    with pytest.raises(BackendError) as told:
        fetch(environment(endpoint, GONE="/matinee/other/prod/GONE"))
    assert str(told.value) == (
        "The secret GONE of ask is not set: SSM has no parameter /matinee/other/prod/GONE. "
        "Set it: matinee secret set GONE --stage prod"
    )


@contextmanager
def answering(*answers):
    """Serve these answers, (status, body) each, and yield the address and what was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            status, body = answers[min(len(asked), len(answers)) - 1]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode() if isinstance(body, dict) else body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


GOOD = (200, {"Parameters": [{"Name": "/p/KEY", "Value": "v"}], "InvalidParameters": []})
THROTTLED = (400, {"__type": "ThrottlingException", "message": "Rate exceeded"})


@pytest.mark.parametrize("first", [THROTTLED, (500, {"__type": "InternalServerError"}), (503, b"<html>")])
def test_what_fails_for_the_moment_is_asked_again(first, monkeypatch):
    pauses = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    with answering(first, first, GOOD) as (endpoint, asked):
        assert fetch(environment(endpoint, KEY="/p/KEY")) == {"KEY": "v"}
    assert len(asked) == 3
    assert len(pauses) == 2


DENIED = "User: … is not authorized to perform: ssm:GetParameters on resource: …"
KMS = "The ciphertext refers to a key that … kms:Decrypt …"


@pytest.mark.parametrize(
    ("answer", "times", "says"),
    [
        (THROTTLED, 3, "SSM refuses (ThrottlingException): Rate exceeded"),
        ((400, {"__type": "x#AccessDeniedException", "Message": DENIED}), 1, "is not allowed ssm:GetParameters"),
        (
            (400, {"__type": "AccessDeniedException", "message": KMS}),
            1,
            "is not allowed kms:Decrypt. Allow kms:Decrypt",
        ),
        ((403, b"no"), 1, "SSM refuses (no reason given)"),
    ],
)
def test_what_stays_wrong_is_said_in_one_sentence_without_a_value(answer, times, says, monkeypatch):
    monkeypatch.setattr(secrets.time, "sleep", lambda _: None)
    with answering(answer) as (endpoint, asked), pytest.raises(BackendError) as told:
        fetch(environment(endpoint, KEY="/p/KEY"))
    assert len(asked) == times
    assert says in str(told.value)
    assert "test" not in str(told.value), "the key that signs"


def test_a_place_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr(secrets.time, "sleep", lambda _: None)
    with answering(GOOD) as (endpoint, _):
        pass
    with pytest.raises(BackendError, match=r"SSM does not answer at http://127\.0\.0\.1:\d+ .*network"):
        fetch(environment(endpoint, KEY="/p/KEY"))


SOURCE = """
import os
from matinee import realtime
HAD = os.environ.get("KEY", "nothing")

@realtime(secrets=["KEY"])
def ask() -> str:
    return HAD
"""
PROBE = """
import json, sys
try:
    import matinee.runtime.realtime as handler
    answer = handler._FUNCTION()
except BaseException as error:
    answer = [str(part) for part in vars(error).values()]
print(json.dumps([answer, sorted(sys.modules)]))
"""


@pytest.fixture
def init(tmp_path):
    """Return a function that starts a predictor's process in an environment: its answer and what it has imported."""
    source = tmp_path / "paid.py"
    source.write_text(SOURCE)
    manifest = {"label": "v1", "predictors": [{"name": "ask", "parameters": {}, "result": {}}]}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))

    def start(**told):
        told |= {"MATINEE_PREDICTOR": "ask", "MATINEE_SOURCE": str(source)}
        told |= {"MATINEE_MANIFEST": str(tmp_path / "manifest.json")}
        done = subprocess.run([sys.executable, "-c", PROBE], env=told, capture_output=True, text=True, check=True)
        return json.loads(done.stdout.splitlines()[-1])

    return start


def test_correction_11_secrets_are_there_before_the_component_is_imported_and_without_boto3(init):
    with answering(GOOD) as (endpoint, _):
        answer, modules = init(**environment(endpoint, KEY="/p/KEY"))
    assert answer == "v"
    assert not {"boto3", "botocore", "pydantic"} & set(modules)


def test_where_there_are_no_secrets_nothing_is_imported_for_them(init):
    answer, modules = init()
    assert answer == "nothing"
    assert not {"matinee.runtime.secrets", "http.client", "hmac", "ssl"} & set(modules)


def test_a_secret_that_is_not_set_fails_the_start_with_its_sentence(init):
    with answering((200, {"Parameters": [], "InvalidParameters": ["/p/KEY"]})) as (endpoint, _):
        answer, _ = init(**environment(endpoint, KEY="/p/KEY"))
    assert any("The secret KEY of ask is not set" in part for part in answer)


@pytest.fixture(scope="module")
def strict():
    """Return the address of an AWS that checks signatures and policies, and keys of who may read and who may not."""
    with skip_if_unavailable(), ministack(AUTH="true") as endpoint:
        root = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": REGION}
        iam, ssm = (boto3.client(service, endpoint_url=endpoint, **root) for service in ("iam", "ssm"))
        ssm.put_parameter(Name="/matinee/app/prod/KEY", Value="value", Type="SecureString")
        keys = {}
        for user, action in (("reader", "ssm:GetParameters"), ("stranger", "ssm:DescribeParameters")):
            iam.create_user(UserName=user)
            # the emulator looks at this action on every resource, whichever it is asked for
            document = {"Effect": "Allow", "Action": action, "Resource": "*"}
            policy = json.dumps({"Version": "2012-10-17", "Statement": [document]})
            iam.put_user_policy(UserName=user, PolicyName="own", PolicyDocument=policy)
            made = iam.create_access_key(UserName=user)["AccessKey"]
            told = {"AWS_ACCESS_KEY_ID": made["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"]}
            keys[user] = told
        yield endpoint, keys


def test_an_aws_that_checks_signatures_and_policies_takes_ours(strict):
    endpoint, keys = strict
    assert fetch(environment(endpoint, KEY="/matinee/app/prod/KEY") | keys["reader"]) == {"KEY": "value"}


def test_what_the_role_does_not_allow_is_named(strict):
    endpoint, keys = strict
    with pytest.raises(BackendError, match=r"is not allowed ssm:GetParameters\. Allow .* on /matinee/app/prod/KEY"):
        fetch(environment(endpoint, KEY="/matinee/app/prod/KEY") | keys["stranger"])


def test_a_key_that_signs_wrongly_is_refused(strict):
    endpoint, keys = strict
    wrong = keys["reader"] | {"AWS_SECRET_ACCESS_KEY": "x" * 40}
    with pytest.raises(BackendError, match=r"SSM refuses .*[Ss]ignature"):
        fetch(environment(endpoint, KEY="/matinee/app/prod/KEY") | wrong)
