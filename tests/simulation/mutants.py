"""The product with one rule switched off, to show that the simulation notices.

Each mutant says what a program of its kind once got wrong, or might. They are the functions of the modules
named below: each takes a patch.
"""

from __future__ import annotations

import types
from collections.abc import Callable

import pytest

from . import adjudicator_mutants, journal_mutants, storage_mutants

Mutant = Callable[[pytest.MonkeyPatch], None]


def _mutants_of(module: types.ModuleType) -> dict[str, Mutant]:
    return {
        name: function
        for name, function in vars(module).items()
        if isinstance(function, types.FunctionType) and function.__module__ == module.__name__
    }


MUTANTS: dict[str, Mutant] = {
    name: mutant
    for module in (journal_mutants, adjudicator_mutants, storage_mutants)
    for name, mutant in _mutants_of(module).items()
}


def mutate(patch: pytest.MonkeyPatch, name: str) -> None:
    """Switch a rule off, by the mutant's name; "" leaves the product as it is."""
    if name:
        MUTANTS[name](patch)
