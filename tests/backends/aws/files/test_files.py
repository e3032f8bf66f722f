"""What Files on S3 does beside the contract."""

from __future__ import annotations

import io
import urllib.request
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from matinee.backends.aws import files as aws_files
from matinee.backends.aws.files import PART_BYTES, S3Files
from matinee.backends.aws.session import Session
from matinee.errors import BackendError, ConflictError, LimitError, NotFoundError, UsageError
from matinee.settings import AwsSettings
from support.wire import Wire


@pytest.fixture
def wire(session):
    wire = Wire(session.client("s3"))
    yield wire
    wire.off()


class Endless(io.RawIOBase):
    """A stream of so many bytes that gives a few at a time."""

    def __init__(self, size, breaks=False):
        self.left = size
        self.breaks = breaks

    def read(self, size=-1):
        given = min(self.left, 1_000_003, size)
        self.left -= given
        if not given and self.breaks:
            raise ConnectionResetError("the browser is gone")
        return b"x" * given


class TestLarge:
    def test_a_large_stream_goes_in_parts_and_comes_back_whole(self, files, wire):
        size = 3 * PART_BYTES + 5
        assert files.put("big", Endless(size)) == size
        assert wire.operations == {"POST": 2, "PUT": 4}
        with files.open("big") as stream:
            assert stream.seek(0, io.SEEK_END) == size
            stream.seek(PART_BYTES - 2)
            assert stream.read(4) == b"xxxx"
            stream.seek(0)
            assert sum(len(chunk) for chunk in iter(lambda: stream.read(1 << 20), b"")) == size

    def test_an_upload_that_breaks_off_leaves_no_parts(self, files, session):
        with pytest.raises(ConnectionResetError):
            files.put("big", Endless(2 * PART_BYTES, breaks=True))
        assert list(files.list("")) == []
        uploads = session.client("s3").list_multipart_uploads(Bucket=session.settings.bucket)
        assert uploads.get("Uploads", []) == []

    def test_a_part_that_is_refused_aborts_the_upload(self, files, session, wire):
        wire.answer("PUT", 403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>", times=1)
        with pytest.raises(BackendError, match="s3:PutObject is not allowed"):
            files.put("big", Endless(2 * PART_BYTES))
        assert session.client("s3").list_multipart_uploads(Bucket=session.settings.bucket).get("Uploads", []) == []

    def test_a_large_stream_may_refuse_to_replace(self, files):
        files.put("big", b"small")
        with pytest.raises(ConflictError):
            files.put("big", Endless(PART_BYTES + 1), replace=False)
        assert files.read("big") == b"small"


class TestFaults:
    def test_puts_at_the_same_moment_are_tried_again(self, files, wire):
        conflict = b"<Error><Code>ConditionalRequestConflict</Code><Message>at once</Message></Error>"
        wire.answer("PUT", 409, conflict, times=2)
        assert files.put("key", b"value", replace=False) == 5
        assert wire.operations["PUT"] == 3

    def test_a_put_that_may_not_replace_knows_its_own_after_a_lost_answer(self, files, wire):
        wire.lose_answers("PUT")
        assert files.put("key", b"value", replace=False) == 5
        wire.cut("PUT")
        with pytest.raises(ConflictError):
            files.put("key", b"other", replace=False)

    @pytest.mark.parametrize("fault", ["lose_answers", "cut"])
    def test_a_broken_connection_is_tried_again(self, files, wire, fault):
        getattr(wire, fault)("PUT", times=2)
        files.put("key", b"value")
        getattr(wire, fault)("GET", times=2)
        assert files.read("key") == b"value"

    def test_a_download_that_breaks_goes_on_where_it_broke(self, files, wire, session, monkeypatch):
        data = bytes(range(256)) * 8192
        files.put("key", data)
        stream = files.open("key")
        body = stream.raw._body
        read = body.read
        monkeypatch.setattr(body, "read", lambda most: read(1000) if body.tell() < 5000 else _broken())
        assert stream.read() == data
        assert [sent.operation for sent in wire.sent].count("GET") == 2

    def test_a_file_replaced_during_a_download_is_not_mixed_with_it(self, files, monkeypatch):
        files.put("key", b"a" * 100_000)
        stream = files.open("key")
        files.put("key", b"b" * 100_000)
        monkeypatch.setattr(stream.raw, "_body", None)
        with pytest.raises(BackendError):
            stream.read()

    def test_what_is_denied_names_the_permission_and_the_file(self, files, wire, caplog):
        wire.answer("GET", 403, b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
        with pytest.raises(BackendError, match="s3:GetObject is not allowed") as raised:
            files.read("results/1.png")
        assert f"bucket/{files._bucket}/results/1.png" in raised.value.hint
        assert '"code": "AccessDenied"' in caplog.text

    def test_a_missing_bucket_and_a_closed_port_are_said(self, session):
        settings = session.settings
        gone = S3Files(Session(AwsSettings(settings.table, "matinee-not-there", settings.region, settings.endpoint)))
        with pytest.raises(BackendError, match="The bucket matinee-not-there does not exist"):
            gone.put("key", b"")
        deaf = S3Files(Session(AwsSettings(settings.table, settings.bucket, settings.region, "http://127.0.0.1:9")))
        with pytest.raises(BackendError, match="cannot be reached") as raised:
            deaf.read("key")
        assert "network" in raised.value.hint

    def test_names_that_s3_does_not_take_are_refused(self, files):
        with pytest.raises(LimitError, match="longer than 1024 bytes"):
            files.put("k" * 1025, b"")
        with pytest.raises(UsageError, match="is not text"):
            files.put("\ud83d", b"")
        with pytest.raises(UsageError, match="must have a name"):
            files.put("", b"")
        with pytest.raises(NotFoundError):
            files.open("")


def _broken():
    raise ConnectionResetError("gone")


class TestLinks:
    """Correction 13."""

    @pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
    def test_correction_13_a_link_is_signed_by_v4_for_the_regional_host(self, region, monkeypatch):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        files = S3Files(Session(AwsSettings(bucket="app-dev", region=region)))
        link = urlsplit(files.download_url("results/1.png", name='päper "1".png', media_type="image/png"))
        asked = parse_qs(link.query)
        assert link.scheme == "https"
        assert link.netloc == f"app-dev.s3.{region}.amazonaws.com"
        assert asked["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
        assert 0 < int(asked["X-Amz-Expires"][0]) <= 600
        (disposition,) = asked["response-content-disposition"]
        assert disposition.startswith("attachment; filename*=UTF-8''")
        assert unquote(disposition.partition("''")[2]) == 'päper "1".png'
        assert asked["response-content-type"] == ["image/png"]

    def test_correction_13_a_browser_saves_by_the_link(self, files):
        files.put("results/ü 1.png", b"bytes", media_type="image/png")
        with urllib.request.urlopen(files.download_url("results/ü 1.png"), timeout=10) as answer:
            assert answer.read() == b"bytes"
            assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''%C3%BC%201.png"
            assert answer.headers["Content-Type"] == "image/png"


def test_more_files_than_one_request_takes_are_deleted(files, wire, monkeypatch):
    monkeypatch.setattr(aws_files, "_DELETED_AT_ONCE", 4)
    keys = [f"{n}" for n in range(10)]
    for key in keys:
        files.put(key, b"")
    wire.sent.clear()
    files.delete(keys)
    assert list(files.list("")) == []
    assert wire.operations["POST"] == 3
