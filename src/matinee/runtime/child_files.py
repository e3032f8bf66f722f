"""Files as a worker's child uses them: what fails is tried again, for hours of work may hang on one put.

When it does not come right, the attempt fails and says why: a run never succeeds without its result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from matinee.errors import BackendError, PredictionError
from matinee.retry import Backoff, retry

if TYPE_CHECKING:
    from matinee.ports import Files

BACKOFF = Backoff(base_s=0.2, cap_s=2.0, tries=5)  # on AWS each try is the SDK's five
T = TypeVar("T")


class Patiently:
    """The part of Files by which results go and large inputs come, insisted on."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def put(self, key: str, data: bytes, *, media_type: str = "application/octet-stream") -> int:
        """See `ports.Files`; PredictionError when it does not come right."""
        return insist("store the result", lambda: self._files.put(key, data, media_type=media_type))

    def read(self, key: str) -> bytes:
        """See `ports.Files`; PredictionError when it does not come right."""
        return insist("read the inputs", lambda: self._files.read(key))


def insist(what: str, step: Callable[[], T]) -> T:
    """Do a step at Files, again while it fails; PredictionError with the reason when it does not come right."""
    try:
        return retry(step, on=(BackendError, OSError), backoff=BACKOFF)
    except (BackendError, OSError) as error:
        cause, hint = (error.message, error.hint) if isinstance(error, BackendError) else (str(error), "")
        raise PredictionError(
            f"It was not possible to {what}: {cause}",
            hint=hint or "Look at the free space and the rights of the app's files.",
        ) from error
