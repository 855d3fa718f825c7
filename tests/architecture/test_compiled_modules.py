"""What mypyc compiles keeps the rules of `dsql.compiled_modules`; nothing here needs a compiler."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from importlib import import_module

import msgspec
import pytest
from source_tree import modules, top_level_imports_of

from dsql.compiled_modules import COMPILED_MODULES, runs_compiled
from dsql.session import interrupts

COMPILED = set(COMPILED_MODULES)


def classes() -> Iterator[tuple[str, ast.ClassDef]]:
    for module, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                yield module, node


def bases(node: ast.ClassDef) -> list[str]:
    """The last parts of its bases' names."""
    return [ast.unparse(base).partition("[")[0].rpartition(".")[2] for base in node.bases]


def test_what_runs_is_what_was_asked_for() -> None:
    assert runs_compiled() == bool(os.environ.get("COMPILED"))


@pytest.mark.parametrize("module", COMPILED_MODULES)
def test_a_signal_finds_frames_of_all_that_must_not_be_cut(module: str) -> None:
    assert module in modules()
    assert not f"{module}.".startswith(interrupts._ATOMIC)
    names = {node.name for node in ast.walk(modules()[module]) if isinstance(node, ast.FunctionDef)}
    assert not names & set(interrupts._DESTRUCTORS)
    assert "_getframe" not in ast.dump(modules()[module])


@pytest.mark.parametrize("module", COMPILED_MODULES)
def test_mypyc_knows_all_that_a_module_is_made_of(module: str) -> None:
    for node in ast.walk(modules()[module]):
        assert not isinstance(node, ast.TryStar | ast.AsyncFunctionDef), node.lineno


@pytest.mark.parametrize("module", COMPILED_MODULES)
def test_no_struct_loses_its_annotations(module: str) -> None:
    for value in vars(import_module(module)).values():
        if isinstance(value, type) and value.__module__ == module:
            assert not issubclass(value, msgspec.Struct), value


def test_no_interpreted_class_inherits_from_a_compiled_one() -> None:
    compiled = {node.name: module for module, node in classes() if module in COMPILED}
    for module, node in classes():
        if module not in COMPILED:
            for base in bases(node):
                assert compiled.get(base) not in top_level_imports_of(module), (module, node.name)


@pytest.mark.parametrize("module", COMPILED_MODULES)
def test_nothing_compiled_calls_itself(module: str) -> None:
    for owner in ast.walk(modules()[module]):
        if isinstance(owner, ast.Module | ast.ClassDef):
            prefix = "self." if isinstance(owner, ast.ClassDef) else ""
            for node in owner.body:
                if isinstance(node, ast.FunctionDef):
                    calls = {ast.unparse(n.func) for n in ast.walk(node) if isinstance(n, ast.Call)}
                    assert prefix + node.name not in calls, (module, node.lineno)
