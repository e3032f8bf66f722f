"""Decode an upload in a child process with a memory limit: a small file may become gigabytes.

The process that everybody shares never opens a workbook, a Parquet file or a large picture. It calls `decode`, which
runs a module of ours as a child: the file is its standard input, options are JSON, and what it writes to its standard
output comes back as a temporary file. Nothing is pickled. The child's own end of this is `serve`.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import IO, Any, BinaryIO

from matinee.errors import InputError, RateError, UsageError

Json = Any

MEMORY_BYTES = 320 << 20  # of a child: with the UI's own it fits the 512 MB of the smallest task
OUTPUT_BYTES = 512 << 20
TIME_S = 60.0
WAIT_S = 60.0  # for the uploads of others: one is decoded at a time
_COPY_BYTES = 1 << 20
_TURN = threading.Semaphore(1)
_REFUSED = 3  # the exit code of a child whose output says why
_MUCH = "needs too much memory to be read"
_SMALLER = "Make it smaller, or split it."
_LARGE = "becomes too large when it is unpacked"


def decode(module: str, source: bytes | BinaryIO, options: Json = None) -> IO[bytes]:
    """Run `python -m MODULE OPTIONS` on the source and return what it wrote, as a temporary file at its start.

    Raises InputError ("The file …") for what the child refuses or cannot hold within MEMORY_BYTES, OUTPUT_BYTES and
    TIME_S; RateError while other uploads are decoded.
    """
    if not _TURN.acquire(timeout=WAIT_S):
        raise RateError("Other uploads are being read.", hint="Try again in a minute.", retry_after_s=WAIT_S)
    try:
        with _as_file(source) as file:
            output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
            command = [sys.executable, "-P", "-m", module, json.dumps(options)]
            child = subprocess.Popen(command, stdin=file, stdout=output, stderr=subprocess.DEVNULL, env=_environment())
            try:
                code = child.wait(TIME_S)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                child.kill()
                child.wait()
    finally:
        _TURN.release()
    if code == 0:
        output.seek(0)
        return output
    raise _error(code, output)


def _as_file(source: bytes | BinaryIO) -> IO[bytes]:
    """Return the source as a file that a child can seek in."""
    file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    if isinstance(source, bytes):
        file.write(source)
    else:
        source.seek(0)
        while piece := source.read(_COPY_BYTES):
            file.write(piece)
    file.seek(0)
    return file


def _environment() -> dict[str, str]:
    # Arrow's own allocators reserve a gigabyte at once, which the memory limit would count.
    return {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def _error(code: int | None, output: IO[bytes]) -> Exception:
    if code is None:
        return file_error(f"takes longer than {TIME_S:g} s to read", _SMALLER)
    if code != _REFUSED:  # ended by the system, or by a library that does not survive a full memory
        return file_error(_MUCH, _SMALLER)
    output.seek(0)
    found = json.loads(output.read())
    if found["is_input"]:
        return InputError("", found["message"], hint=found["hint"])
    return UsageError(found["message"], hint=found["hint"])


def file_error(why: str, hint: str = "") -> InputError:
    """Return the error about an uploaded file: `The file is empty.`"""
    return InputError("", f"The file {why}", hint=hint)


# --- the child process ------------------------------------------------------------------------------------------------


def serve(run: Callable[[BinaryIO, BinaryIO, Json], None]) -> None:
    """Run `run(source, output, options)` within the limits; what it refuses becomes the whole output."""
    _limit()
    output = sys.stdout.buffer
    try:
        run(sys.stdin.buffer, output, json.loads(sys.argv[1]))
        output.flush()
    except UsageError as error:
        _refuse(error)
    except MemoryError:
        _refuse(file_error(_MUCH, _SMALLER))
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise
        _refuse(file_error(_LARGE, _SMALLER))


def _refuse(error: UsageError) -> None:
    """Write the error in place of the output so far and end."""
    found = {"message": error.message, "hint": error.hint, "is_input": isinstance(error, InputError)}
    os.ftruncate(1, 0)
    os.lseek(1, 0, os.SEEK_SET)
    os.write(1, json.dumps(found).encode())
    os._exit(_REFUSED)


def _limit() -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    # RLIMIT_DATA counts what is written; RLIMIT_AS would count the code of libraries, too, which is shared.
    memory = resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS
    limits = {memory: MEMORY_BYTES, resource.RLIMIT_FSIZE: OUTPUT_BYTES, resource.RLIMIT_CPU: int(TIME_S)}
    for kind, most in limits.items():
        try:
            hard = resource.getrlimit(kind)[1]
            resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
        except (OSError, ValueError):  # macOS refuses a limit of memory
            continue
