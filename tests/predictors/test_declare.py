"""A decorated function remains the plain function; the decorator only notes what it is."""

from __future__ import annotations

import pytest

from matinee import batch, realtime


def test_bare_and_with_arguments_the_function_stays_itself() -> None:
    def f(a: int) -> int:
        return a + 1

    assert realtime(f) is f
    assert batch(retries=2)(f) is f
    assert f(1) == 2


def test_the_declaration_is_frozen_and_has_the_defaults() -> None:
    @realtime
    def f() -> None: ...

    @batch(cpu=1, secrets=["KEY"], examples=[{"a": 1}])
    def g() -> None: ...

    assert f.__matinee__.kind == "realtime"
    assert dict(f.__matinee__.resources) == {"memory_mb": 512, "timeout_s": 30, "concurrency": 0, "secrets": ()}
    assert g.__matinee__.kind == "batch"
    assert g.__matinee__.resources["cpu"] == 1
    assert g.__matinee__.resources["secrets"] == ("KEY",)
    assert g.__matinee__.examples == ({"a": 1},)
    with pytest.raises(AttributeError):
        g.__matinee__.kind = "realtime"


def test_one_decorator_used_twice_keeps_two_declarations() -> None:
    decorate = realtime(secrets=["A"])
    f, g = decorate(lambda: None), decorate(lambda: None)
    assert f.__matinee__ == g.__matinee__
    assert f.__matinee__.resources is not g.__matinee__.resources
