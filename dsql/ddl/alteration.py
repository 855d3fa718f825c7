"""What the subcommands of one ALTER TABLE share, and what is left to do when all have been run."""

from __future__ import annotations

from typing import Any

from dsql.catalog.dependencies import Address
from dsql.catalog.schema import Column, Table
from dsql.catalog.store import CatalogWriter
from dsql.ddl import nodes
from dsql.ddl.cascade import all_dropped
from dsql.ddl.column import StatementExpressions
from dsql.ddl.removal import remove
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.ddl.validation import NewRule, submit_validation


class Alteration:
    """One ALTER TABLE. A subcommand maps its Table to the next one; `rules` are what all rows must meet."""

    def __init__(
        self,
        context: UtilityContext,
        expressions: StatementExpressions,
        writer: CatalogWriter,
        result: UtilityResult,
    ) -> None:
        self.context = context
        self.expressions = expressions
        self.writer = writer
        self.result = result
        self.rules: list[NewRule] = []
        self._catalog = context.catalog

    def drop(self, table: Table, part: Address, command: Any) -> Table:
        """Drop a part of the table, as it is by now, and what goes along. Raises SqlError 2BP01."""
        tables = self._catalog.tables.values()
        catalog = self._catalog.with_tables(
            table if other.oid == table.oid else other for other in tables
        )
        cascade = nodes.enum_name(command, "behavior") == "DROP_CASCADE"
        gone = all_dropped([part], catalog, self.context, self.result, cascade=cascade)
        self._catalog = remove(gone, catalog, self.context, self.writer)
        return self._catalog.tables_by_oid[table.oid]

    def finish(self, table: Table) -> None:
        """Write the table, and have the rows that are there looked at."""
        self.writer.put_table(table)
        for rule in self.rules:
            submit_validation(table, rule, self.context)


def with_column(table: Table, column: Column) -> Table:
    """Return the table with another value of one of its columns."""
    return table.with_columns([column])
