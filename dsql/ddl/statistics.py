"""CREATE STATISTICS and what alters such an object: a part of its table, with name and owner of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from dsql.access.privileges import Kind
from dsql.access.requirements import Ownership, Requirement, RoleMembership, creation_in
from dsql.catalog.dependencies import PG_STATISTIC_EXT, Address
from dsql.catalog.extended_statistics import KINDS, Found, all_statistics, find_statistics
from dsql.catalog.opclasses import has_default
from dsql.catalog.schema import Schema, Statistics, Table, Use
from dsql.catalog.store import CatalogWriter
from dsql.ddl import nodes
from dsql.ddl.column import StatementExpressions
from dsql.ddl.naming import (
    KIND_PLURALS,
    find_column,
    refuse_system_column,
    require_schema,
    require_table,
    schema_for,
    schemas_to_search,
    unique_name,
)
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.ddl.role_specs import role_of
from dsql.errors import SqlError
from dsql.sql.gate import ParsedStatement
from dsql.sql.stored_uses import in_order
from dsql.types.typmod import format_type

STATISTICS = "OBJECT_STATISTIC_EXT"
_TAG = "ALTER STATISTICS"
_COLUMNS_MAX = 8
_PER_TABLE_MAX = 5  # in the dsql profile
_TARGET_MAX = {"dsql": 100, "postgres": 10_000}


def create_statistics_requires(
    parsed: ParsedStatement, context: UtilityContext
) -> Iterator[Requirement]:
    """Yield what a CreateStatsStmt needs: the table, and a place in the object's schema."""
    statement = parsed.node
    if len(statement.relations) != 1 or nodes.kind(statement.relations[0]) != "range_var":
        raise SqlError("0A000", "only a single relation is allowed in CREATE STATISTICS")
    relation = nodes.inner(statement.relations[0])
    table = require_table(context, relation, "rvmS")
    if table.kind != "r":
        raise SqlError(
            "42809",
            f'cannot define statistics for relation "{table.name}"',
            detail=f"This operation is not supported for {KIND_PLURALS[table.kind]}.",
        )
    yield Ownership(Kind.TABLE, table.name, table.owner_oid)
    yield creation_in(_schema(statement, table, context))


def _schema(statement: Any, table: Table, context: UtilityContext) -> Schema:
    names = nodes.strings(statement.defnames)
    if not names:
        return context.catalog.schemas[table.schema]
    return schema_for(context, names)


def create_statistics(parsed: ParsedStatement, context: UtilityContext) -> UtilityResult:
    """Run a CreateStatsStmt. Raises SqlError 42710, 42703, 42601, 42701, 42P17, 54011, 54000, 0A000."""
    statement = parsed.node
    result = UtilityResult("CREATE STATISTICS")
    table = require_table(context, nodes.inner(statement.relations[0]))
    schema, names = _schema(statement, table, context), nodes.strings(statement.defnames)
    name = names[-1] if names else _name(statement, table, schema, context)
    if find_statistics(context.catalog, [schema.oid], name) is not None:
        message = f'statistics object "{name}" already exists'
        if not statement.if_not_exists:
            raise SqlError("42710", message)
        result.notice("42710", f"{message}, skipping")
        return result
    if context.profile == "dsql" and len(table.statistics) >= _PER_TABLE_MAX:
        message = f"more than {_PER_TABLE_MAX} extended statistics per table are not allowed"
        raise SqlError("54000", message)
    columns, expressions, uses = _parts(statement, table, StatementExpressions(parsed, context))
    kinds = _kinds(statement, columns, expressions)
    writer = CatalogWriter(context.transaction, local=table.is_temporary)
    made = Statistics(
        oid=writer.allocate_oid(),
        name=name,
        schema_oid=schema.oid,
        owner_oid=context.user.oid,
        columns=columns,
        expressions=expressions,
        kinds=kinds,
        uses=uses,
    )
    writer.put_table(replace(table, statistics=(*table.statistics, made)))
    return result


def _name(statement: Any, table: Table, schema: Schema, context: UtilityContext) -> str:
    """Return the name that PostgreSQL would choose: of the table and its columns."""
    parts = [nodes.inner(each).name or "expr" for each in statement.exprs]
    statistics = all_statistics(context.catalog)
    taken = [each.name for _, each in statistics if each.schema_oid == schema.oid]
    return unique_name(table.name, "_".join(parts), "stat", taken)


def _parts(
    statement: Any, table: Table, reader: StatementExpressions
) -> tuple[tuple[int, ...], tuple[str, ...], tuple[Use, ...]]:
    """Return the numbers of the columns, the expressions, and what these read."""
    elements = [nodes.inner(each) for each in statement.exprs]
    if len(elements) > _COLUMNS_MAX:
        raise SqlError("54011", f"cannot have more than {_COLUMNS_MAX} columns in statistics")
    columns: list[int] = []
    expressions: list[str] = []
    uses: set[Use] = set()
    for element in elements:
        name = element.name or _bare_column(element.expr)
        if name:
            columns.append(_column(table, name))
            continue
        text, type_oid, read = reader.statistics_expression(table, element.expr)
        if len(elements) > 1:
            _check_type(type_oid, "expression cannot be used in multivariate statistics")
        expressions.append(text)
        uses.update(read)
    return tuple(sorted(columns)), tuple(expressions), in_order(uses)


def _bare_column(expression: Any) -> str:
    """Return the name of a column that stands alone in parentheses, "" for anything else."""
    if nodes.kind(expression) != "column_ref":
        return ""
    fields = expression.column_ref.fields
    return nodes.inner(fields[0]).sval if [*map(nodes.kind, fields)] == ["string"] else ""


def _column(table: Table, name: str) -> int:
    refuse_system_column(table, name, "statistics creation on system columns is not supported")
    column = find_column(table, name)
    if column is None:
        raise SqlError("42703", f'column "{name}" does not exist')
    _check_type(column.type_oid, f'column "{name}" cannot be used in statistics')
    return column.number


def _check_type(type_oid: int, what: str) -> None:
    if not has_default(type_oid):
        shown = format_type(type_oid, -1)
        raise SqlError(
            "0A000", f"{what} because its type {shown} has no default btree operator class"
        )


def _kinds(statement: Any, columns: tuple[int, ...], expressions: tuple[str, ...]) -> str:
    """Return the letters of the wanted kinds, all where none is named."""
    words = nodes.strings(statement.stat_types)
    if not columns and len(expressions) == 1:
        if words:
            raise SqlError(
                "0A000",
                "when building statistics on a single expression,"
                " statistics kinds may not be specified",
            )
        return ""
    for word in words:
        if word not in KINDS:
            raise SqlError("42601", f'unrecognized statistics kind "{word}"')
    if len(columns) + len(expressions) < 2:
        raise SqlError("42P17", "extended statistics require at least 2 columns")
    if len(set(columns)) < len(columns):
        raise SqlError("42701", "duplicate column name in statistics definition")
    if len(set(expressions)) < len(expressions):
        raise SqlError("42701", "duplicate expression in statistics definition")
    return "".join(letter for word, letter in KINDS.items() if not words or word in words)


# ---------------------------------------------------------------- what exists


def look_up(context: UtilityContext, names: list[str]) -> Found | None:
    """Return the object of a name, None if there is none. Raises SqlError 3F000, 42501."""
    path = schemas_to_search(context, names[-2] if len(names) > 1 else "")
    schemas = context.catalog.schemas
    path_oids = [schemas[name].oid for name in path if name in schemas]
    return find_statistics(context.catalog, path_oids, names[-1])


def require(context: UtilityContext, names: list[str]) -> Found:
    """Return the object of a name. Raises SqlError 42704 as well."""
    found = look_up(context, names)
    if found is None:
        raise SqlError("42704", f'statistics object "{".".join(names)}" does not exist')
    return found


def address(found: Found) -> Address:
    """Return the address of an object."""
    return Address(PG_STATISTIC_EXT, found[1].oid)


def own(found: Found, name: str = "") -> Ownership:
    """Return what changing an object takes; `name` is what it is called by who lacks that."""
    return Ownership(Kind.STATISTICS, name or found[1].name, found[1].owner_oid)


def own_to_drop(context: UtilityContext, found: Found) -> Ownership:
    """Return what dropping an object takes: to own it, its table or its schema."""
    table, statistics = found
    schemas = context.catalog.schemas.values()
    owners = [schema.owner_oid for schema in schemas if schema.oid == statistics.schema_oid]
    others = (table.owner_oid, *owners)
    return Ownership(Kind.STATISTICS, statistics.name, statistics.owner_oid, others)


def _put(found: Found, changed: Statistics, context: UtilityContext) -> UtilityResult:
    table, statistics = found
    writer = CatalogWriter(context.transaction, local=table.is_temporary)
    kept = tuple(changed if each is statistics else each for each in table.statistics)
    writer.put_table(replace(table, statistics=kept))
    return UtilityResult(_TAG)


def _refuse_taken(context: UtilityContext, schema: Schema, name: str) -> None:
    if find_statistics(context.catalog, [schema.oid], name) is not None:
        message = f'statistics object "{name}" already exists in schema "{schema.name}"'
        raise SqlError("42710", message)


def _names(statement: Any) -> list[str]:
    return nodes.strings(nodes.inner(statement.object).items)


def _schema_of(found: Found, context: UtilityContext) -> Schema:
    schemas = context.catalog.schemas.values()
    return next(schema for schema in schemas if schema.oid == found[1].schema_oid)


def alter_statistics_requires(
    parsed: ParsedStatement, context: UtilityContext
) -> Iterator[Requirement]:
    """Yield what an AlterStatsStmt needs: to own the object, if there is one."""
    _target(parsed.node, context)
    names = nodes.strings(parsed.node.defnames)
    found = look_up(context, names) if parsed.node.missing_ok else require(context, names)
    if found is not None:
        yield own(found, ".".join(names))


def alter_statistics(parsed: ParsedStatement, context: UtilityContext) -> UtilityResult:
    """Run an AlterStatsStmt (SET STATISTICS). Raises SqlError 22023 for a target out of bounds."""
    names, target = nodes.strings(parsed.node.defnames), _target(parsed.node, context)
    result, most = UtilityResult(_TAG), _TARGET_MAX[context.profile]
    if target > most:
        target = most
        result.notice("01000", f"lowering statistics target to {most}", severity="WARNING")
    found = look_up(context, names)
    if found is None:
        result.notice("00000", f'statistics object "{names[-1]}" does not exist, skipping')
        return result
    _put(found, replace(found[1], target=target), context)
    return result


def _target(statement: Any, context: UtilityContext) -> int:
    """Return the target that SET STATISTICS names, -1 for DEFAULT. Raises SqlError 22023."""
    given = statement.HasField("stxstattarget")
    target = int(nodes.inner(statement.stxstattarget).ival) if given else -1
    most = _TARGET_MAX[context.profile]
    if target < -1:
        raise SqlError("22023", f"statistics target {target} is too low")
    if target > most and context.profile == "dsql":
        message = f"statistics target {target} exceeds maximum allowed value of {most}"
        raise SqlError("22023", message)
    return target


def rename_statistics_requires(statement: Any, context: UtilityContext) -> Iterator[Requirement]:
    """Yield what RENAME TO needs: to own the object, and a place in its schema."""
    found = require(context, _names(statement))
    yield own(found)
    yield creation_in(_schema_of(found, context))


def rename_statistics(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run a RenameStmt of a statistics object. Raises SqlError 42710."""
    found = require(context, _names(statement))
    _refuse_taken(context, _schema_of(found, context), statement.newname)
    return _put(found, replace(found[1], name=statement.newname), context)


def move_statistics_requires(statement: Any, context: UtilityContext) -> Iterator[Requirement]:
    """Yield what SET SCHEMA needs: a place in the new schema, and to own the object."""
    owned = own(require(context, _names(statement)))
    yield creation_in(require_schema(context, statement.newschema))
    yield owned


def move_statistics(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run an AlterObjectSchemaStmt of a statistics object. Raises SqlError 42710."""
    found = require(context, _names(statement))
    schema = require_schema(context, statement.newschema)
    if schema.oid == found[1].schema_oid:
        return UtilityResult(_TAG)
    _refuse_taken(context, schema, found[1].name)
    return _put(found, replace(found[1], schema_oid=schema.oid), context)


def give_statistics_requires(statement: Any, context: UtilityContext) -> Iterator[Requirement]:
    """Yield what OWNER TO needs: to own the object, to be its owner-to-be, who may make one there."""
    found = require(context, _names(statement))
    role = role_of(statement.newowner, context)
    if role.oid == found[1].owner_oid:
        return
    yield own(found)
    yield RoleMembership(role)
    yield creation_in(_schema_of(found, context), role.oid)


def give_statistics(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run an AlterOwnerStmt of a statistics object."""
    found = require(context, _names(statement))
    owner = role_of(statement.newowner, context).oid
    return _put(found, replace(found[1], owner_oid=owner), context)


def reassigned(table: Table, owners: set[int], owner: int) -> Table:
    """Return a table whose statistics objects of `owners` belong to another owner."""
    kept = tuple(
        replace(each, owner_oid=owner) if each.owner_oid in owners else each
        for each in table.statistics
    )
    return table if kept == table.statistics else replace(table, statistics=kept)
