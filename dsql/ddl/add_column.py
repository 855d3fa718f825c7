"""ALTER TABLE ... ADD COLUMN (postgres profile, but for bare columns).

A default that is the same for all rows is computed once and kept beside the column, for rows that are
older; none of them is touched. What differs from row to row, as a volatile default, a sequence's values or
a generated column do, is written into every row by the statement itself, as far as one transaction goes.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from dsql.catalog.schema import Column, Table
from dsql.ddl import nodes
from dsql.ddl.alter_constraints import add_constraint_node
from dsql.ddl.alter_domain import check_new_column, checked_value
from dsql.ddl.alter_type import refuse_rows_elsewhere
from dsql.ddl.alteration import Alteration, with_column
from dsql.ddl.column import ColumnSource
from dsql.ddl.foreign_keys import with_attributes
from dsql.ddl.function_names import check_calls
from dsql.ddl.identity import added_sequence, check_counting, counting_column, serial_type
from dsql.ddl.naming import find_column, refuse_system_name
from dsql.ddl.sequence_options import Written
from dsql.ddl.table_elements import read_column_constraint
from dsql.ddl.table_limits import check_column_count
from dsql.ddl.validation import NewRule
from dsql.errors import SqlError
from dsql.executor.stored import store
from dsql.sql.refusals_ddl import check_column_constraints


def add_column(alteration: Alteration, table: Table, command: Any) -> Table:
    """ADD COLUMN [IF NOT EXISTS] name type [constraints]."""
    definition = getattr(command, "def").column_def
    if find_column(table, definition.colname):
        text = f'column "{definition.colname}" of relation "{table.name}" already exists'
        if not command.missing_ok:
            raise SqlError("42701", text)
        alteration.result.notice("42701", f"{text}, skipping")
        return table
    refuse_system_name(definition.colname)
    if alteration.context.profile == "dsql":
        check_column_constraints(definition)
    check_column_count(len(table.live_columns) + 1, keyed=table.primary_key is not None)
    alteration.looks_at_once = True  # a column must not stay without its constraints
    source, others = _read(alteration, table, definition)
    column = Column(
        source.name,
        len(table.columns) + 1,
        source.type_oid,
        source.typmod,
        not_null=source.not_null,
        generated=source.generated,
        domain=source.domain,
    )
    if source.default is not None:
        refuse_rows_elsewhere(alteration.context.catalog, table)
    else:
        check_new_column(table, column, alteration.context)
    table = replace(table, columns=(*table.columns, column))
    table = with_column(table, _with_values(alteration, table, column, source))
    for constraint in others:
        table = add_constraint_node(alteration, table, constraint)
    return table


def _read(alteration: Alteration, table: Table, definition: Any) -> tuple[ColumnSource, list[Any]]:
    """Return the column as written, and its constraints that are the table's, which name it then."""
    expressions = alteration.expressions
    serial = serial_type(definition.type_name) if alteration.context.profile != "dsql" else None
    type_oid, typmod = (serial, -1) if serial else expressions.column_type(definition.type_name)
    domain = 0 if serial else expressions.column_domain(definition.type_name)
    sequence: Written | None = {} if serial else None
    source = ColumnSource(definition.colname, type_oid, typmod, sequence=sequence, domain=domain)
    others, says_null = [], False
    for constraint in with_attributes([nodes.inner(each) for each in definition.constraints]):
        if not read_column_constraint(source, constraint, table.name, expressions.position):
            others.append(_naming(constraint, definition.colname))
        says_null |= nodes.enum_name(constraint, "contype") == "CONSTR_NULL"
    check_counting(source, table.name, says_null=says_null)
    return source, others


def _naming(constraint: Any, column: str) -> Any:
    """Return a column's constraint as one of the table."""
    named = type(constraint)()
    named.CopyFrom(constraint)
    if nodes.enum_name(constraint, "contype") == "CONSTR_FOREIGN":
        named.fk_attrs.add().string.sval = column
    elif not constraint.keys:
        named.keys.add().string.sval = column
    return named


def _with_values(
    alteration: Alteration, table: Table, column: Column, source: ColumnSource
) -> Column:
    """Return the column with its default, and see to it that older rows have a value."""
    if source.sequence is not None:
        sequence = added_sequence(alteration, table, column, source)
        column = counting_column(column, source, sequence)
        alteration.fill.append(column.number)
    else:
        column = alteration.expressions.with_default(table, column, source)
        check_calls(column.uses, alteration.context)
        if column.default is not None:
            constant = alteration.expressions.constant_default(table, column)
            if constant is None:
                alteration.fill.append(column.number)
            else:
                value = checked_value(column, constant[0], alteration.context)
                column = replace(column, missing=store(column.type_oid, value))
    if column.not_null and column.missing is None:
        column = replace(column, unproved=True)
        alteration.rules.append(NewRule(column.name, columns=(column.number,)))
    return column
