"""Reading libpg_query's protobuf nodes: unwrapping, names, enums, option lists."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def inner(node: Any) -> Any:
    """Return the message inside a Node wrapper (ColumnDef, Constraint, A_Const, ...)."""
    return getattr(node, node.WhichOneof("node"))


def kind(node: Any) -> str:
    """Return which message a Node wrapper holds: "column_def", "constraint", "string", ..."""
    return str(node.WhichOneof("node"))


def strings(nodes: Iterable[Any]) -> list[str]:
    """Return the values of a list of String nodes: the parts of a qualified name, or column names."""
    return [node.string.sval for node in nodes]


def enum_name(message: Any, field: str) -> str:
    """Return an enum field's symbolic name, such as CONSTR_PRIMARY."""
    number = getattr(message, field)
    return str(message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number[number].name)


def option_value(element: Any) -> Any:
    """Return the value of a DefElem: bool, int, float text, str, list of str, or None if it has none."""
    if not element.HasField("arg"):
        return None
    argument = inner(element.arg)
    match kind(element.arg):
        case "boolean":
            return argument.boolval
        case "integer":
            return argument.ival
        case "string":
            return argument.sval
        case "float":
            return argument.fval
        case "list":
            return strings(argument.items)
        case "type_name":
            return strings(argument.names)[-1]
        case _:
            return argument


def option_flag(element: Any) -> bool:
    """Return a DefElem as PostgreSQL's defGetBoolean does: no value means true."""
    value = option_value(element)
    if value is None:
        return True
    return str(value).lower() in ("true", "on", "1", "yes")
