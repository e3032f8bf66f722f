"""cfn-lint, with AWS's own schemas, finds nothing in any template, however the switches are set."""

from __future__ import annotations

import os
import re
from functools import cache

import pytest
from cfnlint.config import ConfigMixIn
from cfnlint.decode.decode import decode_str
from cfnlint.helpers import REGIONS
from cfnlint.runner import Runner
from cfnlint.runner.template import run_template_by_data
from hypothesis import HealthCheck, given, settings

from matinee.stack.limits import problems_of
from matinee.stack.templates import app_template, data_template, edge_template, network_template, to_text

from .variants import SWITCHES, anything, blueprint, choices

AT_RANDOM = int(os.environ.get("MATINEE_RANDOM_STACKS", "4"))


@cache
def linter(regions):
    """Return the linter's settings and its rules, which take a while to load."""
    config = ConfigMixIn(regions=list(regions))
    return config, Runner(config).rules


@cache
def found_in(text, regions=("eu-central-1",)):
    """Return what is found; the same template is looked at once."""
    template, problems = decode_str(text)
    matches = problems or run_template_by_data(template, *linter(regions))
    return [f"{'/'.join(map(str, match.path or ()))}: {match.message}" for match in matches]


def found(b):
    templates = (data_template(b), app_template(b), edge_template(b))
    return [line for template in templates if template for line in found_in(to_text(template))]


@pytest.mark.parametrize("number", range(24))
def test_nothing_is_found_in_any_variant(number):
    assert found(blueprint(choices()[number])) == []


def test_the_variants_set_every_switch_to_every_value_more_than_once():
    for switch, values in SWITCHES.items():
        for value in values:
            assert sum(choice[switch] == value for choice in choices()) >= 3, (switch, value)


@pytest.mark.parametrize("number", [2, 6])
def test_in_every_region_nothing_is_found_but_what_the_deployment_refuses_there(number):
    b = blueprint(choices()[number])
    for template in filter(None, (network_template(), data_template(b), app_template(b), edge_template(b))):
        lacking = {p.message for region in REGIONS for p in problems_of(template, region) if " has no AWS" in p.message}
        found = found_in(to_text(template), tuple(REGIONS))
        pattern = r".*Resource type '(.*)' does not exist in '(.*)'"
        assert {re.sub(pattern, r"The region \2 has no \1.", line) for line in found} == lacking


@settings(max_examples=AT_RANDOM, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(anything)
def test_nothing_is_found_in_any_other_way_to_set_them(b):
    assert found(b) == []


@pytest.mark.parametrize("zones", [2, 3, 6])
def test_nothing_is_found_in_the_network(zones):
    assert found_in(to_text(network_template(zones))) == []


def test_what_is_wrong_would_be_found(make):
    template = app_template(make())
    template["Resources"]["UiDefinition"]["Properties"]["NetworkMode"] = "awsvcp"
    template["Resources"]["FunctionChat"]["Properties"]["MemorySize"] = 20_000
    template["Resources"]["UiService"]["Properties"]["Cluster"] = {"Ref": "Clutser"}
    assert len(found_in(to_text(template))) >= 3
