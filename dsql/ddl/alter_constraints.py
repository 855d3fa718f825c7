"""ALTER TABLE's subcommands about constraints: ADD, ALTER, VALIDATE and DROP CONSTRAINT."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from dsql.catalog.dependencies import PG_CONSTRAINT, Address
from dsql.catalog.schema import CheckConstraint, ForeignKey, Index, Table
from dsql.ddl import nodes
from dsql.ddl.alteration import Alteration
from dsql.ddl.foreign_keys import add_foreign_key, constraint_names
from dsql.ddl.function_names import check_calls
from dsql.ddl.indexes import JOB_COLUMNS
from dsql.ddl.keys import add_key
from dsql.ddl.naming import find_index
from dsql.ddl.validation import NewRule, submit_validation
from dsql.errors import SqlError, unsupported
from dsql.sql.libpg_query import grammar as pg
from dsql.sql.refusals_ddl import alter_table_error


def is_key(constraint: Any) -> bool:
    """Tell whether a constraint is a PRIMARY KEY or UNIQUE."""
    return nodes.enum_name(constraint, "contype") in ("CONSTR_PRIMARY", "CONSTR_UNIQUE")


def add_constraint(alteration: Alteration, table: Table, command: Any) -> Table:
    """ADD [CONSTRAINT name] ..."""
    return add_constraint_node(alteration, table, getattr(command, "def").constraint)


def add_constraint_node(alteration: Alteration, table: Table, constraint: Any) -> Table:
    """Add a constraint that names its columns. Raises SqlError as PostgreSQL does for its kind."""
    contype = nodes.enum_name(constraint, "contype")
    if contype == "CONSTR_CHECK":
        return _add_check(alteration, table, constraint)
    if contype == "CONSTR_FOREIGN":
        return _add_foreign_key(alteration, table, constraint)
    if contype == "CONSTR_UNIQUE" and constraint.indexname:
        return _unique_using_index(alteration, table, constraint)
    if is_key(constraint):
        if constraint.deferrable:
            raise unsupported("DEFERRABLE is supported for FOREIGN KEY constraints only")
        table = add_key(table, constraint, alteration.context, alteration.writer)
        if contype == "CONSTR_UNIQUE":
            alteration.unique.append(table.indexes[-1])
        else:
            alteration.rewrite()
        return table
    raise alter_table_error(pg.AT_AddConstraint)


def _add_check(alteration: Alteration, table: Table, constraint: Any) -> Table:
    taken = constraint_names(table)
    check = alteration.expressions.check(table, constraint.raw_expr, constraint.conname, taken)
    check = replace(check, oid=alteration.writer.allocate_oid(), validated=False)
    if not constraint.skip_validation:
        check_calls(check.uses, alteration.context)
        alteration.rules.append(NewRule(check.name, check.oid))
    return replace(table, checks=(*table.checks, check))


def _add_foreign_key(alteration: Alteration, table: Table, constraint: Any) -> Table:
    table = add_foreign_key(
        table, constraint, alteration.context, alteration.writer, validated=False
    )
    key = table.foreign_keys[-1]
    if not constraint.skip_validation:
        alteration.rules.append(NewRule(key.name, key.oid))
    return table


def _unique_using_index(alteration: Alteration, table: Table, constraint: Any) -> Table:
    found = find_index(alteration.context, table.schema, constraint.indexname)
    if found is None or found[0].oid != table.oid:
        raise SqlError("42704", f'index "{constraint.indexname}" does not exist')
    index = found[1]
    if not index.valid:
        raise SqlError("55000", f'index "{index.name}" is not valid')
    if not index.unique or index.predicate or any(part.expression for part in index.columns):
        raise SqlError(
            "42809",
            f'"{index.name}" is not a unique index'
            if not index.unique
            else f'index "{index.name}" contains expressions or a predicate',
            detail="Cannot create a primary key or unique constraint using such an index.",
        )
    name = constraint.conname or index.name
    if name != index.name:
        alteration.writer.release_name(table.schema, index.name)
        alteration.writer.claim_name(table.schema, name)
    oid = alteration.writer.allocate_oid()
    return _with_index(table, replace(index, name=name, constraint=name, constraint_oid=oid))


def _with_index(table: Table, index: Index) -> Table:
    indexes = tuple(index if other.oid == index.oid else other for other in table.indexes)
    return replace(table, indexes=indexes)


def alter_constraint(alteration: Alteration, table: Table, command: Any) -> Table:
    """ALTER CONSTRAINT name [[NOT] DEFERRABLE] [INITIALLY ...]."""
    del alteration
    definition = getattr(command, "def").atalter_constraint
    if definition.conname not in constraint_names(table):
        raise _missing(table, definition.conname)
    keys = [key for key in table.foreign_keys if key.name == definition.conname]
    if not keys:
        message = (
            f'constraint "{definition.conname}" of relation "{table.name}" '
            "is not a foreign key constraint"
        )
        raise SqlError("42809", message)
    changed = replace(
        keys[0], deferrable=definition.deferrable, initially_deferred=definition.initdeferred
    )
    return _with_foreign_key(table, changed)


def _with_foreign_key(table: Table, key: ForeignKey) -> Table:
    keys = tuple(key if other.oid == key.oid else other for other in table.foreign_keys)
    return replace(table, foreign_keys=keys)


def validate_constraint(alteration: Alteration, table: Table, command: Any) -> Table:
    """VALIDATE CONSTRAINT name: its statement waits for the job, or with ASYNC returns its identifier."""
    if command.name not in constraint_names(table):
        raise _missing(table, command.name)
    checkable: tuple[CheckConstraint | ForeignKey, ...] = (*table.checks, *table.foreign_keys)
    found = [each for each in checkable if each.name == command.name]
    if not found:
        message = (
            f'constraint "{command.name}" of relation "{table.name}" '
            "is not a foreign key or check constraint"
        )
        raise SqlError("42809", message)
    if isinstance(found[0], CheckConstraint):
        check_calls(found[0].uses, alteration.context)
    rule = NewRule(command.name, found[0].oid, is_new=False)
    if alteration.expressions.asynchronous:
        job = submit_validation(table, rule, alteration.context, synchronous=False)
        alteration.result.columns, alteration.result.rows = JOB_COLUMNS, [(job.text_id,)]
    elif not found[0].validated:
        alteration.rules.append(rule)
    return table


def drop_constraint(alteration: Alteration, table: Table, command: Any) -> Table:
    """DROP CONSTRAINT [IF EXISTS] name [CASCADE].

    Without its primary key a table has its rows in another order, so all are replaced.
    """
    constraints = {check.name: check.oid for check in table.checks}
    constraints |= {key.name: key.oid for key in table.foreign_keys}
    constraints |= {i.constraint: i.constraint_oid for i in table.indexes if i.constraint}
    key = table.primary_key
    if key and key.constraint == command.name:
        if alteration.context.profile == "dsql":
            raise unsupported("cannot drop the primary key: rows are stored by it")
        alteration.rewrite()
    if command.name in constraints:
        return alteration.drop(table, Address(PG_CONSTRAINT, constraints[command.name]), command)
    if not command.missing_ok:
        raise _missing(table, command.name)
    alteration.result.notice("00000", f"{_missing(table, command.name).message}, skipping")
    return table


def _missing(table: Table, name: str) -> SqlError:
    return SqlError("42704", f'constraint "{name}" of relation "{table.name}" does not exist')
