"""Whether the rows that are there already meet a constraint: FOREIGN KEY, CHECK, or NOT NULL.

A constraint is enforced from the commit on that makes it, and rows are looked at behind that, by a job in
many transactions: who wrote before has committed then, or fails with OC001, so no row is overlooked. A
statement in a block looks at its own snapshot as well, so that it fails where PostgreSQL's would.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from msgspec.structs import replace

from dsql.catalog.catalog import Catalog
from dsql.catalog.foreign_keys import Reference, find_reference
from dsql.catalog.jobs import Job, new_job, write_job
from dsql.catalog.referential_queries import find_parent
from dsql.catalog.schema import Table
from dsql.catalog.store import CatalogWriter
from dsql.ddl.rebuild import Rows, finds_row, query_program, values_of, values_program
from dsql.ddl.result import UtilityContext
from dsql.encoding.keyspace import keyspace_range
from dsql.errors import SqlError
from dsql.executor.violations import orphan
from dsql.transaction.interface import Transaction
from dsql.types.identifier import quote_identifier
from dsql.types.type import FormatSettings

_ROWS_PER_LOOK = 500


@dataclass(frozen=True, slots=True)
class NewRule:
    """A constraint that the rows of its table have to meet, or the NOT NULL of some columns.

    `is_new`: the statement makes it, and it goes again if they do not.
    """

    name: str
    constraint_oid: int = 0
    columns: tuple[int, ...] = ()
    is_new: bool = True


class Validation:
    """Looks at rows of one table. Compiled for one catalog, in which the constraint is."""

    def __init__(self, table: Table, job: Job, catalog: Catalog) -> None:
        self._table = table
        self._columns = job.columns
        self._reference = find_reference(job.object_oid, catalog)
        self._check = next((check for check in table.checks if check.oid == job.object_oid), None)
        self._values = values_program(table, self._targets(), catalog)
        if self._reference is not None:
            key = self._reference.key
            types = tuple(table.columns[number - 1].type_oid for number in key.columns)
            self._parent = query_program(find_parent(self._reference), types, catalog)

    @property
    def is_of_something(self) -> bool:
        """Whether there is still a constraint to look for."""
        return bool(self._reference or self._check or self._columns)

    def _targets(self) -> list[str]:
        if self._check is not None:
            return [f"({self._check.expression}) IS FALSE"]
        numbers = self._reference.key.columns if self._reference is not None else self._columns
        names = [quote_identifier(self._table.columns[number - 1].name) for number in numbers]
        return names if self._reference is not None else [f"{name} IS NULL" for name in names]

    def look(self, transaction: Transaction, rows: Rows) -> None:
        """Raise SqlError 23503, 23514 or 23502 for the first of some rows that is not as it must be."""
        values = values_of(self._values, transaction, rows)
        if self._reference is not None:
            self._look_for_parents(self._reference, transaction, values)
        elif self._check is not None:
            if any(is_false for (is_false,) in values):
                raise _violated_check(self._table, self._check.name)
        else:
            for are_null in values:
                if any(are_null):
                    raise contains_nulls(self._table, self._columns[are_null.index(True)])

    def _look_for_parents(
        self, reference: Reference, transaction: Transaction, rows: Iterator[tuple[Any, ...]]
    ) -> None:
        is_full, known = reference.key.match == "f", set()
        for values in rows:
            nulls = values.count(None)
            if values in known or nulls == len(values) or (nulls and not is_full):
                continue
            if nulls or not finds_row(self._parent, transaction, values):
                raise orphan(reference, values, FormatSettings(), is_shown=True)
            known.add(values)


def validate(table: Table, job: Job, context: UtilityContext) -> None:
    """Look at all rows of a table as the statement's snapshot has them. Raises as `Validation.look`."""
    validation = Validation(table, job, context.catalog)
    scan = context.transaction.scan(*keyspace_range(table.keyspace_id))
    while rows := list(islice(scan, _ROWS_PER_LOOK)):
        context.check_cancel()
        validation.look(context.transaction, rows)


def submit_validation(
    table: Table,
    rule: NewRule,
    context: UtilityContext,
    *,
    at_once: bool = False,
    synchronous: bool = True,
) -> Job:
    """Have the rows of a table looked at once this transaction has committed.

    If they have to be looked at `at_once`, that is done here as well: an error then takes back all that the
    statement does. The context's catalog has the table as it is now.
    """
    job = new_job("VALIDATE_CONSTRAINT", context.statement_timestamp)
    job.object_oid, job.table_oid = rule.constraint_oid, table.oid
    job.columns, job.is_new = rule.columns, rule.is_new
    job.object_name = f"{table.schema}.{rule.name}"
    job.synchronous = synchronous
    if table.is_temporary:
        _validate_now(job, context)
        return job
    write_job(context.transaction, job)
    if not synchronous:
        context.request_jobs()
        return job
    if at_once:
        validate(table, job, context)
    context.run_after_commit(job)
    return job


def _validate_now(job: Job, context: UtilityContext) -> None:
    """Look at the rows of a temporary table, and write what they have been found to be."""
    table = context.catalog.tables_by_oid[job.table_oid]
    validate(table, job, context)
    CatalogWriter(context.transaction, local=True).put_table(validated(table, job))
    context.forget_catalog()


def validated(table: Table, job: Job) -> Table:
    """Return the table whose rows have all been found to be as a job's constraint has it."""
    proved = [
        replace(column, unproved=False) for column in table.columns if column.number in job.columns
    ]
    return replace(
        table.with_columns(proved),
        checks=tuple(
            replace(check, validated=True) if check.oid == job.object_oid else check
            for check in table.checks
        ),
        foreign_keys=tuple(
            replace(key, validated=True) if key.oid == job.object_oid else key
            for key in table.foreign_keys
        ),
    )


def without_new(table: Table, job: Job) -> Table:
    """Return the table without what a job was about, if its statement has made it."""
    if not job.is_new:
        return table
    columns = tuple(
        replace(column, not_null=False, unproved=False) if column.number in job.columns else column
        for column in table.columns
    )
    return replace(
        table,
        columns=columns,
        checks=tuple(check for check in table.checks if check.oid != job.object_oid),
        foreign_keys=tuple(key for key in table.foreign_keys if key.oid != job.object_oid),
    )


def _violated_check(table: Table, name: str) -> SqlError:
    return SqlError(
        "23514",
        f'check constraint "{name}" of relation "{table.name}" is violated by some row',
        schema=table.schema,
        table=table.name,
        constraint=name,
    )


def contains_nulls(table: Table, number: int) -> SqlError:
    """Return the error (23502) of NOT NULL for a column that some row has none in."""
    column = table.columns[number - 1].name
    return SqlError(
        "23502",
        f'column "{column}" of relation "{table.name}" contains null values',
        schema=table.schema,
        table=table.name,
        column=column,
    )
