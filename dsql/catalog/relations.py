"""pg_class and what hangs on it: columns, defaults, constraints, indexes, descriptions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from dsql.catalog.catalog import Catalog
from dsql.catalog.composites import composite_relations
from dsql.catalog.definitions import index_definition
from dsql.catalog.dependencies import default_address
from dsql.catalog.domains import domain_constraint_rows
from dsql.catalog.foreign_keys import Reference, find_reference
from dsql.catalog.index_forms import HEAP_AM, access_method, index_column_numbers
from dsql.catalog.opclasses import class_oid
from dsql.catalog.schema import (
    ADMIN_OID,
    SYSTEM_COLUMNS,
    Acl,
    AclItem,
    Index,
    IndexColumn,
    Table,
)
from dsql.catalog.virtual import VirtualTable, provides, virtual_tables
from dsql.functions.registry import all_operators
from dsql.types import oids, registry

Row = Mapping[str, Any]

C_COLLATION = 950
DEFAULT_COLLATION = 100
PG_CATALOG_NAMESPACE = 11
SYSTEM_NAMESPACES = {
    "pg_catalog": PG_CATALOG_NAMESPACE,
    "information_schema": 13_000,
    "sys": 13_001,
}


def acl_value(acl: Acl | None) -> list[AclItem] | None:
    """Return an ACL as a value of type aclitem[]."""
    return None if acl is None else list(acl)


def namespace_oids(catalog: Catalog) -> dict[str, int]:
    """Return every schema's OID by name."""
    return {schema.name: schema.oid for schema in catalog.schemas.values()}


@provides("pg_catalog", "pg_namespace")
def _pg_namespace(context: Any) -> Iterator[Row]:
    for schema in context.catalog.schemas.values():
        yield {
            "oid": schema.oid,
            "nspname": schema.name,
            "nspowner": schema.owner_oid,
            "nspacl": acl_value(schema.acl),
        }


@provides("pg_catalog", "pg_class")
def _pg_class(context: Any) -> Iterator[Row]:
    catalog: Catalog = context.catalog
    namespaces = namespace_oids(catalog)
    yield from _system_relations()
    for table in catalog.tables.values():
        namespace = namespaces.get(table.schema, 0)
        # PostgreSQL enforces foreign keys by triggers, and psql asks for those first.
        has_triggers = bool(table.foreign_keys) or table.oid in catalog.references
        yield _table_row(table, namespace, has_triggers=has_triggers)
        for index in table.indexes:
            yield _index_row(index, table, namespace, context.profile)
    yield from composite_relations(catalog, namespaces)


def _table_row(table: Table, namespace: int, *, has_triggers: bool) -> Row:
    return {
        "oid": table.oid,
        "relname": table.name,
        "relnamespace": namespace,
        "reltype": table.row_type_oid,
        "relowner": table.owner_oid,
        "relam": HEAP_AM if table.has_rows else 0,
        "relfilenode": 0 if table.kind == "v" else table.keyspace_id,
        "relpages": 0,
        "reltuples": -1.0,
        "relhasindex": bool(table.indexes),
        "relpersistence": table.persistence,
        "relkind": table.kind,
        "relnatts": len(table.columns),
        "relchecks": len(table.checks),
        "relhasrules": table.kind in "vm",
        "relhastriggers": has_triggers,
        "relispopulated": table.populated,
        "relreplident": "d",
        "relacl": acl_value(table.acl),
        "reloptions": [f"{name}={value}" for name, value in table.options] or None,
    }


def _index_row(index: Index, table: Table, namespace: int, profile: str) -> Row:
    return {
        "oid": index.oid,
        "relname": index.name,
        "relnamespace": namespace,
        "relowner": table.owner_oid,
        "relam": access_method(profile)[0],
        "relfilenode": index.keyspace_id,
        "reltuples": -1.0,
        "relpersistence": table.persistence,
        "relkind": "i",
        "relnatts": len(index_column_numbers(index, table, profile)),
        "relispopulated": True,
        "relreplident": "n",
    }


@cache
def _system_relations() -> tuple[Row, ...]:
    schemas = dict(SYSTEM_NAMESPACES)
    return tuple(
        {
            "oid": table.oid,
            "relname": table.name,
            "relnamespace": schemas[table.schema],
            "relowner": ADMIN_OID,
            "relam": HEAP_AM if table.kind == "r" else 0,
            "reltuples": -1.0,
            "relpersistence": "p",
            "relkind": table.kind,
            "relnatts": len(table.columns),
            "relispopulated": True,
            "relreplident": "n",
            "relacl": acl_value(table.acl),
        }
        for table in virtual_tables().values()
    )


@provides("pg_catalog", "pg_attribute")
def _pg_attribute(context: Any) -> Iterator[Row]:
    catalog: Catalog = context.catalog
    for virtual in virtual_tables().values():
        yield from _virtual_attributes(virtual.schema, virtual.name)
    for table in catalog.tables.values():
        for column in (*table.system_columns, *table.columns):
            yield _attribute(
                table.oid,
                column.number,
                column.name,
                0 if column.dropped else column.domain or column.type_oid,
                typmod=column.typmod,
                not_null=column.not_null,
                has_default=column.default is not None,
                generated="s" if column.generated else "",
                identity=column.identity,
                dropped=column.dropped,
                acl=column.acl,
                base=0 if column.dropped else column.type_oid,
            )
        for index in table.indexes:
            yield from _index_attributes(index, table, context.profile)
    for found in catalog.composites():
        for each in found.attributes:
            yield _attribute(
                found.relation_oid,
                each.number,
                each.name,
                0 if each.dropped else each.type_oid,
                typmod=each.typmod,
                dropped=each.dropped,
            )


@cache
def _virtual_attributes(schema: str, name: str) -> tuple[Row, ...]:
    table: VirtualTable = virtual_tables()[schema, name]
    system = SYSTEM_COLUMNS if table.kind == "r" else ()
    return tuple(
        _attribute(table.oid, column.number, column.name, column.type_oid, not_null=True)
        for column in system
    ) + tuple(
        _attribute(table.oid, number, column, type_oid, not_null=required)
        for number, ((column, type_oid), required) in enumerate(
            zip(table.columns, table.not_null, strict=True), 1
        )
    )


def _index_attributes(index: Index, table: Table, profile: str) -> Iterator[Row]:
    for number, column_number in enumerate(index_column_numbers(index, table, profile), 1):
        if column_number:
            column = table.columns[column_number - 1]
            yield _attribute(index.oid, number, column.name, column.type_oid, typmod=column.typmod)
        else:
            part = index.columns[number - 1]
            yield _attribute(index.oid, number, expression_name(part.expression), part.type_oid)


def expression_name(expression: str | None) -> str:
    """Return the column name an index expression gets: its function's, or expr."""
    head = (expression or "").split("(", 1)[0]
    return head if head.isidentifier() else "expr"


def _attribute(
    relation: int,
    number: int,
    name: str,
    type_oid: int,
    *,
    typmod: int = -1,
    not_null: bool = False,
    has_default: bool = False,
    generated: str = "",
    identity: str = "",
    dropped: bool = False,
    acl: Acl | None = None,
    base: int = 0,
) -> Row:
    row: dict[str, Any] = {
        "attrelid": relation,
        "attname": name,
        "atttypid": type_oid,
        "attnum": number,
        "attstattarget": -1 if number > 0 else 0,
        "attcacheoff": -1,
        "atttypmod": typmod,
        "attnotnull": not_null,
        "atthasdef": has_default,
        "attgenerated": generated,
        "attidentity": identity,
        "attisdropped": dropped,
        "attislocal": True,
        "attacl": acl_value(acl),
    }
    type_oid = base or type_oid
    if type_oid:
        column_type = registry.get(type_oid)
        row["attlen"] = column_type.size
        row["attbyval"] = column_type.by_value
        row["attalign"] = column_type.align
        row["attndims"] = 1 if column_type.element_oid and column_type.category == "A" else 0
        row["attstorage"] = column_type.storage
        row["attcollation"] = type_collation(type_oid)
    return row


def type_collation(type_oid: int) -> int:
    """Return the OID of a type's collation; 0 if it has none."""
    if type_oid in (oids.TEXT, oids.VARCHAR, oids.BPCHAR):
        return DEFAULT_COLLATION
    return C_COLLATION if type_oid == oids.NAME else 0


@provides("pg_catalog", "pg_attrdef")
def _pg_attrdef(context: Any) -> Iterator[Row]:
    for table in context.catalog.tables.values():
        for column in table.live_columns:
            if column.default is not None:
                yield {
                    "oid": default_address(table, column.number).oid,
                    "adrelid": table.oid,
                    "adnum": column.number,
                    "adbin": column.default,
                }


@provides("pg_catalog", "pg_index")
def _pg_index(context: Any) -> Iterator[Row]:
    for table in context.catalog.tables.values():
        for index in table.indexes:
            keys = index_column_numbers(index, table, context.profile)
            yield {
                "indexrelid": index.oid,
                "indrelid": table.oid,
                "indnatts": len(keys),
                "indnkeyatts": len(index.columns),
                "indisunique": index.unique,
                "indnullsnotdistinct": index.nulls_not_distinct,
                "indisprimary": index.primary,
                "indimmediate": True,
                "indisvalid": index.valid,
                "indisready": True,
                "indislive": True,
                "indkey": tuple(keys),
                "indcollation": tuple(type_collation(part.type_oid) for part in index.columns),
                "indclass": tuple(
                    class_oid(_key_type(part, table), part.opclass) for part in index.columns
                ),
                "indoption": tuple(
                    part.descending + 2 * part.nulls_first for part in index.columns
                ),
                "indexprs": _index_expressions(index),
                "indpred": index.predicate,
            }


def _key_type(part: IndexColumn, table: Table) -> int:
    if part.column_number:
        return table.columns[part.column_number - 1].type_oid
    return part.type_oid


def _index_expressions(index: Index) -> str | None:
    expressions = [part.expression for part in index.columns if part.expression]
    return ", ".join(expressions) or None


@provides("pg_catalog", "pg_constraint")
def _pg_constraint(context: Any) -> Iterator[Row]:
    namespaces = namespace_oids(context.catalog)
    for table in context.catalog.tables.values():
        base = {
            "connamespace": namespaces.get(table.schema, 0),
            "conrelid": table.oid,
            "convalidated": True,
            "conislocal": True,
            "connoinherit": True,
            "confupdtype": " ",
            "confdeltype": " ",
            "confmatchtype": " ",
        }
        for index in table.indexes:
            if index.constraint:
                yield base | {
                    "oid": index.constraint_oid,
                    "conname": index.constraint,
                    "contype": "p" if index.primary else "u",
                    "conindid": index.oid,
                    "conkey": [part.column_number for part in index.columns],
                }
        for check in table.checks:
            yield base | {
                "oid": check.oid,
                "conname": check.name,
                "contype": "c",
                "conkey": [use.column for use in check.uses if use.oid == table.oid] or None,
                "convalidated": check.validated,
                "connoinherit": False,
                "conbin": check.expression,
            }
        for key in table.foreign_keys:
            yield base | _foreign_key_row(find_reference(key.oid, context.catalog))
    yield from domain_constraint_rows(context.catalog, namespaces)


def _foreign_key_row(reference: Reference | None) -> dict[str, Any]:
    assert reference is not None, "it is in the catalog"
    key, child, parent = reference
    own = [child.columns[number - 1].type_oid for number in key.columns]
    other = [parent.columns[number - 1].type_oid for number in key.referenced]
    return {
        "oid": key.oid,
        "conname": key.name,
        "contype": "f",
        "condeferrable": key.deferrable,
        "condeferred": key.initially_deferred,
        "convalidated": key.validated,
        "conindid": key.index_oid,
        "confrelid": parent.oid,
        "confupdtype": key.on_update,
        "confdeltype": key.on_delete,
        "confmatchtype": key.match,
        "conkey": list(key.columns),
        "confkey": list(key.referenced),
        "conpfeqop": list(map(_equality, other, own)),
        "conppeqop": list(map(_equality, other, other)),
        "conffeqop": list(map(_equality, own, own)),
        "confdelsetcols": list(key.delete_columns) or None,
    }


def _equality(left: int, right: int) -> int:
    """Return the OID of the operator = for two types; that of the left one if there is none for both."""
    equals = _equality_operators()
    left, right = _COMPARED_AS.get(left, left), _COMPARED_AS.get(right, right)
    return equals.get((left, right)) or equals.get((left, left), 0)


_COMPARED_AS = {oids.VARCHAR: oids.TEXT}


@cache
def _equality_operators() -> dict[tuple[int, int], int]:
    return {
        (operator.left_type, operator.right_type): operator.oid
        for operator in all_operators()
        if operator.name == "="
    }


@provides("pg_catalog", "pg_tables")
def _pg_tables(context: Any) -> Iterator[Row]:
    owners = {role.oid: role.name for role in context.catalog.roles.values()}
    for virtual in virtual_tables().values():
        if virtual.kind == "r":
            yield {"schemaname": virtual.schema, "tablename": virtual.name, "tableowner": "admin"}
    for table in context.catalog.tables.values():
        if table.kind == "r":
            yield {
                "schemaname": table.schema,
                "tablename": table.name,
                "tableowner": owners.get(table.owner_oid),
                "hasindexes": bool(table.indexes),
                "hasrules": False,
                "hastriggers": bool(table.foreign_keys) or table.oid in context.catalog.references,
                "rowsecurity": False,
            }


@provides("pg_catalog", "pg_indexes")
def _pg_indexes(context: Any) -> Iterator[Row]:
    for table in context.catalog.tables.values():
        for index in table.indexes:
            yield {
                "schemaname": table.schema,
                "tablename": table.name,
                "indexname": index.name,
                "indexdef": index_definition(index, table, context.profile),
            }
