"""The FROM clause while it is optimised: groups of relations to be joined in any order.

A `Group` is what inner joins and WHERE make of a FROM list: members and conditions, free of order. An
outer join is one member of the group around it, with a group on each side. Semi and anti joins (from
EXISTS and IN) hang on the group whose rows they filter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dsql.catalog.schema import Table
from dsql.planner.expressions import Slot, slots_of_all
from dsql.planner.plan import Node
from dsql.sql.bound import Expression


@dataclass(slots=True, eq=False)
class IndexTexts:
    """The expression keys and the predicates (their conjuncts) of a table's indexes, over its slots.

    `missed` is called for one that could match if a parameter's value were known.
    """

    expressions: dict[tuple[int, int], Expression]  # (index OID, key part) -> expression
    predicates: dict[int, list[Expression]]
    missed: Callable[[], None]


@dataclass(slots=True, eq=False, kw_only=True)
class TableLeaf:
    """A stored table. `columns` maps column numbers to slots; `rows`: how many it is taken to have.

    `texts` is None if all its indexes are on plain columns, and whole.
    """

    table: Table
    alias: str
    columns: dict[int, Slot]
    texts: IndexTexts | None = None
    rows: float = 1.0
    conditions: list[Expression] = field(default_factory=list)
    row_slot: int = 0
    key_slot: int = 0

    @property
    def needs(self) -> frozenset[int]:
        """The slots of others that its conditions read."""
        return frozenset(slots_of_all(self.conditions)) - self.slots

    @property
    def slots(self) -> set[int]:
        """The slots it makes."""
        return {slot.id for slot in self.columns.values()} | {self.row_slot, self.key_slot} - {0}


@dataclass(slots=True, eq=False, kw_only=True)
class DerivedLeaf:
    """A subquery, CTE, function, VALUES or computed table.

    `build(conditions)` makes its node with the conditions applied; `reads` are slots of members before it
    (LATERAL) and of queries around it.
    """

    slots: set[int]
    reads: frozenset[int]
    build: Callable[[list[Expression]], Node]
    conditions: list[Expression] = field(default_factory=list)
    built: tuple[list[Expression], Node] | None = None

    @property
    def needs(self) -> frozenset[int]:
        """The slots of others that it and its conditions read."""
        return (self.reads | slots_of_all(self.conditions)) - self.slots

    def node(self) -> Node:
        """Return its node. It is built once: building plans whole queries."""
        if self.built is None or self.built[0] != self.conditions:
            self.built = list(self.conditions), self.build(self.conditions)
        return self.built[1]


@dataclass(slots=True, eq=False)
class OuterJoin:
    """left, right or full join of two groups; `built` is its node, planned once.

    `slots` are those of both sides: joins below it may move up or become inner ones, but none is lost.
    """

    kind: str
    left: Group
    right: Group
    conditions: list[Expression]
    built: Node | None = None
    slots: set[int] = field(init=False)

    def __post_init__(self) -> None:
        self.slots = self.left.slots | self.right.slots

    @property
    def needs(self) -> frozenset[int]:
        """The slots of others that either side or the join's conditions read."""
        return _extent(self)[1]


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
        """The slots of other groups and of queries around it that it reads anywhere."""
        return _extent(self)[1]

    def absorb(self, other: Group) -> None:
        """Take over everything of another group (an inner join)."""
        self.members += other.members
        self.conditions += other.conditions
        self.semi_joins += other.semi_joins


Member = TableLeaf | DerivedLeaf | OuterJoin


def _extent(part: Group | Member) -> tuple[frozenset[int], frozenset[int]]:
    """Return the slots of a part of FROM and those of others that it needs, in one way through it."""
    if isinstance(part, OuterJoin):
        left, left_needs = _extent(part.left)
        right, right_needs = _extent(part.right)
        slots = left | right
        return slots, (left_needs | right_needs | slots_of_all(part.conditions)) - slots
    if not isinstance(part, Group):
        return frozenset(part.slots), part.needs
    made: set[int] = set()
    read = slots_of_all(part.conditions)
    for member in part.members:
        slots, needs = _extent(member)
        made |= slots
        read |= needs
    for join in part.semi_joins:
        slots, needs = _extent(join.group)
        read |= slots_of_all(join.conditions) | needs
        read -= slots
    return frozenset(made), frozenset(read - made)


def table_leaves(group: Group) -> list[TableLeaf]:
    """Return the stored tables anywhere in a group, semi joins excluded."""
    found = []
    for member in group.members:
        if isinstance(member, TableLeaf):
            found.append(member)
        elif isinstance(member, OuterJoin):
            found += table_leaves(member.left) + table_leaves(member.right)
    return found
