"""`[aws]` and `[stages.NAME.aws]`: how the app stands on AWS, checked with file, line and key."""

from __future__ import annotations

import re

import pytest

from matinee.errors import ProjectError
from matinee.project.aws import Aws, Capacity, OfficeHours, UiSize
from matinee.project.load import load

CERTIFICATE = "arn:aws:acm:us-east-1:111122223333:certificate/abc"


@pytest.fixture
def read(tmp_path):
    (tmp_path / "work.py").write_text("from matinee import realtime\n\n@realtime\ndef work() -> int: ...\n")

    def loaded(toml, stage=""):
        (tmp_path / "matinee.toml").write_text(toml)
        return load(tmp_path).for_stage(stage).aws

    return loaded


def test_without_a_table_the_defaults_hold(read):
    aws = read("")
    assert aws == Aws()
    assert (aws.edge, aws.architecture, aws.table, aws.password_in) == ("cloudfront", "arm64", None, "ssm")
    assert aws.ui == UiSize(0.25, 512, 1, 3)


def test_everything_is_read(read):
    aws = read(f"""
        [aws]
        region = "eu-central-1"
        certificate = "{CERTIFICATE}"
        domain = "app.example.com"
        hosted_zone = "Z0A1B2"
        architecture = "x86_64"
        spot = false
        table = {{ read = 5, write = 10 }}
        vpc = "vpc-0a1b"
        subnets = ["subnet-1", "subnet-2"]
        ui = {{ cpu = 0.5, memory_mb = 1024, min = 2, max = 4 }}
        office_hours = {{ days = "MON-THU,sat", start = "08:00", end = "18:30", timezone = "Europe/Berlin" }}
        alarms_to = "me@example.com"
        budget_usd = 40
        dashboard = false
        log_retention_days = 14
        tags = {{ team = "research" }}
        password_in = "secrets-manager"
        permissions_boundary = "arn:aws:iam::111122223333:policy/limits"
        gpu_instances = ["g5.xlarge"]
    """)
    assert (aws.region, aws.domain, aws.hosted_zone, aws.spot) == ("eu-central-1", "app.example.com", "Z0A1B2", False)
    assert (aws.table, aws.subnets) == (Capacity(5, 10), ("subnet-1", "subnet-2"))
    assert aws.ui == UiSize(0.5, 1024, 2, 4)
    assert aws.office_hours == OfficeHours(("MON", "TUE", "WED", "THU", "SAT"), "08:00", "18:30", "Europe/Berlin")
    assert (aws.budget_usd, aws.dashboard, aws.log_retention_days, aws.tags) == (40, False, 14, {"team": "research"})
    assert aws.gpu_instances == ("g5.xlarge",)


def test_a_stage_changes_single_keys(read):
    toml = """
        [aws]
        spot = false
        ui = { cpu = 0.5, memory_mb = 1024 }
        tags = { team = "research" }
        [stages.prod.aws]
        ui = { min = 2 }
        tags = { level = "gold" }
    """
    assert read(toml, "prod") == Aws(spot=False, ui=UiSize(0.5, 1024, 2, 3), tags={"team": "research", "level": "gold"})
    assert read(toml, "dev").ui.min == 1


WRONG = {
    "an unknown key": ('[aws]\nedeg = "alb"', r"line 2: unknown key 'edeg' in \[aws\]", "Did you mean edge?"),
    "an edge": ('[aws]\nedge = "nginx"', 'line 2: aws.edge must be one of "cloudfront", "alb"', ""),
    "an architecture": ('[aws]\narchitecture = "arm"', 'aws.architecture must be one of "arm64", "x86_64"', ""),
    "a region": ('[aws]\nregion = "Frankfurt"', 'aws.region must be as in "eu-central-1"', ""),
    "capacity in half": ("[aws]\ntable = { read = 5 }", "aws.table needs read and write", "pay per request"),
    "a vpc alone": ('[aws]\nvpc = "vpc-1"', "aws.vpc needs two subnets in two zones", "Add subnets"),
    "subnets alone": ('[aws]\nsubnets = ["subnet-1", "subnet-2"]', "aws.subnets needs their vpc", "Add vpc"),
    "a domain alone": ('[aws]\ndomain = "a.example.com"', "aws.domain needs a certificate", ""),
    "a certificate alone": (f'[aws]\ncertificate = "{CERTIFICATE}"', "aws.certificate needs a domain", ""),
    "a zone alone": ('[aws]\nhosted_zone = "Z0A"', "aws.hosted_zone needs a domain", ""),
    "more than the most": ("[aws]\nui = { min = 5 }", "aws.ui.min is 5, and max 3", "max must be at least min"),
    "no hours": ('[aws]\noffice_hours = { days = "MON-FRI" }', "aws.office_hours needs start and end", "As in"),
    "a time": (
        '[aws]\noffice_hours = { start = "8:00", end = "18:00" }',
        'aws.office_hours.start must be a time as in "08:30"',
        "",
    ),
    "hours over night": (
        '[aws]\noffice_hours = { start = "20:00", end = "06:00" }',
        "aws.office_hours.end must be later than its start",
        "",
    ),
    "days": (
        '[aws]\noffice_hours = { days = "FRI-MON", start = "08:00", end = "18:00" }',
        "aws.office_hours.days must be as in MON-FRI or MON,WED",
        "",
    ),
    "a timezone": (
        '[aws]\noffice_hours = { start = "08:00", end = "18:00", timezone = "Berlin" }',
        "aws.office_hours.timezone 'Berlin' is not known",
        "tz database",
    ),
    "a retention": ("[aws]\nlog_retention_days = 31", "aws.log_retention_days cannot be 31", "CloudWatch takes 30."),
    "an address": ('[aws]\nalarms_to = "me"', "aws.alarms_to must be an e-mail address", ""),
    "a budget for nobody": ("[aws]\nbudget_usd = 5", "aws.budget_usd has nobody to tell", "Add alarms_to"),
    "a tag that is no text": ("[aws]\ntags = { cost = 5 }", "aws.tags.cost must be a text", ""),
    "a tag that IAM refuses": ('[aws]\ntags = { team = "R&D (Berlin)" }', "can hold only letters", "IAM takes no more"),
    "a tag of AWS's": ('[aws]\ntags = { "aws:x" = "5" }', "a tag cannot be called aws:x", "Matinee's own"),
    "a stage's": ('[stages.prod.aws]\nvpc = "vpc-1"', "line 2: stages.prod.aws.vpc needs two subnets", ""),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_with_its_key(read, name):
    toml, message, hint = WRONG[name]
    with pytest.raises(ProjectError) as caught:
        read(toml)
    assert re.search(message, caught.value.message) or message in caught.value.message
    assert "matinee.toml, line " in caught.value.message
    assert hint in (caught.value.hint or "")
