"""Files as a worker's child uses them: what fails is tried again, for hours of work may hang on one put.

When it does not come right, the attempt fails and says why: a run never succeeds without its result.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from matinee.errors import BackendError, PredictionError

if TYPE_CHECKING:
    from matinee.ports import Files

TRIES = 5  # on AWS each of them is the SDK's five
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
    for attempt in range(TRIES):
        try:
            return step()
        except (BackendError, OSError) as error:
            reason = error
        time.sleep(0.1 * 2**attempt)
    hint = reason.hint if isinstance(reason, BackendError) else ""
    said = reason.message if isinstance(reason, BackendError) else str(reason)
    raise PredictionError(
        f"It was not possible to {what}: {said}",
        hint=hint or "Look at the free space and the rights of the app's files.",
    ) from reason
