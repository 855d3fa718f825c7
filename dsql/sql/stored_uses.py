"""What a text of the catalog reads, from its bound form: columns of its table, relations by name."""

from __future__ import annotations

from collections.abc import Collection

from dsql.catalog.schema import Table, Use
from dsql.sql.bound import ColumnRef, Constant, Expression
from dsql.sql.walk import nodes
from dsql.types import oids


def expression_uses(expression: Expression, table: Table) -> tuple[Use, ...]:
    """Return what a stored expression over the columns of `table` reads, without repetition."""
    numbers = {column.name: column.number for column in table.live_columns}
    found = set()
    for node, _ in nodes(expression):
        if isinstance(node, ColumnRef):
            found.add(Use(table.oid, numbers[node.name]))
        elif isinstance(node, Constant) and node.type_oid == oids.REGCLASS and node.value:
            found.add(Use(node.value))
    return in_order(found)


def in_order(uses: Collection[Use]) -> tuple[Use, ...]:
    """Return uses in the order in which they are kept."""
    return tuple(sorted(uses, key=lambda use: (use.oid, use.column)))
