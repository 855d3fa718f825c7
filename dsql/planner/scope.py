"""Scopes: from the binder's (entry, column, levels up) to slots.

One `Scope` belongs to one query level. Its entries' columns are expressions, slots as a rule: the
columns of a subquery that was pulled up are the subquery's own target expressions. Converting a tree
also plans the subqueries in it and collects the aggregates and window calls of the level they belong
to.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dsql.catalog.schema import Table
from dsql.errors import SqlError
from dsql.planner.constants import Foreknowledge, simplified
from dsql.planner.expressions import Slot, SubPlan, fingerprint, map_children
from dsql.planner.lookups import exists_lookup, is_plain
from dsql.planner.plan import CtePlan, QueryPlan, Scan
from dsql.planner.plan_slots import outer_slots
from dsql.planner.references import References
from dsql.planner.relations import TableLeaf
from dsql.planner.repetition import depends_on, repeated
from dsql.planner.row_counts import RowCounts
from dsql.sql import bound, bound_query
from dsql.sql.bound import Expression
from dsql.types import oids


@dataclass(slots=True)
class CteSource:
    """What a CTE reference of this scope becomes: `inline` is planned anew where it is used."""

    definition: bound_query.Cte
    inline: bool
    planned: CtePlan | None = None
    working: int = 0  # inside its own recursive part: the id of the CTE


@dataclass(slots=True, eq=False)
class Scope:
    """One query level while it is planned."""

    planner: PlannerState
    parent: Scope | None = None
    entries: list[list[Expression]] = field(default_factory=list)
    ctes: list[CteSource] = field(default_factory=list)
    cte_plans: list[CtePlan] = field(default_factory=list)  # each behind those it reads
    aggregates: dict[Any, tuple[Slot, bound.AggregateCall]] = field(default_factory=dict)
    groupings: list[tuple[Slot, bound.GroupingCall]] = field(default_factory=list)
    windows: list[tuple[Slot, bound.WindowCall]] = field(default_factory=list)
    nullable: set[int] = field(default_factory=set)  # entries that outer joins fill up with NULLs
    has_grouping_sets: bool = False
    row_marks: dict[int, str] = field(default_factory=dict)  # how FOR UPDATE locks an entry's rows
    merged: dict[int, list[TableLeaf]] = field(default_factory=dict)  # tables of merged subqueries
    faults: dict[tuple[int, int], SqlError] = field(default_factory=dict)  # of their columns

    def ancestor(self, levels: int) -> Scope:
        """Return the scope `levels` queries out."""
        scope = self
        for _ in range(levels):
            assert scope.parent is not None, "a reference beyond the outermost query"
            scope = scope.parent
        return scope

    def convert(self, node: Expression) -> Expression:
        """Return the tree with slots for columns and plans for subqueries, as simple as it can be."""
        if type(node) is bound.Constant:
            return node
        converter = _CONVERTERS.get(type(node))
        if converter is not None:
            return converter(self, node)
        return simplified(node, self.convert, self.planner.known)

    def convert_all(self, nodes: list[Expression]) -> list[Expression]:
        """Convert several trees."""
        return [self.convert(node) for node in nodes]


class PlannerState:
    """Numbers slots and CTEs of one statement.

    `plan_query` and `plan_cte` break the import cycle with the planner. `copies` counts the uses of CTEs
    that are planned anew at each of several uses: n of them in a row, each using the last one twice, would
    be 2 ** n queries. `is_generic`: an index could be used if a parameter's value were known.
    `watches`: something in the statement notes values for foreign keys. `known`: what was known before
    anything runs. `counted`: tables and the rows that they were taken to have.
    """

    def __init__(
        self,
        plan_query: Callable[..., QueryPlan],
        plan_cte: Callable[[Scope, CteSource], None],
        counts: RowCounts,
    ) -> None:
        self._next = 0
        self.plan_query = plan_query
        self.plan_cte = plan_cte
        self.copies = 0
        self.is_generic = False
        self.watches = False
        self.references = References()
        self.known = Foreknowledge()
        self.counted: list[tuple[Table, float]] = []
        self._counts = counts

    def table_rows(self, table: Table) -> float:
        """Return how many rows a table has, about, and take note that the plan rests on that."""
        rows = self._counts.rows(table)
        self.counted.append((table, rows))
        return rows

    def number(self) -> int:
        """Return a number not used before in the statement."""
        self._next += 1
        return self._next

    def slot(
        self, type_oid: int, typmod: int = -1, *, name: str = "", not_null: bool = False
    ) -> Slot:
        """Return a new slot."""
        return Slot(
            type_oid=type_oid, typmod=typmod, id=self.number(), name=name, not_null=not_null
        )


def _column(scope: Scope, node: Any) -> Expression:
    owner = scope.ancestor(node.levels_up)
    found: Expression = owner.entries[node.entry][node.column]
    if owner.faults:
        scope.planner.known.meet(owner.faults.get((node.entry, node.column)))
    if isinstance(found, Slot) and found.type_oid != node.type_oid:
        found = dataclasses.replace(found, type_oid=node.type_oid, typmod=node.typmod)
    return found


def _row(scope: Scope, node: bound.RowConstructor) -> Expression:
    """Convert a row; a whole row that an outer join made up is NULL, not a row of NULLs."""
    row: Expression = map_children(node, scope.convert)
    first = node.fields[0] if node.whole and node.fields else None
    if not isinstance(first, bound.ColumnRef):
        return row
    if first.entry not in scope.ancestor(first.levels_up).nullable:
        return row
    assert isinstance(row, bound.RowConstructor)
    telling: Expression = next(
        (item for item in row.fields if isinstance(item, Slot) and item.not_null), row
    )
    made_up = bound.NullTest(type_oid=oids.BOOL, argument=telling, negated=False)
    nothing = bound.Constant(type_oid=row.type_oid, value=None)
    return bound.Case(type_oid=row.type_oid, branches=[(made_up, nothing)], otherwise=row)


def _aggregate(scope: Scope, node: Any) -> Expression:
    owner = scope.ancestor(node.levels_up)
    call = map_children(dataclasses.replace(node, levels_up=0), scope.convert)
    key = fingerprint(call)
    found = owner.aggregates.get(key)
    if found is None:
        slot = owner.planner.slot(node.type_oid, node.typmod, name=node.aggregate.name)
        found = owner.aggregates[key] = (slot, call)
    return found[0]


def _window(scope: Scope, node: Any) -> Expression:
    slot = scope.planner.slot(node.type_oid, node.typmod, name=node.function.name)
    scope.windows.append((slot, map_children(node, scope.convert)))
    return slot


def _grouping(scope: Scope, node: Any) -> Expression:
    slot = scope.planner.slot(node.type_oid, name="grouping", not_null=True)
    scope.groupings.append((slot, map_children(node, scope.convert)))
    return slot


def _planned(scope: Scope, query: bound_query.Query, kind: str, **parts: Any) -> SubPlan:
    """Plan a subquery as a value, whose type is among `parts`."""
    plan = scope.planner.plan_query(query, scope)
    outer = frozenset(outer_slots(plan))
    if outer:
        plan = repeated(plan, whole=kind != "exists")
    depends = depends_on(plan, outer)
    return SubPlan(kind=kind, plan=plan, outer=outer, depends_on=depends, query=query, **parts)


def _subplan(kind: str) -> Callable[[Scope, Any], Expression]:
    def convert(scope: Scope, node: Any) -> Expression:
        return _planned(
            scope,
            node.query,
            kind,
            type_oid=node.type_oid,
            typmod=node.typmod,
            position=node.position,
        )

    return convert


_correlated_exists = _subplan("exists")


def _exists(scope: Scope, node: bound.Exists) -> Expression:
    """Convert EXISTS: into a lookup if that helps, which an index of a lone table does better."""
    node = _without_columns(node)
    lookup = exists_lookup(node.query)
    if lookup is None:
        return _correlated_exists(scope, node)
    if isinstance(node.query.range_table[0], bound_query.TableEntry):
        correlated = _correlated_exists(scope, node)
        assert isinstance(correlated, SubPlan)
        scan = correlated.plan.node
        if isinstance(scan, Scan) and not scan.access.whole:
            return correlated
    return _planned(
        scope,
        lookup.query,
        "lookup",
        type_oid=node.type_oid,
        position=node.position,
        left=scope.convert_all(lookup.values),
        functions=lookup.functions,
    )


def _without_columns(node: bound.Exists) -> bound.Exists:
    """Return EXISTS without what its query would only compute for rows that are there anyway."""
    query = node.query
    if not is_plain(query):
        return node
    nothing = bound.Constant(type_oid=oids.INT4, value=1)
    plain = dataclasses.replace(query, targets=[bound_query.Target("", nothing)])
    return dataclasses.replace(node, query=plain)


def _quantified(scope: Scope, node: bound.QuantifiedSubquery) -> Expression:
    return _planned(
        scope,
        node.query,
        "all" if node.all else "any",
        type_oid=node.type_oid,
        left=scope.convert_all(node.left),
        functions=node.functions,
        operator=node.operator,
    )


_CONVERTERS: dict[type, Callable[[Scope, Any], Expression]] = {
    bound.ColumnRef: _column,
    bound.RowConstructor: _row,
    bound.AggregateCall: _aggregate,
    bound.WindowCall: _window,
    bound.GroupingCall: _grouping,
    bound.Exists: _exists,
    bound.ScalarSubquery: _subplan("scalar"),
    bound.ArraySubquery: _subplan("array"),
    bound.QuantifiedSubquery: _quantified,
}
