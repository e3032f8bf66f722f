"""state, track, progress and context: plain Python without a backend, the backend's when bound."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import matinee
from matinee.errors import InputError, MatineeError, PredictionError
from matinee.predictors.context import Context, bind


@pytest.fixture(autouse=True)
def unbound() -> Iterator[None]:
    matinee.state.clear()
    yield
    bind(None)
    matinee.state.clear()


class Recorder:
    """A binding that keeps what it is told."""

    context = Context("run", "ada", "v7", 2, 99.0, "plan")

    def __init__(self) -> None:
        self.reports: list[tuple[float | None, str]] = []
        self.values: dict[str, Any] = {}

    def report(self, fraction: float | None, message: str) -> None:
        self.reports.append((fraction, message))

    def call(self, name: str, inputs: Any) -> Any:
        if name == "strict":
            raise InputError("gender", "is required")
        return name, dict(inputs)

    def map(self, name: str, rows: Any) -> list[Any]:
        return [self.call(name, row) for row in rows]

    def submit(self, name: str, inputs: Any) -> str:
        return f"run of {name}"

    def state_get(self, key: str) -> Any:
        return self.values.get(key)

    def state_set(self, key: str, value: Any) -> None:
        self.values[key] = value

    def state_increment(self, key: str, by: float) -> float:
        self.values[key] = (self.values.get(key) or 0) + by
        return self.values[key]

    def state_swap(self, key: str, old: Any, new: Any) -> bool:
        if self.values.get(key) != old:
            return False
        self.values[key] = new
        return True


@pytest.fixture(params=["unbound", "bound"])
def state(request: pytest.FixtureRequest) -> Any:
    if request.param == "bound":
        bind(Recorder())
    return matinee.state


def test_state_is_like_a_dict(state: Any) -> None:
    assert state.get("a") is None
    assert state.get("a", 3) == 3
    state["a"] = {"b": [1]}
    assert state["a"] == {"b": [1]}
    assert "a" in state
    del state["a"]
    assert "a" not in state
    with pytest.raises(KeyError):
        state["a"]


def test_a_counter_begins_where_it_is_told(state: Any) -> None:
    assert state.increment("n") == 1
    assert state.increment("n", by=2) == 3
    assert state.increment("m", start=10) == 11
    assert state.increment("m", start=10) == 12


def test_swap_happens_only_if_nobody_was_faster(state: Any) -> None:
    assert state.swap("a", None, {"n": 1})
    assert not state.swap("a", None, {"n": 2})
    assert state.swap("a", {"n": 1}, {"n": 2})
    assert state["a"] == {"n": 2}


def test_what_state_gives_is_a_copy_and_must_be_json() -> None:
    value = {"n": [1]}
    matinee.state["a"] = value
    value["n"].append(2)
    matinee.state["a"]["n"].append(3)
    assert matinee.state["a"] == {"n": [1]}
    with pytest.raises((TypeError, ValueError)):
        matinee.state["a"] = {1, 2}


def test_counting_in_threads_loses_nothing() -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: matinee.state.increment("n"), range(1000)))
    assert matinee.state["n"] == 1000


def test_context_says_which_run_this_is() -> None:
    assert matinee.context() == Context()
    bind(Recorder())
    assert (matinee.context().run_id, matinee.context().user, matinee.context().attempt) == ("run", "ada", 2)


def test_track_reports_the_first_and_the_last_step_and_passes_items_on() -> None:
    binding = Recorder()
    bind(binding)
    assert list(matinee.track([1, 2, 3, 4], "Planning")) == [1, 2, 3, 4]
    assert binding.reports[0] == (0.0, "Planning 0/4")
    assert binding.reports[-1] == (1.0, "Planning 4/4")


def test_track_of_a_generator_does_not_guess() -> None:
    binding = Recorder()
    bind(binding)
    assert list(matinee.track((n for n in range(3)), "Rows")) == [0, 1, 2]
    assert binding.reports[0] == (None, "Rows 0")
    assert list(matinee.track([], "Nothing")) == []


def test_many_steps_are_few_reports() -> None:
    binding = Recorder()
    bind(binding)
    list(matinee.track(range(100_000)))
    assert len(binding.reports) < 20


def test_progress_stays_between_nothing_and_all() -> None:
    binding = Recorder()
    bind(binding)
    for fraction in (-1, 0.5, 7, None):
        matinee.progress(fraction, "m")
    assert binding.reports == [(0.0, "m"), (0.5, "m"), (1.0, "m"), (None, "m")]


def test_without_a_terminal_nothing_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(matinee.track([1], "x")) == [1]
    matinee.progress(0.5, "half")
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_a_bar_is_drawn_to_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    list(matinee.track([1, 2], "Planning"))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("█" * 30 + " Planning 2/2\n")


def test_a_bound_handle_goes_through_the_backend() -> None:
    bind(Recorder())
    handle = matinee.predictor("recommend")
    assert handle(gender="male") == ("recommend", {"gender": "male"})
    assert handle.map([{"n": 1}, {"n": 2}]) == [("recommend", {"n": 1}), ("recommend", {"n": 2})]
    assert handle.submit(n=1) == "run of recommend"


def test_an_input_the_callee_refuses_is_the_callers_failure() -> None:
    bind(Recorder())
    with pytest.raises(PredictionError, match="strict refused its input: gender: is required"):
        matinee.predictor("strict")()


def test_an_unbound_handle_calls_the_plain_function_of_that_name() -> None:
    @matinee.realtime
    def doubled_for_this_test(n: int) -> int:
        return 2 * n

    handle = matinee.predictor("doubled_for_this_test")
    assert handle(n=2) == 4
    assert handle.map([{"n": n} for n in range(20)]) == [2 * n for n in range(20)]
    with pytest.raises(MatineeError, match="needs a running app"):
        handle.submit(n=1)


def test_an_unbound_handle_on_nothing_says_what_to_do() -> None:
    with pytest.raises(MatineeError, match="no predictor of that name is declared") as refused:
        matinee.predictor("nowhere")()
    assert "import the module that declares nowhere" in refused.value.hint
