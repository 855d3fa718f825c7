"""Dependencies point one way; roles meet only at their messages and clients."""

from __future__ import annotations

import pytest
from source_tree import PACKAGES, imports_of, modules, top_level_imports_of

ROLES = ("relay", "placement", "journal", "adjudicator", "storage", "control_plane")
DOORS = ("messages", "client")

# Which packages each role may import at all (through their doors where they are roles).
MAY_IMPORT = {
    "journal": {
        "dsql.rpc",
        "dsql.disk",
        "dsql.control",
        "dsql.limits",
        "dsql.transaction.interface",
    },
    "storage": {
        "dsql.rpc",
        "dsql.disk",
        "dsql.hub.waiter",
        "dsql.control",
        "dsql.limits",
        "dsql.errors",
        "dsql.encoding",
        "dsql.transaction.interface",
        "journal",
    },
    "adjudicator": {
        "dsql.rpc",
        "dsql.disk",
        "dsql.hub.waiter",
        "dsql.control",
        "dsql.limits",
        "dsql.transaction.interface",
        "dsql.encoding",
        "journal",
    },
    "placement": {
        "dsql.rpc",
        "dsql.disk",
        "dsql.control",
        "dsql.limits",
        "dsql.rate_limit",
        "dsql.errors",
        "dsql.session",
        "dsql.transaction.interface",
        "dsql.transaction.usage",
        "adjudicator",
        "storage",
    },
    "control_plane": {
        "dsql.rpc",
        "dsql.control",
        "dsql.client",
        "dsql.disk",
        "dsql.health",
        "dsql.iam",
        "dsql.limits",
        "dsql.rate_limit",
        "placement",
        "storage",
    },
    "relay": {
        "dsql.rpc",
        "dsql.control",
        "dsql.limits",
        "dsql.rate_limit",
        "dsql.errors",
        "dsql.wire",
        "dsql.tls",
        "dsql.session.handed",
        "dsql.client",
        "dsql.health",
        "dsql.iam",
        "placement",
    },
}

# Inside dsql, low to high: a layer may import those before it.
LAYERS = (
    ("dsql.errors", "dsql.limits", "dsql.rate_limit", "dsql.call_thread"),
    ("dsql.rpc", "dsql.disk", "dsql.hub", "dsql.regex", "dsql.iam"),
    ("dsql.control",),
    (
        "dsql.encoding",
        "dsql.wire",
        "dsql.types",
        "dsql.tls",
        "dsql.catalog.schema",
        "dsql.access.privileges",
        "dsql.session.handed",
    ),
    ("dsql.transaction", "dsql.health"),
    ("dsql.functions",),
    ("dsql.access", "dsql.catalog"),
    ("dsql.sequences", "dsql.locks"),
    ("dsql.sql",),
    ("dsql.planner",),
    ("dsql.executor",),
    ("dsql.ddl",),
    ("dsql.session",),
    ("dsql.chaos",),
    ("dsql.cli",),
    ("dsql.pytest_plugin",),
)
PURE_PACKAGES = (
    "dsql.access",
    "dsql.iam",
    "dsql.wire",
    "dsql.encoding",
    "dsql.regex",
    "dsql.types",
    "dsql.functions",
    "dsql.sql",
    "dsql.planner",
)
IO_MODULES = {"asyncio", "socket", "select", "subprocess", "threading", "uvloop", "lmdb"}


def _role(module: str) -> str:
    return module.split(".")[0]


def _layer(module: str) -> int:
    """Return the layer whose longest prefix names the module, -1 for none (dsql.client)."""
    best, level = "", -1
    for number, prefixes in enumerate(LAYERS):
        for prefix in prefixes:
            inside = module == prefix or module.startswith(prefix + ".")
            if inside and len(prefix) > len(best):
                best, level = prefix, number
    return level


def _ours(module: str) -> list[str]:
    return [name for name in imports_of(module) if _role(name) in PACKAGES]


def test_roles_are_entered_only_through_messages_and_client() -> None:
    entered = {
        (module, name)
        for module in modules()
        if not module.startswith("dsql.cli")
        for name in _ours(module)
        if _role(name) in ROLES
        and _role(name) != _role(module)
        and name.split(".")[-1] not in DOORS
    }
    # An AZ process puts journal, adjudicator and storage on one event loop.
    assert not entered


@pytest.mark.parametrize("role", ROLES)
def test_a_role_imports_only_what_it_may(role: str) -> None:
    allowed = MAY_IMPORT[role] | {role}
    wrong = {
        (module, name)
        for module in modules()
        if _role(module) == role
        for name in _ours(module)
        if not any(name == prefix or name.startswith(prefix + ".") for prefix in allowed)
    }
    assert not wrong


def test_layers_of_dsql_import_only_lower_ones() -> None:
    wrong = {
        (module, name)
        for module in modules()
        if _role(module) == "dsql" and _layer(module) >= 0
        for name in _ours(module)
        if _role(name) == "dsql" and _layer(name) > _layer(module)
    }
    assert not wrong


def test_wire_and_sql_do_not_know_each_other() -> None:
    for module in modules():
        if module.startswith("dsql.wire"):
            assert not any(name.startswith("dsql.sql") for name in imports_of(module)), module
        if module.startswith("dsql.sql"):
            assert not any(name.startswith("dsql.wire") for name in imports_of(module)), module


def test_a_users_program_does_not_load_the_server() -> None:
    for module in modules():
        if module.startswith("dsql.client"):
            inner = [n for n in _ours(module) if not n.startswith(("dsql.client", "dsql.errors"))]
            assert not inner, module


def test_only_dsql_sql_imports_the_parsers() -> None:
    for module in modules():
        if not module.startswith("dsql.sql"):
            parsers = {name.split(".")[0] for name in imports_of(module)} & {"sqlglot", "postgast"}
            assert not parsers, module


def test_nothing_imports_the_command_line() -> None:
    for module in modules():
        if not module.startswith("dsql.cli."):
            assert not any(name.startswith("dsql.cli.") for name in _ours(module)), module


@pytest.mark.parametrize("package", PURE_PACKAGES)
def test_pure_packages_do_no_io(package: str) -> None:
    for module in modules():
        if module.startswith(package):
            used = {name.split(".")[0] for name in imports_of(module)} & IO_MODULES
            assert not used, module


def test_there_is_no_import_cycle() -> None:
    graph = {
        module: [name for name in top_level_imports_of(module) if name in modules()]
        for module in modules()
    }
    state: dict[str, int] = {}
    path: list[str] = []

    def visit(module: str) -> None:
        state[module] = 1
        path.append(module)
        for name in graph[module]:
            if name == module:
                continue
            assert state.get(name) != 1, " -> ".join([*path[path.index(name) :], name])
            if name not in state:
                visit(name)
        path.pop()
        state[module] = 2

    for module in graph:
        if module not in state:
            visit(module)
