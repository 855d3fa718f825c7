"""What the subcommands of one ALTER TABLE share, and what is left to do when all have been run."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from dsql.catalog.dependencies import Address
from dsql.catalog.jobs import Job
from dsql.catalog.schema import Column, Index, Table
from dsql.catalog.store import CatalogWriter
from dsql.ddl import nodes
from dsql.ddl.cascade import all_dropped
from dsql.ddl.column import StatementExpressions
from dsql.ddl.keys import refuse_duplicates
from dsql.ddl.rebuild import fill, has_rows
from dsql.ddl.removal import remove
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.ddl.rewriting import submit_rewrite
from dsql.ddl.validation import NewRule, contains_nulls, submit_validation


class Alteration:
    """One ALTER TABLE. A subcommand maps its Table to the next one.

    `rules` are what all rows must meet, `unique` what none may have twice, `fill` are the columns whose
    values have to be written into them. `looks_at_once`: there is more to be undone than one of these.
    `before` is the table as it is stored, `pending` the job that replaces its rows already. `catalog` has
    what the subcommands have dropped, and the sequences that they have made.
    """

    def __init__(
        self,
        context: UtilityContext,
        expressions: StatementExpressions,
        writer: CatalogWriter,
        result: UtilityResult,
        *,
        before: Table,
        pending: Job | None,
        looks_at_once: bool,
    ) -> None:
        self.context = context
        self.expressions = expressions
        self.writer = writer
        self.result = result
        self.rules: list[NewRule] = []
        self.fill: list[int] = []
        self.unique: list[Index] = []
        self.before = before
        self.pending = pending
        self._using: dict[int, str] | None = None if pending is None else {}
        self.looks_at_once = looks_at_once or context.is_block
        self.catalog = context.catalog

    def drop(self, table: Table, part: Address, command: Any) -> Table:
        """Drop a part of the table, as it is by now, and what goes along. Raises SqlError 2BP01."""
        tables = self.catalog.tables.values()
        catalog = self.catalog.with_tables(
            table if other.oid == table.oid else other for other in tables
        )
        cascade = nodes.enum_name(command, "behavior") == "DROP_CASCADE"
        gone = all_dropped([part], catalog, self.context, self.result, cascade=cascade)
        self.catalog = remove(gone, catalog, self.context, self.writer)
        return self.catalog.tables_by_oid[table.oid]

    def put_sequence(self, sequence: Table) -> None:
        """Write a sequence of a column, which the next subcommand may be about."""
        self.writer.put_table(sequence)
        tables = {table.oid: table for table in self.catalog.tables.values()}
        self.catalog = self.catalog.with_tables({**tables, sequence.oid: sequence}.values())

    def rewrite(self, number: int = 0, using: str = "") -> None:
        """Have all rows be replaced, with the value of an expression for a column if one is given."""
        self._using = self._using or {}
        if using:
            self._using[number] = using

    def finish(self, table: Table) -> None:
        """Write the table and what its rows have to have, and have them looked at."""
        context = self.context
        if self._using is not None:
            self._replace_rows(table, self._using)
            return
        self.writer.put_table(table)
        if self.fill or self.rules or self.unique:
            context.forget_catalog()
        if self.fill:
            fill(table, self.fill, context.catalog, context)
            context.forget_catalog()  # and be another statement, which sees what is filled in
        for rule in self.rules:
            at_once = self.looks_at_once or bool(rule.columns)
            submit_validation(table, rule, context, at_once=at_once)
        for index in self.unique if self.looks_at_once else ():
            refuse_duplicates(table, index, context)

    def _replace_rows(self, table: Table, using: dict[int, str]) -> None:
        new = [self._unproved(table, c) for c in table.columns[len(self.before.columns) :]]
        before = replace(self.before, columns=(*self.before.columns, *new))
        if self.fill:
            self.writer.put_table(before)
            self.context.forget_catalog()
            fill(before, self.fill, self.context.catalog, self.context)
        submit_rewrite(before, table, using, self.pending, self.context, self.writer)
        for rule in self.rules:
            submit_validation(table, rule, self.context)

    def _unproved(self, table: Table, column: Column) -> Column:
        """Return a new column as the rows have it that are there. Raises SqlError 23502 for a key's."""
        if not column.not_null or column.missing is not None or column.number in self.fill:
            return column
        if has_rows(self.before, self.context):
            raise contains_nulls(table, column.number)
        return replace(column, unproved=True)


def with_column(table: Table, column: Column) -> Table:
    """Return the table with another value of one of its columns."""
    return table.with_columns([column])
