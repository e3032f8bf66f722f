"""Renew the tables of keys in docs/reference/matinee-toml.md from where the keys are declared."""

from __future__ import annotations

import re
from pathlib import Path

from matinee.project.aws import Aws
from matinee.project.fields import reference
from matinee.project.model import Api, Limits
from matinee.project.sections import Auth, Notices, Ui

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "matinee-toml.md"
SECTIONS = {"limits": Limits, "ui": Ui, "auth": Auth, "api": Api, "notices": Notices, "aws": Aws}


def renewed(page: str) -> str:
    """Return the page with its tables as the keys are declared; ValueError if one has no place there."""
    for name, section in SECTIONS.items():
        header = f"| key of `[{name}]` | default | meaning |\n| --- | --- | --- |\n"
        if header not in page:
            raise ValueError(f"{PAGE} has no table of [{name}].")
        page = re.sub(f"({re.escape(header)})(?:\\|.*\n)*", lambda found: found[1] + reference(section), page)  # noqa: B023
    return page


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text("utf-8")), "utf-8")
