"""Reads what CREATE FUNCTION and ALTER FUNCTION say of a function beside its parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dsql.ddl import nodes
from dsql.ddl.result import UtilityContext
from dsql.errors import SqlError
from dsql.sql.gate import ParsedStatement

_VOLATILITIES = {"immutable": "i", "stable": "s", "volatile": "v"}
_PARALLEL = {"safe": "s", "restricted": "r", "unsafe": "u"}

Settings = tuple[tuple[str, str], ...]


def read_options(
    elements: Iterable[Any], parsed: ParsedStatement, context: UtilityContext
) -> dict[str, Any]:
    """Return the options by the names of the fields of SqlFunction; `as` and others as they are.

    Raises SqlError 42601 for one that is said twice, 22023 for a value that it cannot have, and what SET
    raises. Option `set` becomes `changes`: (name, value), None to reset one; name "" resets all.
    """
    found: dict[str, Any] = {}
    changes: list[tuple[str, str | None]] = []
    for wrapped in elements:
        element = wrapped.def_elem
        name = element.defname
        if name == "set":
            changes.append(context.function_setting(nodes.inner(element.arg)))
            continue
        if name in found:
            position = parsed.position(element.location)
            raise SqlError("42601", "conflicting or redundant options", position=position)
        found[name] = element
    options = {_FIELDS.get(name, name): _value(name, element) for name, element in found.items()}
    return {**options, "changes": changes} if changes else options


_FIELDS = {"security": "security_definer"}


def _value(name: str, element: Any) -> Any:
    if name in ("strict", "security", "leakproof", "window"):
        return nodes.option_flag(element)
    if name == "transform":
        return [nodes.strings(each.type_name.names)[-1] for each in element.arg.list.items]
    value = nodes.option_value(element)
    if name == "volatility":
        return _VOLATILITIES[value]
    if name == "parallel":
        if value not in _PARALLEL:
            message = 'parameter "parallel" must be SAFE, RESTRICTED, or UNSAFE'
            raise SqlError("42601", message)
        return _PARALLEL[value]
    if name in ("cost", "rows"):
        if float(value) <= 0:
            raise SqlError("22023", f"{name.upper()} must be positive")
        return float(value)
    return value


def check_rows(*, rows_given: bool, returns_set: bool) -> None:
    """Raise SqlError 22023 for ROWS of a function that returns one."""
    if rows_given and not returns_set:
        raise SqlError("22023", "ROWS is not applicable when function does not return a set")


def refuse_unsupported(options: dict[str, Any]) -> None:
    """Raise PostgreSQL's errors of what only superusers, or other languages, have."""
    if options.get("leakproof"):
        raise SqlError("42501", "only superuser can define a leakproof function")
    if "support" in options:
        name = ".".join(options["support"])
        raise SqlError("42883", f"function {name}(internal) does not exist")


def changed_settings(before: Settings, changes: Iterable[tuple[str, str | None]]) -> Settings:
    """Return a function's settings after SET and RESET clauses."""
    settings = dict(before)
    for name, value in changes:
        if not name:
            settings.clear()
        elif value is None:
            settings.pop(name, None)
        else:
            settings[name] = value
    return tuple(settings.items())
