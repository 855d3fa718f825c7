"""What a text of the catalog reads, from its bound form: columns of its table, relations by name."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from dsql.catalog.dependencies import PG_PROC, PG_TYPE
from dsql.catalog.schema import FIRST_USER_OID, Table, Use
from dsql.sql.bound import Call, ColumnRef, Constant, Expression, FieldSelect
from dsql.sql.bound_query import SubqueryEntry
from dsql.sql.domains import DomainCoercion
from dsql.sql.walk import children, nodes
from dsql.types import oids, registry


def expression_uses(expression: Expression, table: Table) -> tuple[Use, ...]:
    """Return what a stored expression over the columns of `table` reads, without repetition."""
    numbers = {column.name: column.number for column in table.live_columns}
    columns = {node.name for node, _ in nodes(expression) if isinstance(node, ColumnRef)}
    found = {Use(table.oid, numbers[name]) for name in columns}
    return in_order(found | set(named_objects(expression)))


def named_objects(root: Any) -> Iterator[Use]:
    """Yield what constants of type regclass, calls and casts to domains name, outside of views' queries."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Constant) and node.type_oid == oids.REGCLASS and node.value:
            yield Use(node.value)
        elif isinstance(node, Call) and node.function.definition is not None:
            yield Use(node.function.oid, class_oid=PG_PROC)
        elif isinstance(node, Call) and isinstance(node.function.implementation, DomainCoercion):
            yield Use(node.function.oid, class_oid=PG_TYPE)
        if isinstance(node, FieldSelect) and node.record.type_oid >= FIRST_USER_OID:
            kind = registry.get(node.record.type_oid)
            yield Use(kind.relation_oid, kind.attribute_numbers[node.index])
        if isinstance(node, Expression) and node.type_oid >= FIRST_USER_OID:
            yield from _of_type(node)
        if not (isinstance(node, SubqueryEntry) and node.view is not None):
            waiting += children(node)


def _of_type(node: Expression) -> Iterator[Use]:
    """Yield the user's type whose value, or array of values, something is that is no column."""
    kind = registry.find_by_oid(node.type_oid)
    if kind is not None and not isinstance(node, ColumnRef):
        element = registry.get(kind.element_oid) if kind.element_oid else kind
        if element.oid >= FIRST_USER_OID:
            yield Use(element.oid, class_oid=PG_TYPE)


def in_order(uses: Collection[Use]) -> tuple[Use, ...]:
    """Return uses in the order in which they are kept."""
    return tuple(sorted(uses, key=lambda use: (use.oid, use.column)))
