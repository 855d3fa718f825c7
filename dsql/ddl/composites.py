"""CREATE TYPE ... AS (...), and ALTER TYPE of its attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from msgspec.structs import replace

from dsql.access.default_acls import initial_acl
from dsql.access.privileges import Kind
from dsql.access.requirements import Requirement, creation_in
from dsql.catalog.dependencies import PG_CLASS, PG_TYPE, Address, dependencies
from dsql.catalog.descriptions import description
from dsql.catalog.schema import Column, CompositeType
from dsql.catalog.store import CatalogWriter
from dsql.catalog.user_types import user_type_name
from dsql.ddl import nodes
from dsql.ddl.cascade import all_dropped
from dsql.ddl.column import StatementExpressions
from dsql.ddl.domains import refuse_taken_type
from dsql.ddl.naming import creation_schema
from dsql.ddl.removal import remove
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.ddl.user_types import find_user_type, own_type
from dsql.errors import SqlError, unsupported
from dsql.limits import TARGETS_MAX
from dsql.sql.gate import ParsedStatement
from dsql.types import registry

_TAG = "ALTER TYPE"


def create_composite_requires(
    parsed: ParsedStatement, context: UtilityContext
) -> Iterator[Requirement]:
    """Yield what a CompositeTypeStmt needs: a place in the schema."""
    yield creation_in(creation_schema(context, parsed.node.typevar.schemaname))


def create_composite(parsed: ParsedStatement, context: UtilityContext) -> UtilityResult:
    """Run a CompositeTypeStmt. Raises SqlError 42710, 42701, 42P16, 54011."""
    name = parsed.node.typevar.relname
    schema = creation_schema(context, parsed.node.typevar.schemaname)
    refuse_taken_type(name, schema.name, context)
    expressions = StatementExpressions(parsed, context)
    attributes: list[Column] = []
    for number, wrapped in enumerate(parsed.node.coldeflist, 1):
        attribute = _attribute(nodes.inner(wrapped), number, expressions)
        if attribute.name in (other.name for other in attributes):
            message = f'column "{attribute.name}" specified more than once'
            raise SqlError("42701", message)
        attributes.append(attribute)
    writer = CatalogWriter(context.transaction)
    oid, array_oid, relation_oid = (writer.allocate_oid() for _ in range(3))
    acl = initial_acl(context.catalog, Kind.TYPE, context.user.oid, schema.oid)
    made = CompositeType(
        oid, schema.name, name, context.user.oid, tuple(attributes), array_oid, acl
    )
    writer.put_user_type(replace(made, relation_oid=relation_oid))
    return UtilityResult("CREATE TYPE")


def _attribute(definition: Any, number: int, expressions: StatementExpressions) -> Column:
    """Return the attribute of a ColumnDef. Raises SqlError 42P16, 54011, 0A000."""
    if number > TARGETS_MAX:
        raise SqlError("54011", f"tables can have at most {TARGETS_MAX} columns")
    pseudo = f'column "{definition.colname}" has pseudo-type {{}}'
    type_oid, typmod = expressions.column_type(definition.type_name, pseudo=pseudo)
    if expressions.column_domain(definition.type_name):
        raise unsupported("attributes of domains are not supported")
    return Column(definition.colname, number, type_oid, typmod)


# ---------------------------------------------------------------- ALTER TYPE


def _require(statement: Any, context: UtilityContext) -> CompositeType:
    """Return the type that a statement's RangeVar names. Raises SqlError 42P01, 42809."""
    relation = statement.relation
    names = [*([relation.schemaname] if relation.schemaname else []), relation.relname]
    found = find_user_type(context, names)
    if isinstance(found, CompositeType):
        return found
    if found is not None or context.catalog.find_relation(
        relation.schemaname or None, relation.relname, context.search_path
    ):
        raise SqlError("42809", f'"{relation.relname}" is not a composite type')
    raise SqlError("42P01", f'relation "{".".join(names)}" does not exist')


def is_of_type(statement: Any) -> bool:
    """Tell whether an AlterTableStmt is one of ALTER TYPE."""
    return nodes.enum_name(statement, "objtype") == "OBJECT_TYPE"


def alter_composite_requires(statement: Any, context: UtilityContext) -> Iterator[Requirement]:
    """Yield what ALTER TYPE of attributes needs: to own the type."""
    yield own_type(context, _require(statement, context))


def alter_composite(parsed: ParsedStatement, context: UtilityContext) -> UtilityResult:
    """Run an AlterTableStmt of a TYPE: ADD, DROP and ALTER ATTRIBUTE. Raises SqlError 42701, 42703."""
    result, found = UtilityResult(_TAG), _require(parsed.node, context)
    expressions = StatementExpressions(parsed, context)
    for command in map(nodes.inner, parsed.node.cmds):
        action = _ACTIONS[nodes.enum_name(command, "subtype")]
        found = action(found, command, expressions, context, result)
    CatalogWriter(context.transaction).put_user_type(found)
    return result


def _find(found: CompositeType, name: str) -> Column | None:
    return next((each for each in found.live_attributes if each.name == name), None)


def _named(found: CompositeType, name: str) -> Column:
    attribute = _find(found, name)
    if attribute is None:
        message = f'column "{name}" of relation "{found.name}" does not exist'
        raise SqlError("42703", message)
    return attribute


def _add(
    found: CompositeType,
    command: Any,
    expressions: StatementExpressions,
    context: UtilityContext,
    result: UtilityResult,
) -> CompositeType:
    del result
    definition = getattr(command, "def").column_def
    _refuse_taken_name(found, definition.colname)
    added = _attribute(definition, len(found.attributes) + 1, expressions)
    _refuse_inside_itself(found, added.type_oid, context)
    return replace(found, attributes=(*found.attributes, added))


def _refuse_taken_name(found: CompositeType, name: str) -> None:
    if _find(found, name) is not None:
        message = f'column "{name}" of relation "{found.name}" already exists'
        raise SqlError("42701", message)


def _refuse_inside_itself(found: CompositeType, type_oid: int, context: UtilityContext) -> None:
    """Raise SqlError 42P16 if a type's values would have values of the type in them."""
    kind = registry.get(type_oid)
    if kind.element_oid:
        kind = registry.get(kind.element_oid)
    if kind.oid == found.oid:
        name = user_type_name(found, context.catalog, context.search_path)
        raise SqlError("42P16", f"composite type {name} cannot be made a member of itself")
    for _, oid, _ in kind.fields:
        _refuse_inside_itself(found, oid, context)


def _drop(
    found: CompositeType,
    command: Any,
    expressions: StatementExpressions,
    context: UtilityContext,
    result: UtilityResult,
) -> CompositeType:
    del expressions
    if command.missing_ok and _find(found, command.name) is None:
        words = f'column "{command.name}" of relation "{found.name}" does not exist, skipping'
        result.notice("00000", words)
        return found
    gone = Address(PG_CLASS, found.relation_oid, _named(found, command.name).number)
    cascade = nodes.enum_name(command, "behavior") == "DROP_CASCADE"
    catalog, writer = context.catalog, CatalogWriter(context.transaction)
    # What this statement has changed of the type already is not in the catalog, but in `found`.
    catalog = catalog.with_user_types(
        found if each.oid == found.oid else each for each in catalog.user_types.values()
    )
    dropped = all_dropped([gone], catalog, context, result, cascade=cascade)
    left = remove(dropped, catalog, context, writer).user_type_of(found.oid)
    assert isinstance(left, CompositeType), "what was dropped is an attribute"
    return left


def _retype(
    found: CompositeType,
    command: Any,
    expressions: StatementExpressions,
    context: UtilityContext,
    result: UtilityResult,
) -> CompositeType:
    del result
    before = _named(found, command.name)
    definition = getattr(command, "def").column_def
    definition.colname = command.name
    after = _attribute(definition, before.number, expressions)
    _refuse_inside_itself(found, after.type_oid, context)
    _refuse_columns(found, context)
    _refuse_readers(found, before, context)
    return _with(found, after)


def _with(found: CompositeType, attribute: Column) -> CompositeType:
    attributes = list(found.attributes)
    attributes[attribute.number - 1] = attribute
    return replace(found, attributes=tuple(attributes))


def _refuse_columns(found: CompositeType, context: UtilityContext) -> None:
    """Raise SqlError 0A000 if columns have values of a type, which nothing rewrites."""
    own = {Address(PG_TYPE, found.oid), Address(PG_TYPE, found.array_oid)}
    for edge in dependencies(context.catalog):
        if edge.on in own and edge.dependent.class_oid == PG_CLASS and edge.dependent.column:
            raise _used(found, edge.dependent, context)


def _refuse_readers(found: CompositeType, attribute: Column, context: UtilityContext) -> None:
    """Raise SqlError 0A000 if stored texts name an attribute."""
    wanted = Address(PG_CLASS, found.relation_oid, attribute.number)
    for edge in dependencies(context.catalog):
        if edge.on == wanted:
            raise _used(found, edge.dependent, context)


def _used(found: CompositeType, by: Address, context: UtilityContext) -> SqlError:
    shown = description(by, context.catalog, context.search_path) or ""
    column, _, relation = shown.removeprefix("column ").partition(" of ")
    if by.column:
        shown = (
            f'column "{relation.removeprefix("table ").removeprefix("composite type ")}.{column}"'
        )
    name = user_type_name(found, context.catalog, context.search_path)
    return SqlError("0A000", f'cannot alter type "{name}" because {shown} uses it')


Action = Callable[
    [CompositeType, Any, StatementExpressions, UtilityContext, UtilityResult], CompositeType
]
_ACTIONS: dict[str, Action] = {
    "AT_AddColumn": _add,
    "AT_DropColumn": _drop,
    "AT_AlterColumnType": _retype,
}


def rename_attribute(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run a RenameStmt of an ATTRIBUTE. Raises SqlError 42703, 42701, 0A000."""
    found = _require(statement, context)
    before = _named(found, statement.subname)
    _refuse_taken_name(found, statement.newname)
    _refuse_readers(found, before, context)
    renamed = _with(found, replace(before, name=statement.newname))
    CatalogWriter(context.transaction).put_user_type(renamed)
    return UtilityResult(_TAG)
