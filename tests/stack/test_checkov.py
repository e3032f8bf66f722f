"""checkov finds nothing that `checkov.toml` does not say a reason for, and every reason there is needed."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from matinee.stack.templates import app_template, data_template, edge_template, network_template, to_text
from support.checkov import failed_checks
from support.emulators import skip_if_unavailable

from .variants import SWITCHES, blueprint

SKIPS = tomllib.loads((Path(__file__).parent / "checkov.toml").read_text("utf-8"))["skips"]
FIRST = {switch: values[0] for switch, values in SWITCHES.items()}
LAST = {switch: values[-1] for switch, values in SWITCHES.items()}
VARIANTS = {
    "default": FIRST,
    "public": FIRST | {"edge": {"edge": "alb"}},
    "certificate": FIRST | {"edge": SWITCHES["edge"][3]},
    "everything": LAST | {"edge": SWITCHES["edge"][2], "gpu": {"gpu": 1}, "watch": SWITCHES["watch"][2]},
}


@pytest.mark.slow
def test_what_checkov_finds_is_what_there_is_a_reason_for(tmp_path):
    if not (os.environ.get("CI") or os.environ.get("MATINEE_CHECKOV")):
        pytest.skip("checkov is 200 MB: set MATINEE_CHECKOV=1 to have it installed and asked")
    for name, choice in VARIANTS.items():
        b = blueprint(choice)
        for part, template in (("data", data_template(b)), ("app", app_template(b)), ("edge", edge_template(b))):
            if template:
                (tmp_path / f"{name}-{part}.json").write_text(to_text(template))
    (tmp_path / "network.json").write_text(to_text(network_template()))
    found: dict[str, list[str]] = {}
    with skip_if_unavailable():
        for check, where in failed_checks(tmp_path):
            found.setdefault(check, []).append(where)
    assert {check: where for check, where in found.items() if check not in SKIPS} == {}
    assert SKIPS.keys() - found.keys() == set(), "these reasons are needed no more"
