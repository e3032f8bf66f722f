"""What fails for the moment is tried again, after pauses that grow, differ and end."""

from __future__ import annotations

import pytest

from matinee.retry import Backoff, backoff_s, retry

FULL = max  # the longest pause that chance may choose


def shortest(low: float, high: float) -> float:
    return low


class Step:
    """Fails so many times, then returns 7."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures, self.error, self.calls = failures, error, 0

    def __call__(self) -> int:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return 7


def test_pauses_double_up_to_the_cap_and_end_with_the_time():
    backoff = Backoff(base_s=1, cap_s=4, total_s=10)
    assert list(backoff.pauses_s(FULL)) == [1, 2, 4, 3]


def test_every_pause_is_at_least_a_tenth_of_its_ceiling():
    pauses = Backoff(base_s=1, cap_s=4, total_s=1).pauses_s(shortest)
    assert [round(pause, 3) for pause in pauses] == [0.1, 0.2, 0.4, 0.3]


def test_chance_decides_between_the_two():
    pauses = next(iter(Backoff(base_s=1).pauses_s()))
    assert 0.1 <= pauses <= 1


def test_tries_count_the_first_one():
    assert len(list(Backoff(tries=3).pauses_s(FULL))) == 2
    assert list(Backoff(tries=1).pauses_s(FULL)) == []


def test_a_step_is_tried_until_it_succeeds_and_each_error_is_reported():
    step, pauses, reported = Step(2, OSError("busy")), [], []
    backoff = Backoff(base_s=1, cap_s=9)
    assert retry(step, on=(OSError,), backoff=backoff, report=reported.append, sleep=pauses.append, between=FULL) == 7
    assert pauses == [1, 2]
    assert reported == [step.error] * 2


def test_the_last_error_is_raised_when_time_is_up():
    step, pauses = Step(99, OSError("busy")), []
    with pytest.raises(OSError, match="busy"):
        retry(step, on=(OSError,), backoff=Backoff(tries=3), sleep=pauses.append)
    assert (step.calls, len(pauses)) == (3, 2)


def test_any_other_error_is_raised_at_once():
    step = Step(1, ValueError("wrong"))
    with pytest.raises(ValueError, match="wrong"):
        retry(step, on=(OSError,), backoff=Backoff())
    assert step.calls == 1


def test_a_run_waits_twice_as_long_after_each_failure_up_to_a_cap():
    assert [backoff_s(n) for n in (1, 2, 3, 20)] == [1, 2, 4, 300]
