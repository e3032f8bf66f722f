"""What a running `matinee dev` tells others of this user on this machine: where its Lambda service is, and its key.

`dev.lock` is held as long as the dev lives; `dev.json`, which only its user may read, says the rest.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from matinee.errors import MatineeError
from matinee.private_files import make_private_folder, open_private


@dataclass(frozen=True)
class DevRecord:
    """`dev.json`. The AWS CLI and boto3 take the endpoint and the two keys as they are."""

    pid: int
    lambda_endpoint: str
    url: str = ""
    aws: dict[str, str] | None = None  # where its data is, if on AWS
    aws_access_key_id: str = ""
    aws_secret_access_key: str = ""
    is_ready: bool = True  # its first release is live


def running_dev(data: Path) -> DevRecord | None:
    """Return the record of the dev that runs on this data folder, None if none does."""
    try:
        with (data / "dev.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except FileNotFoundError:
        return None
    except BlockingIOError:
        with suppress(OSError, ValueError, TypeError):
            return DevRecord(**json.loads((data / "dev.json").read_text()))
        return None


def write_dev_record(data: Path, record: DevRecord) -> None:
    """Tell others where this dev is; whole or not at all."""
    unfinished = data / "dev.json.tmp"
    with open_private(unfinished, "wb") as file:
        file.write(json.dumps(asdict(record)).encode())
    unfinished.replace(data / "dev.json")


@contextmanager
def dev_lock(data: Path) -> Iterator[None]:
    """Hold the dev lock of a data folder; MatineeError when another dev runs on it."""
    make_private_folder(data)
    with open_private(data / "dev.lock", "ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            running = running_dev(data)
            where = f" at {running.url}" if running and running.url else ""
            raise MatineeError(
                f"`matinee dev` already runs on this app{where}.", hint="Use that one, or end it first."
            ) from None
        try:
            yield
        finally:
            (data / "dev.json").unlink(missing_ok=True)
