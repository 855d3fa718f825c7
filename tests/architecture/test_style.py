"""House rules that a machine can check. The exceptions are a ratchet: they may only go away."""

from __future__ import annotations

import ast

from source_tree import modules, path_of

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 60
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "base"}

# function -> its length today
LONG_FUNCTIONS: dict[str, int] = {}
# module -> its length today
LONG_FILES: dict[str, int] = {}


def _functions(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def test_files_stay_small() -> None:
    for module in modules():
        lines = len(path_of(module).read_text("utf-8").splitlines())
        assert lines <= LONG_FILES.get(module, FILE_LINES_MAX), f"{module}: {lines} lines"


def test_functions_stay_small() -> None:
    for module, tree in modules().items():
        for function in _functions(tree):
            lines = (function.end_lineno or function.lineno) - function.lineno + 1
            limit = LONG_FUNCTIONS.get(f"{module}.{function.name}", FUNCTION_LINES_MAX)
            assert lines <= limit, f"{module}.{function.name}: {lines} lines"


def test_every_module_says_what_it_is_for() -> None:
    for module, tree in modules().items():
        assert ast.get_docstring(tree), module


def test_package_roots_hold_a_docstring_only() -> None:
    for module, tree in modules().items():
        if path_of(module).name == "__init__.py":
            assert len(tree.body) == 1, module


def test_no_bag_modules_and_no_star_imports() -> None:
    for module, tree in modules().items():
        assert module.split(".")[-1] not in BANNED_NAMES, module
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                assert all(alias.name != "*" for alias in node.names), module
