"""FOREIGN KEY constraints as statements define them: columns, the key that is referred to, types, names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from dsql.access.privileges import Privilege
from dsql.access.requirements import ColumnsHolding, Requirement
from dsql.catalog.schema import SYSTEM_COLUMN_NUMBERS, Column, ForeignKey, Index, Table
from dsql.catalog.store import CatalogWriter
from dsql.catalog.virtual import VirtualTable
from dsql.ddl import nodes
from dsql.ddl.naming import (
    find_column,
    find_relation,
    missing_relation,
    system_catalog,
    unique_name,
)
from dsql.ddl.result import UtilityContext
from dsql.errors import SqlError
from dsql.functions.coercion import can_coerce
from dsql.types import oids
from dsql.types.typmod import format_type

# Types of one B-tree operator family: their values are compared with each other.
_FAMILIES = (
    frozenset({oids.INT2, oids.INT4, oids.INT8}),
    frozenset({oids.FLOAT4, oids.FLOAT8}),
    frozenset({oids.DATE, oids.TIMESTAMP, oids.TIMESTAMPTZ}),
    frozenset({oids.TEXT, oids.VARCHAR, oids.NAME}),
)
_COMPUTED_ON_UPDATE = "cnd"
_COMPUTED_ON_DELETE = "nd"


def foreign_key_nodes(elements: Iterable[Any]) -> Iterator[Any]:
    """Yield the FOREIGN KEY constraints among table elements, those of columns included."""
    for element in elements:
        kind, item = nodes.kind(element), nodes.inner(element)
        for constraint in [item] if kind == "constraint" else map(nodes.inner, _constraints(item)):
            if nodes.enum_name(constraint, "contype") == "CONSTR_FOREIGN":
                yield constraint


def _constraints(item: Any) -> Iterable[Any]:
    return getattr(item, "constraints", ())


def references_requires(constraint: Any, context: UtilityContext) -> Iterator[Requirement]:
    """Yield what a FOREIGN KEY needs on the table that it refers to, if that exists by now."""
    found = find_relation(context, constraint.pktable, missing_ok=True)
    if not isinstance(found, Table) or found.kind != "r":
        return  # the statement finds out
    names = nodes.strings(constraint.pk_attrs)
    columns = [find_column(found, name) for name in names]
    numbers = [column.number for column in columns if column is not None]
    if not names and found.primary_key is not None:
        numbers = [part.column_number for part in found.primary_key.columns]
    yield ColumnsHolding(found, Privilege.REFERENCES, tuple(numbers))


def add_foreign_key(
    table: Table,
    constraint: Any,
    context: UtilityContext,
    writer: CatalogWriter,
    *,
    validated: bool,
) -> Table:
    """Return the table with a FOREIGN KEY more.

    Raises SqlError 42P01, 42809, 42703, 42P10, 42830, 42704, 42601, 42804, 42710. The version of the table
    that is referred to is written: whoever deletes from it has to know.
    """
    parent = _parent(table, constraint.pktable, context)
    if parent.is_temporary != table.is_temporary:
        kind = "temporary" if table.is_temporary else "permanent"
        message = f"constraints on {kind} tables may reference only {kind} tables"
        raise SqlError("42P16", message)
    columns = _columns(table, nodes.strings(constraint.fk_attrs))
    chosen = _chosen(columns, _columns(table, nodes.strings(constraint.fk_del_set_cols)))
    referenced, index = _referenced(parent, constraint)
    _check_generated(columns, constraint)
    if len(columns) != len(referenced):
        message = "number of referencing and referenced columns for foreign key disagree"
        raise SqlError("42830", message)
    key = ForeignKey(
        writer.allocate_oid(),
        _name(table, constraint, columns),
        tuple(column.number for column in columns),
        parent.oid,
        tuple(column.number for column in referenced),
        index.oid,
        constraint.fk_upd_action,
        constraint.fk_del_action,
        constraint.fk_matchtype,
        chosen,
        constraint.deferrable,
        constraint.initdeferred,
        validated,
    )
    for column, other in zip(columns, referenced, strict=True):
        check_types(key, column, other)
    if parent.oid != table.oid:
        writer.put_table(parent)
    return replace(table, foreign_keys=(*table.foreign_keys, key))


def _parent(table: Table, relation: Any, context: UtilityContext) -> Table:
    """Return the table that is referred to, which may be the very table, as it is by now."""
    if relation.relname == table.name and relation.schemaname in ("", table.schema):
        return table
    found = find_relation(context, relation)
    if found is None:
        raise missing_relation(relation)
    if isinstance(found, VirtualTable):
        raise system_catalog(found)
    if found.kind != "r":
        raise SqlError("42809", f'referenced relation "{found.name}" is not a table')
    return found


def _columns(table: Table, names: Sequence[str]) -> list[Column]:
    columns = []
    for name in names:
        column = find_column(table, name)
        if column is None and name in SYSTEM_COLUMN_NUMBERS:
            raise SqlError("0A000", "system columns cannot be used in foreign keys")
        if column is None:
            message = f'column "{name}" referenced in foreign key constraint does not exist'
            raise SqlError("42703", message)
        columns.append(column)
    return columns


def _chosen(columns: Sequence[Column], chosen: Sequence[Column]) -> tuple[int, ...]:
    """Return the numbers of the columns that ON DELETE SET NULL or SET DEFAULT names."""
    for column in chosen:
        if column not in columns:
            raise SqlError(
                "42P10",
                f'column "{column.name}" referenced in ON DELETE SET action '
                "must be part of foreign key",
            )
    return tuple(dict.fromkeys(column.number for column in chosen))


def _referenced(parent: Table, constraint: Any) -> tuple[list[Column], Index]:
    """Return the columns that are referred to, and their key."""
    names = nodes.strings(constraint.pk_attrs)
    if not names:
        primary = parent.primary_key
        if primary is None:
            message = f'there is no primary key for referenced table "{parent.name}"'
            raise SqlError("42704", message)
        return [parent.columns[part.column_number - 1] for part in primary.columns], primary
    columns = _columns(parent, names)
    if len(set(names)) < len(names):
        message = "foreign key referenced-columns list must not contain duplicates"
        raise SqlError("42830", message)
    wanted = sorted(column.number for column in columns)
    for index in parent.indexes:
        numbers = sorted(part.column_number for part in index.columns)
        is_key = index.unique and index.predicate is None and (index.valid or index.constraint)
        if is_key and numbers == wanted:
            return columns, index
    message = (
        f'there is no unique constraint matching given keys for referenced table "{parent.name}"'
    )
    raise SqlError("42830", message)


def _check_generated(columns: Sequence[Column], constraint: Any) -> None:
    if any(column.generated for column in columns):
        for action, refused, word in (
            (constraint.fk_upd_action, _COMPUTED_ON_UPDATE, "UPDATE"),
            (constraint.fk_del_action, _COMPUTED_ON_DELETE, "DELETE"),
        ):
            if action in refused:
                raise SqlError(
                    "42601",
                    f"invalid ON {word} action for foreign key constraint containing generated column",
                )


def check_types(key: ForeignKey, column: Column, referenced: Column) -> None:
    """Raise SqlError 42804 if a column's values cannot be compared with those that it refers to."""
    types = {column.type_oid, referenced.type_oid}
    alike = len(types) == 1 or any(types <= family for family in _FAMILIES)
    if not alike and not can_coerce(column.type_oid, referenced.type_oid):
        shown = [format_type(each.type_oid, -1) for each in (column, referenced)]
        raise SqlError(
            "42804",
            f'foreign key constraint "{key.name}" cannot be implemented',
            detail=f'Key columns "{column.name}" and "{referenced.name}" '
            f"are of incompatible types: {shown[0]} and {shown[1]}.",
        )


def _name(table: Table, constraint: Any, columns: Sequence[Column]) -> str:
    taken = constraint_names(table)
    middle = "_".join(column.name for column in columns)
    name: str = constraint.conname or unique_name(table.name, middle, "fkey", taken)
    if name in taken:
        raise SqlError("42710", f'constraint "{name}" for relation "{table.name}" already exists')
    return name


def refuse_pending_checks(table: Table, context: UtilityContext, command: str) -> None:
    """Raise SqlError 55006 if what the transaction has done to a table is still to be checked."""
    if table.oid in context.tables_to_be_checked:
        message = f'cannot {command} "{table.name}" because it has pending trigger events'
        raise SqlError("55006", message)


def constraint_names(table: Table) -> set[str]:
    """Return the names of a table's constraints of all kinds."""
    names = {check.name for check in table.checks} | {key.name for key in table.foreign_keys}
    return names | {index.constraint for index in table.indexes if index.constraint}


# ---------------------------------------------------------------- deferrability


def with_attributes(constraints: Sequence[Any]) -> Iterator[Any]:
    """Yield a column's constraints, each with the DEFERRABLE and INITIALLY clauses that follow it."""
    merged: list[Any] = []
    said: set[str] = set()
    for constraint in constraints:
        kind = nodes.enum_name(constraint, "contype")
        if not kind.startswith("CONSTR_ATTR_"):
            merged.append(constraint)
            said = set()
            continue
        word = kind.removeprefix("CONSTR_ATTR_")
        last = merged[-1] if merged else None
        if last is None or nodes.enum_name(last, "contype") not in _DEFERRABLE:
            text = "INITIALLY " + word if word in _INITIALLY else word.replace("_", " ")
            raise SqlError("42601", f"misplaced {text} clause")
        merged[-1] = _with_attribute(last, word, said)
    yield from merged


_DEFERRABLE = ("CONSTR_FOREIGN", "CONSTR_PRIMARY", "CONSTR_UNIQUE", "CONSTR_EXCLUSION")
_INITIALLY = ("DEFERRED", "IMMEDIATE")


def _with_attribute(constraint: Any, word: str, said: set[str]) -> Any:
    group = _INITIALLY if word in _INITIALLY else ("DEFERRABLE", "NOT_DEFERRABLE")
    if said.intersection(group):
        clauses = (
            "INITIALLY IMMEDIATE/DEFERRED" if group is _INITIALLY else "DEFERRABLE/NOT DEFERRABLE"
        )
        raise SqlError("42601", f"multiple {clauses} clauses not allowed")
    said.add(word)
    changed = type(constraint)()
    changed.CopyFrom(constraint)
    changed.deferrable = "NOT_DEFERRABLE" not in said and bool(said & {"DEFERRABLE", "DEFERRED"})
    changed.initdeferred = "DEFERRED" in said
    if changed.initdeferred and not changed.deferrable:
        raise SqlError("42601", "constraint declared INITIALLY DEFERRED must be DEFERRABLE")
    return changed
