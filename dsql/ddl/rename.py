"""ALTER ... RENAME TO and SET SCHEMA."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from dsql.access.requirements import (
    Requirement,
    creation_in,
    owner_of_schema,
    schema_creation,
)
from dsql.catalog.schema import FIRST_USER_OID, Table
from dsql.catalog.store import CatalogWriter
from dsql.ddl import nodes
from dsql.ddl.alter_domain import (
    move_domain_requires,
    rename_domain,
    rename_domain_requires,
    set_domain_schema,
)
from dsql.ddl.alter_function import (
    CALLED,
    move_requires,
    rename_function,
    rename_function_requires,
    set_function_schema,
)
from dsql.ddl.composites import alter_composite_requires, rename_attribute
from dsql.ddl.following import Named, put_all
from dsql.ddl.foreign_keys import constraint_names
from dsql.ddl.lacking import check_owned, check_renamed
from dsql.ddl.naming import (
    KIND_NAMES,
    Found,
    find_any,
    find_column,
    is_missing,
    missing_text,
    owned_relation,
    refuse_system_column,
    refuse_system_name,
    require_schema,
    require_table,
    schema_of,
    taken_names,
)
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.ddl.roles import rename_role
from dsql.ddl.schemas import refuse_reserved
from dsql.ddl.sequences import linked, owned_sequences
from dsql.ddl.statistics import (
    STATISTICS,
    move_statistics,
    move_statistics_requires,
    rename_statistics,
    rename_statistics_requires,
)
from dsql.ddl.user_types import (
    move_type_requires,
    named_type,
    own_type,
    rename_user_type,
    set_type_schema,
)
from dsql.errors import SqlError, unsupported
from dsql.sql.gate import ParsedStatement

_RELATIONS = (
    "OBJECT_TABLE",
    "OBJECT_VIEW",
    "OBJECT_MATVIEW",
    "OBJECT_SEQUENCE",
    "OBJECT_INDEX",
)
_ONLY = {"OBJECT_VIEW": "v", "OBJECT_MATVIEW": "m", "OBJECT_SEQUENCE": "S"}


def _tag(kind: str) -> str:
    word = kind.removeprefix("OBJECT_")
    return f"ALTER {'MATERIALIZED VIEW' if word == 'MATVIEW' else word}"


def check_kind(relation: Any, kind: str, found: Found) -> None:
    """Raise SqlError 42809 if ALTER VIEW or ALTER SEQUENCE names something else."""
    wanted = _ONLY.get(kind)
    if wanted and (isinstance(found, tuple) or found.kind != wanted):
        raise SqlError("42809", f'"{relation.relname}" is not a {KIND_NAMES[wanted]}')


def rename_requires(parsed: ParsedStatement, context: UtilityContext) -> Iterator[Requirement]:
    """Yield what a RenameStmt needs: the object, and the right to make one of the new name in its place."""
    statement = parsed.node
    kind = nodes.enum_name(statement, "rename_type")
    if kind == "OBJECT_SCHEMA":
        schema = require_schema(context, statement.subname)
        if statement.newname in context.catalog.schemas:
            raise SqlError("42P06", f'schema "{statement.newname}" already exists')
        yield owner_of_schema(schema)
        yield schema_creation(context.catalog.database)
        refuse_reserved(statement.newname)
    elif kind in ("OBJECT_COLUMN", "OBJECT_TABCONSTRAINT", *_RELATIONS):
        yield from owned_relation(context, statement)
        found = find_any(context, statement.relation, missing_ok=True)
        if found is not None:
            of_column = kind == "OBJECT_COLUMN"
            named = nodes.enum_name(statement, "relation_type") if of_column else kind
            check_kind(statement.relation, named, found)
            if kind in _RELATIONS:
                yield creation_in(schema_of(context, found))
    elif kind in CALLED:
        yield from rename_function_requires(statement, context)
    elif kind in ("OBJECT_DOMAIN", "OBJECT_DOMCONSTRAINT"):
        yield from rename_domain_requires(statement, context)
    elif kind == STATISTICS:
        yield from rename_statistics_requires(statement, context)
    elif kind == "OBJECT_ATTRIBUTE":
        yield from alter_composite_requires(statement, context)
    elif kind == "OBJECT_TYPE" and (enum := named_type(statement, context)) is not None:
        yield own_type(context, enum)
    elif kind != "OBJECT_ROLE":  # whose handler has rules of its own
        check_renamed(statement, context)
        raise unsupported("unsupported object in RENAME statement")


def rename(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run a RenameStmt for a relation, column, constraint, schema or role."""
    match nodes.enum_name(statement, "rename_type"):
        case "OBJECT_COLUMN":
            return _rename_column(statement, context)
        case "OBJECT_TABCONSTRAINT":
            return _rename_constraint(statement, context)
        case "OBJECT_SCHEMA":
            return _rename_schema(statement, context)
        case "OBJECT_ROLE":
            return rename_role(statement, context)
        case "OBJECT_FUNCTION" | "OBJECT_ROUTINE":
            return rename_function(statement, context)
        case "OBJECT_DOMAIN" | "OBJECT_DOMCONSTRAINT":
            return rename_domain(statement, context)
        case "OBJECT_STATISTIC_EXT":
            return rename_statistics(statement, context)
        case "OBJECT_ATTRIBUTE":
            return rename_attribute(statement, context)
        case "OBJECT_TYPE":
            enum = named_type(statement, context)
            assert enum is not None, "it was found before"
            return rename_user_type(enum, statement.newname, context)
        case kind:
            return _rename_relation(statement, context, _tag(kind))


def _skipped(statement: Any, tag: str = "ALTER TABLE") -> UtilityResult:
    """The result of an ALTER ... IF EXISTS of nothing."""
    result = UtilityResult(tag)
    result.notice("00000", missing_text(statement.relation))
    return result


def _refuse_taken(context: UtilityContext, schema: str, name: str) -> None:
    if name in taken_names(context, schema):
        raise SqlError("42P07", f'relation "{name}" already exists')


def _rename_relation(statement: Any, context: UtilityContext, tag: str) -> UtilityResult:
    """ALTER TABLE and ALTER INDEX both rename either."""
    if is_missing(context, statement):
        return _skipped(statement, tag)
    found = find_any(context, statement.relation)
    if isinstance(found, tuple):
        table, index = found
        _refuse_taken(context, table.schema, statement.newname)
        writer = CatalogWriter(context.transaction)
        _put_renamed_index(table, index.name, statement.newname, writer)
        return UtilityResult(tag)
    table = require_table(context, statement.relation, "rvmS")
    _refuse_taken(context, table.schema, statement.newname)
    writer = CatalogWriter(context.transaction)
    put_all(context.catalog, [moved(table, table.schema, statement.newname, writer)], writer)
    return UtilityResult(tag)


def moved(table: Table, schema: str, name: str, writer: CatalogWriter) -> Table:
    """Return a relation of another name or in another schema; its indexes move along."""
    writer.release_name(table.schema, table.name)
    writer.claim_name(schema, name)
    if schema != table.schema:
        for index in table.indexes:
            writer.release_name(table.schema, index.name)
            writer.claim_name(schema, index.name)
    return replace(table, schema=schema, name=name)


def _rename_column(statement: Any, context: UtilityContext) -> UtilityResult:
    tag = _tag(nodes.enum_name(statement, "relation_type"))
    if is_missing(context, statement):
        return _skipped(statement, tag)
    table = require_table(context, statement.relation, "rvmS")
    if table.kind == "S":
        raise SqlError(
            "42809",
            f'cannot rename columns of relation "{table.name}"',
            detail="This operation is not supported for sequences.",
        )
    old = statement.subname
    refuse_system_column(table, old, f'cannot rename system column "{old}"')
    column = find_column(table, old)
    if column is None:
        raise SqlError("42703", f'column "{old}" does not exist')
    if find_column(table, statement.newname):
        raise SqlError(
            "42701", f'column "{statement.newname}" of relation "{table.name}" already exists'
        )
    if table.kind == "r":
        refuse_system_name(statement.newname)
    renamed = table.with_columns([replace(column, name=statement.newname)])
    put_all(context.catalog, [renamed], CatalogWriter(context.transaction))
    return UtilityResult(tag)


def _rename_constraint(statement: Any, context: UtilityContext) -> UtilityResult:
    if is_missing(context, statement):
        return _skipped(statement)
    table = require_table(context, statement.relation, "rvm")
    old, new = statement.subname, statement.newname
    if old != new and new in constraint_names(table) and old in constraint_names(table):
        raise SqlError("42710", f'constraint "{new}" for relation "{table.name}" already exists')
    writer = CatalogWriter(context.transaction)
    if any(check.name == old for check in table.checks):
        checks = tuple(
            replace(check, name=new) if check.name == old else check for check in table.checks
        )
        writer.put_table(replace(table, checks=checks))
    elif any(key.name == old for key in table.foreign_keys):
        keys = tuple(
            replace(key, name=new) if key.name == old else key for key in table.foreign_keys
        )
        writer.put_table(replace(table, foreign_keys=keys))
    elif any(index.constraint == old for index in table.indexes):
        _refuse_taken(context, table.schema, new)
        _put_renamed_index(table, old, new, writer)
    else:
        raise SqlError("42704", f'constraint "{old}" for table "{table.name}" does not exist')
    return UtilityResult("ALTER TABLE")


def _put_renamed_index(table: Table, old: str, new: str, writer: CatalogWriter) -> None:
    writer.release_name(table.schema, old)
    writer.claim_name(table.schema, new)
    indexes = tuple(
        replace(index, name=new, constraint=new if index.constraint else None)
        if index.name == old
        else index
        for index in table.indexes
    )
    writer.put_table(replace(table, indexes=indexes))


def _rename_schema(statement: Any, context: UtilityContext) -> UtilityResult:
    schema = require_schema(context, statement.subname)
    if schema.oid < FIRST_USER_OID:
        raise owner_of_schema(schema).error()
    writer = CatalogWriter(context.transaction)
    writer.release_name("", schema.name)
    writer.claim_name("", statement.newname)
    writer.put_schema(replace(schema, name=statement.newname))
    put_all(context.catalog, _members(schema.name, statement.newname, context, writer), writer)
    return UtilityResult("ALTER SCHEMA")


def _members(old: str, new: str, context: UtilityContext, writer: CatalogWriter) -> Iterator[Named]:
    """Yield all that is in a schema as what is in it under its new name, and bodies that look there."""
    for table in context.catalog.tables_in(old):
        yield moved(table, new, table.name, writer)
    for function in context.catalog.functions.values():
        path = tuple(new if name == old else name for name in function.path)
        schema = new if function.schema == old else function.schema
        if (schema, path) != (function.schema, function.path):
            yield replace(function, schema=schema, path=path)
    for domain in context.catalog.domains.values():
        if domain.schema == old:
            yield replace(domain, schema=new)
    for enum in context.catalog.user_types.values():
        if enum.schema == old:
            yield replace(enum, schema=new)


def set_schema_requires(parsed: ParsedStatement, context: UtilityContext) -> Iterator[Requirement]:
    """Yield what an AlterObjectSchemaStmt needs: the relation, and a place in the new schema."""
    statement = parsed.node
    kind = nodes.enum_name(statement, "object_type")
    if kind in CALLED:
        yield from move_requires(statement, context)
        return
    if kind == "OBJECT_DOMAIN":
        yield from move_domain_requires(statement, context)
        return
    if kind == STATISTICS:
        yield from move_statistics_requires(statement, context)
        return
    if kind == "OBJECT_TYPE" and (enum := named_type(statement, context)) is not None:
        yield from move_type_requires(enum, statement.newschema, context)
        return
    if kind not in _RELATIONS:
        if statement.HasField("object"):
            check_owned(statement, context)
        raise unsupported("SET SCHEMA of this kind of object is not supported")
    yield from owned_relation(context, statement)
    if not is_missing(context, statement):
        found = find_any(context, statement.relation)
        assert found is not None
        check_kind(statement.relation, kind, found)
        require_table(context, statement.relation, "rvmS")
        yield creation_in(require_schema(context, statement.newschema))


def set_schema(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run an AlterObjectSchemaStmt; a table takes the sequences of its columns along."""
    if nodes.enum_name(statement, "object_type") in CALLED:
        return set_function_schema(statement, context)
    if nodes.enum_name(statement, "object_type") == "OBJECT_DOMAIN":
        return set_domain_schema(statement, context)
    if nodes.enum_name(statement, "object_type") == STATISTICS:
        return move_statistics(statement, context)
    if nodes.enum_name(statement, "object_type") == "OBJECT_TYPE":
        enum = named_type(statement, context)
        assert enum is not None, "it was found before"
        return set_type_schema(enum, statement.newschema, context)
    tag = _tag(nodes.enum_name(statement, "object_type"))
    if is_missing(context, statement):
        return _skipped(statement, tag)
    table = require_table(context, statement.relation, "rvmS")
    if table.sequence is not None and table.sequence.owner is not None:
        raise linked(table, context, "cannot move an owned sequence into another schema")
    new = require_schema(context, statement.newschema).name
    if new != table.schema:
        writer, taken = CatalogWriter(context.transaction), taken_names(context, new)
        members = [table, *owned_sequences(table, context.catalog)]
        for each in members:
            if each.name in taken:
                message = f'relation "{each.name}" already exists in schema "{new}"'
                raise SqlError("42P07", message)
        put_all(context.catalog, [moved(each, new, each.name, writer) for each in members], writer)
    return UtilityResult(tag)
