"""What is taken out of a template for the emulator, and that nothing else is."""

from __future__ import annotations

from matinee.manifest import ComponentManifest, PredictorManifest, Resources
from matinee.names import Names
from matinee.project.aws import Aws
from matinee.rehearsal.rehearsal import NOT_ON_MINISTACK, adapt
from matinee.stack.blueprint import Blueprint
from matinee.stack.templates import app_template, data_template, edge_template

PREDICTORS = (
    PredictorManifest("recommend", "realtime", "c", "", {}, {}, Resources()),
    PredictorManifest("plan", "batch", "c", "", {}, {}, Resources()),
)
STAGE = Blueprint(Names("app", "dev"), "App", (ComponentManifest("c", "0" * 16, "v1", PREDICTORS),), Aws())


def changed(before, after):
    """Return the types that are gone, and the logical ids of what is not as it was."""
    gone = {r["Type"] for name, r in before["Resources"].items() if name not in after["Resources"]}
    was = before["Resources"]
    other = {name for name, r in after["Resources"].items() if r.get("Properties") != was[name].get("Properties")}
    return gone, other


def test_of_what_runs_only_trust_is_eased_for_who_plays_the_services():
    before = app_template(STAGE)
    after = adapt(before)
    gone, other = changed(before, after)
    assert gone <= NOT_ON_MINISTACK
    assert {after["Resources"][name]["Type"] for name in other} == {"AWS::IAM::Role"}
    for name in other:
        was, now = (t["Resources"][name]["Properties"] for t in (before, after))
        assert was["Policies"] == now["Policies"], "what a role may is as it was"
        (statement,) = now["AssumeRolePolicyDocument"]["Statement"]
        assert "Condition" not in statement
        assert statement["Principal"] == was["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]


def test_of_what_is_kept_only_the_ban_on_plain_http_goes():
    before = data_template(STAGE)
    gone, other = changed(before, adapt(before))
    assert (gone, other) == ({"AWS::S3::BucketPolicy"}, set())


def test_nothing_is_left_of_cloudfront():
    assert not adapt(edge_template(STAGE))["Resources"]
