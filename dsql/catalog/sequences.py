"""Sequences in the catalog: their functions, pg_sequence, pg_sequences, and their one row when read.

What counts is the running session's (`context.sequences`, a `dsql.sequences.session.SessionSequences`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dsql.access.authority import Authority
from dsql.access.authorize import check
from dsql.access.privileges import RELATION_KINDS, Kind, Privilege
from dsql.access.requirements import privilege_on
from dsql.catalog.catalog import Catalog
from dsql.catalog.information_schema import DATABASE, Row
from dsql.catalog.names import CatalogNames, relation_name, view_of
from dsql.catalog.schema import SequenceOptions, Table
from dsql.catalog.virtual import VirtualTable, provides, virtual_table
from dsql.errors import SqlError
from dsql.functions.definition import define
from dsql.functions.function import Function
from dsql.types import oids, reg, registry
from dsql.types.identifier import quote_identifier, split_name


def require_sequence(catalog: Catalog, oid: int) -> Table:
    """Return the sequence with an OID. Raises SqlError 42809 if it is another relation, 42P01 for none."""
    found = catalog.tables_by_oid.get(oid)
    if found is not None and found.kind == "S":
        return found
    name = relation_name(catalog, oid)
    if name is None:
        raise no_relation(oid)
    raise SqlError("42809", f'"{name[1]}" is not a sequence')


def no_relation(oid: int) -> SqlError:
    """Return the error (42P01) of an OID that no relation has, or none has any more."""
    return SqlError("42P01", f"could not open relation with OID {oid}")


# ---------------------------------------------------------------- functions

define("nextval", lambda context, oid: context.sequences.nextval(context, oid), needs_context=True)
define("currval", lambda context, oid: context.sequences.currval(context, oid), needs_context=True)
define("lastval", lambda context: context.sequences.lastval(context), needs_context=True)
define(
    "setval(regclass,int8)",
    lambda context, oid, value: context.sequences.setval(context, oid, value),
    needs_context=True,
)
define(
    "setval(regclass,int8,bool)",
    lambda context, oid, value, called: context.sequences.setval(
        context, oid, value, is_called=called
    ),
    needs_context=True,
)

# What an identity column's default calls. Nobody can: it has no name.
NEXT_OF_COLUMN = Function(
    oid=0,
    name="",
    argument_types=(oids.REGCLASS,),
    return_type=oids.INT8,
    implementation=lambda context, oid: context.sequences.next_of_column(context, oid),
    volatility="v",
    needs_context=True,
)


def _parameters(context: Any, oid: int) -> tuple[Any, ...]:
    sequence = require_sequence(context.catalog, oid)
    anything = Privilege.USAGE | Privilege.SELECT | Privilege.UPDATE
    check(privilege_on(sequence, anything), context.authority)
    of = sequence.sequence
    assert of is not None, "a sequence"
    return of.start, of.minimum, of.maximum, of.increment, of.cycle, of.cache, of.type_oid


define("pg_sequence_parameters", _parameters, needs_context=True)


def _last_value(context: Any, oid: int) -> int | None:
    sequence = require_sequence(context.catalog, oid)
    check(privilege_on(sequence, Privilege.USAGE | Privilege.SELECT), context.authority)
    (counter,) = context.sequences.counters(context, [sequence])
    return counter.last_value if counter is not None and counter.is_called else None


define("pg_sequence_last_value", _last_value, needs_context=True)


def _serial_sequence(context: Any, table_name: str, column_name: str) -> str | None:
    catalog: Catalog = context.catalog
    oid = reg.oid_of("regclass", table_name, CatalogNames(lambda: view_of(context)))
    table = catalog.tables_by_oid.get(oid)
    virtual = virtual_table(oid)
    if virtual is not None and column_name in dict(virtual.columns):
        return None
    for column in table.live_columns if table is not None else ():
        assert table is not None
        if column.name == column_name:
            owned = next(iter(catalog.sequences_of(table.oid, column.number)), None)
            if owned is None:
                return None
            return f"{quote_identifier(owned.schema)}.{quote_identifier(owned.name)}"
    shown = split_name(table_name)[-1]
    message = f'column "{column_name}" of relation "{shown}" does not exist'
    raise SqlError("42703", message)


define("pg_get_serial_sequence", _serial_sequence, needs_context=True)

# ---------------------------------------------------------------- tables


def _sequences(context: Any) -> Iterator[tuple[Table, SequenceOptions]]:
    for table in context.catalog.tables.values():
        if table.sequence is not None:
            yield table, table.sequence


@provides("pg_catalog", "pg_sequence")
def _pg_sequence(context: Any) -> Iterator[Row]:
    for table, of in _sequences(context):
        yield {
            "seqrelid": table.oid,
            "seqtypid": of.type_oid,
            "seqstart": of.start,
            "seqincrement": of.increment,
            "seqmax": of.maximum,
            "seqmin": of.minimum,
            "seqcache": of.cache,
            "seqcycle": of.cycle,
        }


@provides("pg_catalog", "pg_sequences")
def _pg_sequences(context: Any) -> Iterator[Row]:
    owners = {role.oid: role.name for role in context.catalog.roles.values()}
    found = list(_sequences(context))
    authority = Authority(context.catalog, context.user.oid)
    readable = [table for table, _ in found if _may(authority, table, _READ)]
    values = context.sequences.counters(context, readable) if readable else []
    counters = dict(zip((table.oid for table in readable), values, strict=True))
    for table, of in found:
        counter = counters.get(table.oid)
        yield {
            "schemaname": table.schema,
            "sequencename": table.name,
            "sequenceowner": owners.get(table.owner_oid),
            "data_type": of.type_oid,
            "start_value": of.start,
            "min_value": of.minimum,
            "max_value": of.maximum,
            "increment_by": of.increment,
            "cycle": of.cycle,
            "cache_size": of.cache,
            "last_value": counter.last_value if counter and counter.is_called else None,
        }


_READ = Privilege.SELECT | Privilege.USAGE


def _may(authority: Authority, table: Table, privileges: int) -> bool:
    held, _ = authority.masks(RELATION_KINDS[table.kind], table.owner_oid, table.acl)
    return bool(held & privileges)


@provides("information_schema", "sequences")
def _information_sequences(context: Any) -> Iterator[Row]:
    authority = Authority(context.catalog, context.user.oid)
    for table, of in _sequences(context):
        seen = authority.owns(table.owner_oid) or _may(authority, table, Kind.SEQUENCE.every)
        if of.is_identity or not seen:
            continue
        yield {
            "sequence_catalog": DATABASE,
            "sequence_schema": table.schema,
            "sequence_name": table.name,
            "data_type": registry.get(of.type_oid).sql_name,
            "numeric_precision": registry.get(of.type_oid).size * 8,
            "numeric_precision_radix": 2,
            "numeric_scale": 0,
            "start_value": str(of.start),
            "minimum_value": str(of.minimum),
            "maximum_value": str(of.maximum),
            "increment": str(of.increment),
            "cycle_option": "YES" if of.cycle else "NO",
        }


# ---------------------------------------------------------------- SELECT * FROM a sequence


def sequence_relation(sequence: Table) -> VirtualTable:
    """Return a sequence as what FROM shows of it: one row, as it is now, whatever the snapshot is."""

    def provide(context: Any) -> Iterator[Row]:
        (counter,) = context.sequences.counters(context, [sequence])
        if counter is not None:
            yield {
                "last_value": counter.last_value,
                "log_cnt": counter.log_cnt,
                "is_called": counter.is_called,
            }

    columns = tuple((column.name, column.type_oid) for column in sequence.columns)
    width = len(columns)
    return VirtualTable(
        sequence.oid,
        sequence.schema,
        sequence.name,
        sequence.kind,
        columns,
        (True,) * width,
        (None,) * width,
        provide,
    )
