"""Folders and files that only their user may enter, read or write: 0700 and 0600, whatever the umask says.

They are made so: never made open and closed afterwards. A folder that an older Matinee left open is closed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, Any

from matinee.errors import DiskError

FOLDER_MODE = 0o700
FILE_MODE = 0o600


def make_private_folder(folder: Path) -> None:
    """Make the folder and what is missing above it; only `folder` itself is closed to others if it was there.

    Raises DiskError when that is not possible.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir(FOLDER_MODE)
        except FileExistsError:
            if folder.stat().st_mode & 0o077 and folder.stat().st_uid == os.geteuid():
                folder.chmod(FOLDER_MODE)
    except OSError as error:
        raise DiskError(
            f"The data folder {folder} cannot be made: {error.strerror}.",
            hint="Make the app's folder writable, or copy the app to one that is.",
        ) from None


def open_private(path: Path, mode: str, **options: Any) -> IO[bytes]:
    """Open a file as `open` does; one that is made is its user's alone."""
    file: IO[bytes] = open(path, mode, opener=_open_for_user, **options)  # noqa: SIM115 - an opener is passed
    return file


def _open_for_user(path: str, flags: int) -> int:
    return os.open(path, flags, FILE_MODE)
