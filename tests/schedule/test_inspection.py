"""A schedule that cannot be is told at inspection: at the function, or at the line of the `matinee.toml`."""

from __future__ import annotations

import pytest

from matinee.cli import main
from matinee.environments.inspect import inspect_app
from matinee.errors import ProjectError
from matinee.project.load import load

NEEDS = """
    from matinee import batch, realtime

    @batch{options}
    def plan(days: int) -> int:
        return days

    @realtime
    def greet(name: str) -> str:
        return name
"""


def troubled(folder):
    return inspect_app(load(folder))[0].manifest.trouble


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ('(schedule="cron(0 9 * * *)", examples=[{"days": 1}])', "'cron(0 9 * * *)' has 5 fields and not 6."),
        ('(schedule="rate(1 day)")', "plan has a schedule, and nobody is there to give it days."),
    ],
)
def test_the_decorator_s_schedule_is_checked_with_file_and_line(write_app, options, says):
    trouble = troubled(write_app(plan=NEEDS.replace("{options}", options)))
    assert (trouble.message, trouble.line) == (says, 4)
    assert trouble.hint


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ('(schedule="cron(0 9 1 JAN ? 2020)", examples=[{"days": 1}])', "plan: 'cron(0 9 1 JAN ? 2020)' never comes."),
        (
            '(schedule="rate(1 day)", timezone="Berlin", examples=[{"days": 1}])',
            "plan: 'Berlin' is no time zone that this machine knows.",
        ),
    ],
)
def test_a_schedule_that_never_comes_and_an_unknown_zone_are_trouble_of_the_component(write_app, options, says):
    trouble = troubled(write_app(plan=NEEDS.replace("{options}", options)))
    assert trouble.message == says
    assert trouble.hint


def test_matinee_toml_may_not_say_nonsense_either(write_app):
    source = NEEDS.replace("{options}", '(examples=[{"days": 1}])')
    folder = write_app('[stages.prod.predictors.plan]\nschedule = "daily"', plan=source)
    with pytest.raises(ProjectError, match=r"matinee\.toml, line 4: 'daily' is no schedule\. As in"):
        load(folder)


@pytest.mark.parametrize("table", ["predictors.{}", "stages.prod.predictors.{}"])
@pytest.mark.parametrize(
    ("predictor", "says"),
    [("greet", "greet has a schedule, and it is a realtime predictor"), ("plan", "nobody is there to give it days")],
)
def test_a_schedule_in_matinee_toml_must_suit_its_predictor(write_app, table, predictor, says):
    folder = write_app(f'[{table.format(predictor)}]\nschedule = "rate(1 day)"', plan=NEEDS.replace("{options}", ""))
    with pytest.raises(ProjectError, match=says):
        inspect_app(load(folder))


def test_a_right_one_is_part_of_the_manifest_and_shown(write_app, capsys):
    options = '(schedule="rate(1 day)", secrets=["KEY"], examples=[{"days": 1}])'
    folder = write_app(plan=NEEDS.replace("{options}", options))
    (item,) = inspect_app(load(folder))
    assert item.manifest.predictors[0].resources.schedule == "rate(1 day)"
    assert main.run(["inspect", "--app", str(folder)]) == 0
    assert "1 worker, rate(1 day), secrets KEY" in capsys.readouterr().out
