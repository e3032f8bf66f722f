"""A person as the app knows them: a name their runs are filed under, and a role."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal

from matinee.errors import UsageError

Role = Literal["user", "owner"]
LONGEST_NAME = 64


@dataclass(frozen=True)
class Person:
    """Somebody who may use the app. An owner sees everybody's runs."""

    name: str
    role: Role = "user"

    @property
    def is_owner(self) -> bool:
        """Whether they own the app."""
        return self.role == "owner"


LOCAL = Person("local", "owner")  # who uses an app without sign-in, on their own machine


def clean_name(text: str) -> str:
    """Return the name as it is kept: "  Ada   B." is "ada b.", since a phone writes the first letter large.

    Raises UsageError for one that is empty, too long, or holds what cannot be shown.
    """
    name = " ".join(unicodedata.normalize("NFKC", text).split()).casefold()
    if not name:
        raise UsageError("The name is empty.", hint="Type the name your runs shall be filed under.")
    if len(name) > LONGEST_NAME:
        raise UsageError(f"The name is longer than {LONGEST_NAME} characters.", hint="Choose a shorter one.")
    if not name.isprintable():
        raise UsageError("The name holds characters that cannot be shown.", hint="Use letters, digits and spaces.")
    return name
