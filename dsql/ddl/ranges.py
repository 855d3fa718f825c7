"""CREATE TYPE ... AS RANGE."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dsql.access.default_acls import initial_acl
from dsql.access.privileges import Kind
from dsql.access.requirements import Requirement, creation_in
from dsql.catalog.opclasses import has_default, written_class
from dsql.catalog.schema import RangeType, Schema
from dsql.catalog.store import CatalogWriter
from dsql.ddl import nodes
from dsql.ddl.column import StatementExpressions
from dsql.ddl.domains import refuse_taken_type
from dsql.ddl.naming import schema_for
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.errors import SqlError, unsupported
from dsql.functions import registry as functions
from dsql.functions.function import Function
from dsql.sql.gate import ParsedStatement
from dsql.types import oids, registry

_CONSTRUCTORS = 5  # of two and three bounds; of a multirange without, with one and with many ranges
_OPTIONS = frozenset(
    ("subtype", "subtype_opclass", "collation", "canonical", "subtype_diff", "multirange_type_name")
)


def create_range_requires(
    parsed: ParsedStatement, context: UtilityContext
) -> Iterator[Requirement]:
    """Yield what a CreateRangeStmt needs: a place in the schema."""
    yield creation_in(_schema(parsed.node, context))


def _schema(statement: Any, context: UtilityContext) -> Schema:
    names = nodes.strings(statement.type_name)
    return schema_for(context, names)


def create_range(parsed: ParsedStatement, context: UtilityContext) -> UtilityResult:
    """Run a CreateRangeStmt. Raises SqlError 42710, 42601, 42704, 42883, 42P17, 0A000."""
    schema, name = _schema(parsed.node, context), nodes.strings(parsed.node.type_name)[-1]
    refuse_taken_type(name, schema.name, context)
    options = _options(parsed.node)
    subtype = _subtype(parsed, options, context)
    multirange = _multirange_name(name, options)
    refuse_taken_type(multirange, schema.name, context)
    difference = _difference(options["subtype_diff"], subtype) if "subtype_diff" in options else 0
    writer = CatalogWriter(context.transaction)
    oid, array_oid, multirange_oid, multirange_array = (writer.allocate_oid() for _ in range(4))
    writer.put_user_type(
        RangeType(
            oid,
            schema.name,
            name,
            context.user.oid,
            subtype,
            array_oid,
            initial_acl(context.catalog, Kind.TYPE, context.user.oid, schema.oid),
            None,
            multirange,
            multirange_oid,
            multirange_array,
            tuple(writer.allocate_oid() for _ in range(_CONSTRUCTORS)),
            difference,
        )
    )
    return UtilityResult("CREATE TYPE")


def _options(statement: Any) -> dict[str, Any]:
    """Return the DefElems by their names. Raises SqlError 42601."""
    found: dict[str, Any] = {}
    for element in map(nodes.inner, statement.params):
        if element.defname not in _OPTIONS:
            message = f'type attribute "{element.defname}" not recognized'
            raise SqlError("42601", message)
        if element.defname in found:
            raise SqlError("42601", "conflicting or redundant options")
        found[element.defname] = element
    if "subtype" not in found:
        raise SqlError("42601", 'type attribute "subtype" is required')
    if "canonical" in found:
        raise unsupported("canonical functions of range types are not supported")
    return found


def _subtype(parsed: ParsedStatement, options: dict[str, Any], context: UtilityContext) -> int:
    """Return the OID of the bounds' type. Raises SqlError 42804, 42704."""
    expressions = StatementExpressions(parsed, context)
    written = options["subtype"].arg.type_name
    type_oid, _ = expressions.column_type(written, pseudo="range subtype cannot be {}")
    name = registry.get(type_oid).sql_name
    if expressions.column_domain(written):
        raise unsupported("ranges over domains are not supported")
    if "subtype_opclass" in options:
        class_name = nodes.strings(_names(options["subtype_opclass"]))[-1]
        if written_class(class_name, type_oid):
            raise unsupported("ranges with another order than the type's own are not supported")
    if not has_default(type_oid):
        raise SqlError(
            "42704",
            f'data type {name} has no default operator class for access method "btree"',
            hint="You must specify an operator class for the range type or define a default"
            " operator class for the subtype.",
        )
    if "collation" in options:
        collation = nodes.strings(_names(options["collation"]))[-1]
        if registry.get(type_oid).category != "S":
            raise SqlError(
                "42809", "range collation specified but subtype does not support collation"
            )
        if collation not in ("C", "POSIX", "default", "ucs_basic"):
            message = f'collation "{collation}" for encoding "UTF8" does not exist'
            raise SqlError("42704", message)
    return type_oid


def _names(element: Any) -> Any:
    """Return the String nodes of a DefElem's name: a TypeName's, or a list's."""
    argument = nodes.inner(element.arg)
    return argument.names if nodes.kind(element.arg) == "type_name" else argument.items


def _multirange_name(name: str, options: dict[str, Any]) -> str:
    """Return the name that was given, else that of the range with "multirange" for "range"."""
    if "multirange_type_name" in options:
        return nodes.strings(_names(options["multirange_type_name"]))[-1]
    if "range" in name:
        return name.replace("range", "multirange", 1)
    return f"{name}_multirange"


def _difference(element: Any, subtype: int) -> int:
    """Return the OID of the function subtype_diff, a built-in one. Raises SqlError 42883, 42P17."""
    names = nodes.strings(_names(element))
    shown = ".".join(names)
    for callee in functions.candidates(names[-1]):
        if callee.argument_types == (subtype, subtype) and isinstance(callee, Function):
            if callee.return_type != oids.FLOAT8:
                message = f"range subtype diff function {shown} must return type double precision"
                raise SqlError("42P17", message)
            return callee.oid
    name = registry.get(subtype).sql_name
    raise SqlError("42883", f"function {shown}({name}, {name}) does not exist")
