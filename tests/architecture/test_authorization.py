"""Nothing runs that has not passed the one authorization step: no statement kind can forget it."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from types import FunctionType
from typing import Any

from source_tree import imports_of, modules

from dsql.ddl import execute as ddl
from dsql.session import utility as session
from dsql.session.pipeline import QUERIES
from dsql.sql.libpg_query import grammar

# What makes statements of its own is a road for queries, which pass the step when they are compiled.
ROADS = {*QUERIES, "Transaction", *session.ROADS}


def _calls(name: str) -> set[str]:
    """Return the modules that call something by this name."""
    return {
        module
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name | ast.Attribute)
        and (node.func.id if isinstance(node.func, ast.Name) else node.func.attr) == name
    }


def _handlers() -> Iterator[tuple[str, Any]]:
    for table in (ddl.UTILITIES, session.UTILITIES):
        for name, statement in table.items():
            handler = statement._handler
            for cell in handler.__closure__ or ():
                handler = cell.cell_contents  # of a node's handler
            assert isinstance(handler, FunctionType), name
            yield name, handler


def test_only_the_step_lets_anything_run() -> None:
    assert _calls("Authorized") == {"dsql.access.authorize"}


def test_only_what_passed_the_step_becomes_a_query() -> None:
    assert _calls("CompiledQuery") == {"dsql.session.pipeline"}
    compilers = {module for module in modules() if "dsql.executor.compiler" in imports_of(module)}
    # A job continues a statement that has passed the step.
    assert compilers == {"dsql.session.compiled", "dsql.ddl.rebuild", "dsql.ddl.job_runner"}
    assert "dsql.access.authorize" in imports_of("dsql.session.pipeline")


def test_every_statement_is_in_one_table() -> None:
    tables = [ROADS, set(session.UTILITIES), set(ddl.UTILITIES)]
    known = set().union(*tables)
    assert sum(map(len, tables)) == len(known)
    nodes = {name.removesuffix("Stmt") for name in grammar.DESCRIPTOR.message_types_by_name}
    assert known <= nodes | {"IamGrant"}


def test_every_utility_statement_says_what_it_needs() -> None:
    for table in (ddl.UTILITIES, session.UTILITIES):
        assert all(isinstance(statement, ddl.Utility) for statement in table.values())
        assert all(callable(statement._requires) for statement in table.values())


def test_no_handler_is_reached_past_its_table() -> None:
    importers = defaultdict(set)
    for module, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    importers[f"{node.module}.{alias.name}"].add(module)
    for name, handler in _handlers():
        whole = f"{handler.__module__}.{handler.__name__}"
        table = "dsql.ddl.execute" if name in ddl.UTILITIES else "dsql.session.utility"
        assert importers[whole] <= {table}, whole
    openers = {
        module
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in ("_handler", "_requires")
    }
    assert openers <= {"dsql.ddl.execute"}


def _is_settings(node: ast.AST) -> bool:
    """Tell whether an expression is called as a session's parameters are everywhere."""
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return name in ("settings", "_settings")


def test_parameters_are_changed_in_one_room() -> None:
    for module, tree in modules().items():
        if module == "dsql.session.settings" or not module.startswith("dsql."):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and _is_settings(node.value):
                assert not node.attr.startswith("_"), (module, node.lineno)
                assert isinstance(node.ctx, ast.Load), (module, node.lineno)


def test_what_a_parameter_is_set_to_was_checked() -> None:
    for function in ast.walk(modules()["dsql.session.settings"]):
        if isinstance(function, ast.FunctionDef):
            called = {
                node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                for node in ast.walk(function)
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute)
            }
            assert "_put" not in called or "_checked" in called, function.name


def test_only_statements_write_to_the_catalog() -> None:
    """What a query calls has the catalog to read."""
    writers = _calls("CatalogWriter")
    assert {module.rpartition(".")[0] for module in writers} == {"dsql.ddl", "dsql.session"}
