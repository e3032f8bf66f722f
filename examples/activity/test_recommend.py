"""A decorated function is the plain function: no service, no database, no network."""

from __future__ import annotations

from collections import Counter

import pytest
from recommend import GENDERS, START, draw, recommend

from matinee import state


@pytest.fixture(autouse=True)
def empty_state() -> None:
    state.clear()


def test_everybody_starts_with_the_four_activities() -> None:
    for gender in GENDERS:
        recommendation = recommend(gender)
        assert recommendation.candidates == sorted(START)
        assert recommendation.activity in START


def test_a_past_activity_becomes_a_candidate_for_the_same_gender() -> None:
    assert "chess" in recommend("female", "  Chess ").candidates
    assert "chess" in recommend("female").candidates
    assert "chess" not in recommend("male").candidates


def test_who_does_not_say_is_shown_what_everybody_does() -> None:
    recommend("female", "chess")
    recommend("male", "rowing")
    assert {"chess", "rowing", *START} == set(recommend("undisclosed").candidates)


def test_a_past_activity_is_counted() -> None:
    recommend("male", "baseball")
    recommend("male", "baseball")
    assert state.get("male")["baseball"] == START["baseball"] + 2


def test_the_draw_follows_the_counts() -> None:
    drawn = Counter(draw(Counter(often=90, seldom=10)) for _ in range(1000))
    assert drawn["often"] > drawn["seldom"] > 0
