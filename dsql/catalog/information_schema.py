"""information_schema, computed from the catalog: what the user owns or has some privilege on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from dsql.access.authority import Authority
from dsql.access.privileges import RELATION_KINDS, Kind, Privilege, in_words
from dsql.catalog.catalog import Catalog
from dsql.catalog.schema import Column, ForeignKey, Index, Schema, Table
from dsql.catalog.stored_text import shown_text
from dsql.catalog.virtual import provides, virtual_tables
from dsql.types import oids, registry
from dsql.types.type import Type

Row = Mapping[str, Any]
DATABASE = "postgres"
_TABLE_TYPES = {"r": "BASE TABLE", "v": "VIEW"}
_TEMPORARY = {"table_type": "LOCAL TEMPORARY", "commit_action": "PRESERVE"}
_INTEGER_PRECISION = {oids.INT2: 16, oids.INT4: 32, oids.INT8: 64}
_FLOAT_PRECISION = {oids.FLOAT4: 24, oids.FLOAT8: 53}
_DATETIME = frozenset((oids.TIME, oids.TIMETZ, oids.TIMESTAMP, oids.TIMESTAMPTZ, oids.INTERVAL))
_TYPMOD_OFFSET = 4  # VARHDRSZ, which PostgreSQL adds to the length in a typmod


class Sight:
    """What of the tables a user gets to see."""

    def __init__(self, context: Any) -> None:
        self._authority = Authority(context.catalog, context.user.oid)

    def schema(self, schema: Schema) -> bool:
        """Return whether a schema is the user's, or open to it in some way."""
        held, _ = self._authority.masks(Kind.SCHEMA, schema.owner_oid, schema.acl)
        return self.owned(schema) or bool(held)

    def owned(self, found: Table | Schema) -> bool:
        """Return whether the user has the owner's privileges."""
        return self._authority.owns(found.owner_oid)

    def table(self, table: Table, privileges: int = Kind.TABLE.every) -> bool:
        """Return whether a table is the user's, or one of the privileges is held on it or on a column."""
        if self.owned(table):
            return True
        held, _ = self._authority.masks(RELATION_KINDS[table.kind], table.owner_oid, table.acl)
        return bool(held & privileges) or any(
            self.column(table, column, privileges) for column in table.live_columns
        )

    def column(self, table: Table, column: Column, privileges: int = Kind.COLUMN.every) -> bool:
        """Return whether a table is the user's, or one of the privileges is held on a column."""
        wanted = in_words(privileges & Kind.COLUMN.every)
        return self.owned(table) or any(
            self._authority.holds_on_column(table, column.number, privilege) for privilege in wanted
        )


Changeable = Callable[[Any, Table], Collection[int]]


def _every_column(context: Any, table: Table) -> Collection[int]:
    del context
    return {column.number for column in table.live_columns}


# By pg_class.relkind: the numbers of the columns that can be assigned, none if no row can be written.
_changeable: dict[str, Changeable] = {"r": _every_column}


def changes(kind: str) -> Callable[[Changeable], Changeable]:
    """Make the decorated function tell which columns of a kind of relation can be assigned."""

    def register(changeable: Changeable) -> Changeable:
        _changeable[kind] = changeable
        return changeable

    return register


def _yes_no(value: object) -> str:
    return "YES" if value else "NO"


@provides("information_schema", "information_schema_catalog_name")
def _catalog_name(context: Any) -> Iterator[Row]:
    del context
    yield {"catalog_name": DATABASE}


@provides("information_schema", "schemata")
def _schemata(context: Any) -> Iterator[Row]:
    owners = {role.oid: role.name for role in context.catalog.roles.values()}
    sight = Sight(context)
    for schema in filter(sight.schema, context.catalog.schemas.values()):
        yield {
            "catalog_name": DATABASE,
            "schema_name": schema.name,
            "schema_owner": owners.get(schema.owner_oid),
        }


@provides("information_schema", "tables")
def _tables(context: Any) -> Iterator[Row]:
    for virtual in virtual_tables().values():
        yield _table_row(virtual.schema, virtual.name, virtual.kind, insertable=False)
    for table in filter(Sight(context).table, context.catalog.tables.values()):
        if table.kind in _TABLE_TYPES:
            insertable = bool(_changeable[table.kind](context, table))
            row = _table_row(table.schema, table.name, table.kind, insertable=insertable)
            yield {**row, **_TEMPORARY} if table.is_temporary and table.kind == "r" else row


def _table_row(schema: str, name: str, kind: str, *, insertable: bool) -> Row:
    return {
        "table_catalog": DATABASE,
        "table_schema": schema,
        "table_name": name,
        "table_type": _TABLE_TYPES[kind],
        "is_insertable_into": _yes_no(insertable),
        "is_typed": "NO",
    }


@provides("information_schema", "columns")
def _columns(context: Any) -> Iterator[Row]:
    for virtual in virtual_tables().values():
        for number, (name, type_oid) in enumerate(virtual.columns, 1):
            column = Column(name, number, type_oid, not_null=virtual.not_null[number - 1])
            yield _column_row(virtual.schema, virtual.name, number, column, updatable=False)
    sight = Sight(context)
    for table in context.catalog.tables.values():
        if table.kind in _TABLE_TYPES:
            changeable = _changeable[table.kind](context, table)
            for column in table.live_columns:
                if sight.column(table, column):
                    row = _column_row(
                        table.schema,
                        table.name,
                        column.number,
                        column,
                        updatable=column.number in changeable,
                    )
                    row = {**row, **_identity_facts(context.catalog, table, column)}
                    row = {**row, **_domain(column, context.catalog)}
                    yield {**row, **_shown_texts(context, column)}


def _domain(column: Column, catalog: Catalog) -> Row:
    domain = catalog.domains_by_oid.get(column.domain)
    if domain is None:
        return {}
    return {
        **({"is_nullable": "NO"} if domain.not_null else {}),
        "domain_catalog": DATABASE,
        "domain_schema": domain.schema,
        "domain_name": domain.name,
    }


def _column_row(schema: str, table: str, number: int, column: Column, *, updatable: bool) -> Row:
    kind = registry.get(column.type_oid)
    row: dict[str, Any] = {
        "table_catalog": DATABASE,
        "table_schema": schema,
        "table_name": table,
        "column_name": column.name,
        "ordinal_position": number,
        "is_nullable": _yes_no(not column.not_null),
        "data_type": "ARRAY" if kind.category == "A" else _data_type(kind),
        "udt_catalog": DATABASE,
        "udt_schema": kind.schema,
        "udt_name": kind.name,
        "dtd_identifier": str(number),
        "is_self_referencing": "NO",
        "is_identity": _yes_no(column.identity),
        "identity_cycle": "NO",
        "is_generated": "ALWAYS" if column.generated else "NEVER",
        "is_updatable": _yes_no(updatable),
    }
    return {**row, **type_facts(column.type_oid, column.typmod)}


def _data_type(kind: Type) -> str:
    return kind.sql_name if kind.schema == "pg_catalog" else "USER-DEFINED"


def _shown_texts(context: Any, column: Column) -> Row:
    if column.default is None:
        return {}
    name = "generation_expression" if column.generated else "column_default"
    return {name: shown_text(column.default, context.catalog, context.search_path)}


def _identity_facts(catalog: Catalog, table: Table, column: Column) -> Row:
    if not column.identity:
        return {}
    of = catalog.identity_sequence(table.oid, column.number).sequence
    assert of is not None, "a sequence"
    return {
        "identity_generation": "ALWAYS" if column.identity == "a" else "BY DEFAULT",
        "identity_start": str(of.start),
        "identity_increment": str(of.increment),
        "identity_maximum": str(of.maximum),
        "identity_minimum": str(of.minimum),
        "identity_cycle": _yes_no(of.cycle),
    }


def type_facts(type_oid: int, typmod: int) -> Row:
    """Return the columns that tell a type's length, precision and scale."""
    if type_oid in (oids.VARCHAR, oids.BPCHAR):
        length = typmod - _TYPMOD_OFFSET if typmod >= 0 else None
        octets = length * 4 if length is not None else 1_073_741_824
        return {"character_maximum_length": length, "character_octet_length": octets}
    if type_oid == oids.TEXT:
        return {"character_octet_length": 1_073_741_824}
    if type_oid in _INTEGER_PRECISION:
        precision = _INTEGER_PRECISION[type_oid]
        return {"numeric_precision": precision, "numeric_precision_radix": 2, "numeric_scale": 0}
    if type_oid in _FLOAT_PRECISION:
        return {"numeric_precision": _FLOAT_PRECISION[type_oid], "numeric_precision_radix": 2}
    if type_oid == oids.NUMERIC:
        facts: dict[str, Any] = {"numeric_precision_radix": 10}
        if typmod >= 0:
            packed = typmod - _TYPMOD_OFFSET
            scale = ((packed & 0x7FF) ^ 1024) - 1024
            facts |= {"numeric_precision": packed >> 16, "numeric_scale": scale}
        return facts
    if type_oid in _DATETIME:
        return {"datetime_precision": typmod if 0 <= typmod <= 6 else 6}
    return {"datetime_precision": 0} if type_oid == oids.DATE else {}


def _constraints(context: Any) -> Iterator[tuple[Table, str, str, tuple[int, ...]]]:
    """Yield (table, name, type, column numbers) of every constraint."""
    for table in context.catalog.tables.values():
        for index in table.indexes:
            if index.constraint:
                word = "PRIMARY KEY" if index.primary else "UNIQUE"
                numbers = tuple(part.column_number for part in index.columns)
                yield table, index.constraint, word, numbers
        for check in table.checks:
            yield table, check.name, "CHECK", ()
        for key in table.foreign_keys:
            yield table, key.name, "FOREIGN KEY", key.columns


def _constraint_base(table: Table, name: str) -> dict[str, Any]:
    return {
        "constraint_catalog": DATABASE,
        "constraint_schema": table.schema,
        "constraint_name": name,
        "table_catalog": DATABASE,
        "table_schema": table.schema,
        "table_name": table.name,
    }


@provides("information_schema", "table_constraints")
def _table_constraints(context: Any) -> Iterator[Row]:
    sight = Sight(context)
    for table, name, word, _ in _constraints(context):
        if sight.table(table, Kind.TABLE.every & ~Privilege.SELECT):
            key = next((key for key in table.foreign_keys if key.name == name), None)
            yield _constraint_base(table, name) | {
                "constraint_type": word,
                "is_deferrable": _yes_no(key and key.deferrable),
                "initially_deferred": _yes_no(key and key.initially_deferred),
                "enforced": "YES",
                "nulls_distinct": "YES" if word == "UNIQUE" else None,
            }


@provides("information_schema", "key_column_usage")
def _key_column_usage(context: Any) -> Iterator[Row]:
    sight = Sight(context)
    for table, name, _, numbers in _constraints(context):
        places = _places_in_unique(table, name, context)
        for position, number in enumerate(numbers, 1):
            column = table.columns[number - 1]
            if sight.column(table, column):
                yield _constraint_base(table, name) | {
                    "column_name": column.name,
                    "ordinal_position": position,
                    "position_in_unique_constraint": places.get(position),
                }


def _places_in_unique(table: Table, name: str, context: Any) -> dict[int, int]:
    """Return where a foreign key's columns, by position, stand in the key that they refer to."""
    for key in table.foreign_keys:
        if key.name == name:
            unique = _unique_key(key, context)
            order = [part.column_number for part in unique.columns]
            return {place: order.index(n) + 1 for place, n in enumerate(key.referenced, 1)}
    return {}


def _unique_key(key: ForeignKey, context: Any) -> Index:
    parent: Table = context.catalog.tables_by_oid[key.table_oid]
    return next(index for index in parent.indexes if index.oid == key.index_oid)


_MATCH_OPTIONS = {"s": "NONE", "f": "FULL"}
_RULES = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}


@provides("information_schema", "referential_constraints")
def _referential_constraints(context: Any) -> Iterator[Row]:
    sight = Sight(context)
    for table, key in context.catalog.foreign_keys.values():
        if sight.table(table, Kind.TABLE.every & ~Privilege.SELECT):
            unique, parent = _unique_key(key, context), context.catalog.tables_by_oid[key.table_oid]
            yield {
                "constraint_catalog": DATABASE,
                "constraint_schema": table.schema,
                "constraint_name": key.name,
                "unique_constraint_catalog": DATABASE if unique.constraint else None,
                "unique_constraint_schema": parent.schema if unique.constraint else None,
                "unique_constraint_name": unique.constraint,
                "match_option": _MATCH_OPTIONS[key.match],
                "update_rule": _RULES[key.on_update],
                "delete_rule": _RULES[key.on_delete],
            }


@provides("information_schema", "constraint_column_usage")
def _constraint_column_usage(context: Any) -> Iterator[Row]:
    sight = Sight(context)
    for table, name, numbers in _used_columns(context):
        for number in numbers if sight.owned(table) else ():
            yield _constraint_base(table, name) | {"column_name": table.columns[number - 1].name}


def _used_columns(context: Any) -> Iterator[tuple[Table, str, tuple[int, ...]]]:
    """Yield what constraints use: keys their own columns, foreign keys those that they refer to."""
    for table, name, word, numbers in _constraints(context):
        if word != "FOREIGN KEY":
            yield table, name, numbers
    for _, key in context.catalog.foreign_keys.values():
        yield context.catalog.tables_by_oid[key.table_oid], key.name, key.referenced


@provides("information_schema", "check_constraints")
def _check_constraints(context: Any) -> Iterator[Row]:
    for table in filter(Sight(context).owned, context.catalog.tables.values()):
        for check in table.checks:
            yield {
                "constraint_catalog": DATABASE,
                "constraint_schema": table.schema,
                "constraint_name": check.name,
                "check_clause": check.expression,
            }
