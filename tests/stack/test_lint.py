"""cfn-lint, with AWS's own schemas, finds nothing in any template."""

from __future__ import annotations

from cfnlint.api import lint

from matinee.stack import app_template, data_template, edge_template, network_template, to_text


def found_in(template):
    return [f"{match.path} {match.message}" for match in lint(to_text(template), regions=["eu-central-1"])]


def test_nothing_is_found_in_the_default_layout(make):
    b = make()
    for template in (network_template(), data_template(b), app_template(b), edge_template(b)):
        assert found_in(template) == []
