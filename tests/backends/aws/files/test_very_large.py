"""Files of gigabytes: streamed in parts, with little memory, however large they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from matinee.backends.aws import files as aws_files
from matinee.backends.aws.files import MOST_PARTS, PART_BYTES
from matinee.errors import LimitError

SIZE = 512 << 20
MEMORY_MB = 96  # what an upload may add: five parts of 8 MB, and what sending them takes
UPLOAD = """
import json, resource, sys
from matinee.backends.aws.files import S3Files
from matinee.backends.aws.session import Session
from matinee.settings import AwsSettings

def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

files = S3Files(Session(AwsSettings("", "bucket", "eu-central-1", sys.argv[1])))
files.put("small", b"")
before = peak_mb()
with open(sys.argv[2], "rb") as stream:
    size = files.put("big", stream)
print(json.dumps({"size": size, "grew_mb": peak_mb() - before}))
"""


class Sink(BaseHTTPRequestHandler):
    """S3 as far as an upload needs it: counts what comes and keeps nothing."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _taken(self):
        left = size = int(self.headers.get("Content-Length") or 0)
        buffer = memoryview(bytearray(1 << 20))
        while left:
            left -= self.rfile.readinto(buffer[: min(left, len(buffer))])
        return size

    def _answer(self, body=b""):
        self.send_response(200)
        self.send_header("ETag", '"e"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self):
        self.server.parts.append(self._taken())
        self._answer()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.posts.append((self.path.partition("?")[2], body))
        self._answer(b"<Result><UploadId>upload</UploadId></Result>")


@pytest.fixture
def sink():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    server.parts, server.posts = [], []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.slow
def test_half_a_gigabyte_goes_in_parts_with_bounded_memory(sink, tmp_path):
    file = tmp_path / "sparse"
    with file.open("wb") as stream:
        stream.truncate(SIZE)
    done = subprocess.run(
        [sys.executable, "-c", UPLOAD, f"http://127.0.0.1:{sink.server_port}", str(file)],
        env={**os.environ, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    print(told)
    parts = sink.parts[1:]  # the first is the small file
    assert told["size"] == sum(parts) == SIZE
    assert len(parts) == SIZE // PART_BYTES
    assert told["grew_mb"] < MEMORY_MB
    (begun, _), (_, listed) = sink.posts
    assert "uploads" in begun
    assert listed.count(b"<PartNumber>") == len(parts), "every part is named when the upload is completed"


@pytest.mark.parametrize("size_gb", [5, 50, 80])
def test_so_large_a_file_fits_into_the_parts_that_s3_takes(size_gb):
    assert -(-size_gb * 10**9 // PART_BYTES) <= MOST_PARTS


def test_a_file_that_does_not_fit_is_refused_and_leaves_nothing(files, session, monkeypatch):
    monkeypatch.setattr(aws_files, "PART_BYTES", 5 << 20)
    monkeypatch.setattr(aws_files, "MOST_PARTS", 2)
    with pytest.raises(LimitError, match="The file 'big' is larger than"):
        files.put("big", bytes(11 << 20))
    assert list(files.list("")) == []
    assert session.client("s3").list_multipart_uploads(Bucket=session.settings.bucket).get("Uploads", []) == []
