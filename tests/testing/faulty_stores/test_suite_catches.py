"""The store's contract is worth what it catches: it is run, check by check, against stores with a planted fault."""

from __future__ import annotations

import importlib.util
from itertools import product
from pathlib import Path

import pytest

from matinee.backends.local.store import SqliteStore
from matinee.testing.store_contract import StoreContract

# Loaded by path: tests are no package.
_spec = importlib.util.spec_from_file_location("planted", Path(__file__).with_name("planted.py"))
planted = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(planted)


def checks():
    """Yield the name, the method and the arguments of every check of the contract."""
    for name in sorted(vars_of(StoreContract)):
        method = getattr(StoreContract(), name)
        marks = [mark for mark in getattr(method, "pytestmark", []) if mark.name == "parametrize"]
        for values in product(*(mark.args[1] for mark in marks)):
            yield name, method, {mark.args[0]: value for mark, value in zip(marks, values, strict=True)}


def vars_of(contract):
    return [name for name in dir(contract) if name.startswith("test_")]


def broken(make, folder):
    """Yield the checks that a store does not pass, each on a store of its own."""
    for number, (name, method, arguments) in enumerate(checks()):
        store = make(folder / str(number) / "state.db")
        try:
            method(store=store, **arguments)
        except Exception:
            yield name
        finally:
            store.close()


def test_a_store_without_a_fault_passes_every_check(tmp_path):
    assert list(broken(SqliteStore, tmp_path)) == []
    assert len(list(checks())) >= 50


@pytest.mark.parametrize("faulty", planted.FAULTY, ids=lambda faulty: faulty.__name__)
def test_a_planted_fault_is_caught(faulty, tmp_path):
    caught = next(broken(faulty, tmp_path), None)
    assert caught, f"no check saw that a store {faulty.__doc__[0].lower()}{faulty.__doc__[1:]}"
    print(f"{faulty.__name__}: {caught}")
