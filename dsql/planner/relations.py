"""The FROM clause while it is optimised: groups of relations to be joined in any order.

A `Group` is what inner joins and WHERE make of a FROM list: members and conditions, free of order. An
outer join is one member of the group around it, with a group on each side. Semi and anti joins (from
EXISTS and IN) hang on the group whose rows they filter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dsql.catalog.schema import Table
from dsql.planner.expressions import Slot
from dsql.planner.plan import Node
from dsql.sql.bound import Expression


@dataclass(slots=True, eq=False, kw_only=True)
class TableLeaf:
    """A stored table. `columns` maps column numbers to slots."""

    table: Table
    alias: str
    columns: dict[int, Slot]
    conditions: list[Expression] = field(default_factory=list)
    row_slot: int = 0
    key_slot: int = 0
    needs: frozenset[int] = frozenset()

    @property
    def slots(self) -> set[int]:
        """The slots it makes."""
        return {slot.id for slot in self.columns.values()} | {self.row_slot, self.key_slot} - {0}


@dataclass(slots=True, eq=False, kw_only=True)
class DerivedLeaf:
    """A subquery, CTE, function, VALUES or computed table.

    `build(conditions)` makes its node with the conditions applied; `needs` are slots of members before it
    (LATERAL).
    """

    slots: set[int]
    needs: frozenset[int]
    build: Callable[[list[Expression]], Node]
    conditions: list[Expression] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class OuterJoin:
    """left, right or full join of two groups."""

    kind: str
    left: Group
    right: Group
    conditions: list[Expression]

    @property
    def slots(self) -> set[int]:
        """The slots of both sides."""
        return self.left.slots | self.right.slots

    @property
    def needs(self) -> frozenset[int]:
        """The slots of earlier members that either side reads."""
        return (self.left.needs | self.right.needs) - self.slots


@dataclass(slots=True, eq=False)
class SemiJoin:
    """Keeps (semi) or drops (anti) the rows for which `group` has a row that meets `conditions`."""

    kind: str
    group: Group
    conditions: list[Expression]


@dataclass(slots=True, eq=False)
class Group:
    """Members joined by inner joins, under conditions."""

    members: list[Member] = field(default_factory=list)
    conditions: list[Expression] = field(default_factory=list)
    semi_joins: list[SemiJoin] = field(default_factory=list)

    @property
    def slots(self) -> set[int]:
        """The slots of all members."""
        return {slot for member in self.members for slot in member.slots}

    @property
    def needs(self) -> frozenset[int]:
        """The slots of other groups that members read."""
        return frozenset(slot for member in self.members for slot in member.needs) - self.slots

    def absorb(self, other: Group) -> None:
        """Take over everything of another group (an inner join)."""
        self.members += other.members
        self.conditions += other.conditions
        self.semi_joins += other.semi_joins


Member = TableLeaf | DerivedLeaf | OuterJoin
