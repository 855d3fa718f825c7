"""From a group of relations to a tree of joins.

Greedy: begin with the member that yields the fewest rows, then always add the one that is cheapest to
join to what is there; of very many, one of the first as they are written. Each addition is an index
nested loop if the conditions reach an index of the new table and the outer side is small enough, a hash
join if there is an equality, else a nested loop over the kept inner side.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dsql.planner import access_path, estimates
from dsql.planner.expressions import slots_of
from dsql.planner.from_clause import scan, with_filter
from dsql.planner.join_keys import join_sides
from dsql.planner.optimizer import null_rejected, push_down
from dsql.planner.plan import Estimate, HashJoin, NestedLoop, Node, Result
from dsql.planner.relations import DerivedLeaf, Group, Member, OuterJoin, SemiJoin, TableLeaf
from dsql.planner.repetition import repeated_node
from dsql.sql import bound
from dsql.sql.bound import Expression, SortKey

HASH_ROW_COST = 0.02
BUILD_ROW_COST = 0.03  # of a row that is kept in the hash table
LOOP_ROW_COST = 0.005
_OPTIONS_MAX = 16  # that are compared; PostgreSQL takes the order as written from 8 on


@dataclass(slots=True)
class Joined:
    """A node, and the slots its rows have."""

    node: Node
    slots: set[int]


def plan_group(
    group: Group,
    order: Sequence[SortKey] = (),
    *,
    limit: float | None = None,
    first: float | None = None,
) -> tuple[Node, bool]:
    """Return the node of a whole group, and whether its rows come in the wanted order.

    `limit`: how many rows will be taken if they do come in order, `first`: in any; None for all.
    """
    if not group.members:
        return with_filter(Result(), group.conditions), False
    slots = group.slots
    pending = list(group.conditions)
    remaining = list(group.members)
    ordered = False
    only = remaining[0] if len(remaining) == 1 and order else None
    if isinstance(only, TableLeaf):
        remaining.clear()
        conditions = _take(pending, slots, slots)
        node, ordered = _ordered_scan(only, conditions, order, limit)
        joined = Joined(node, slots)
    else:
        joined = _first(remaining, pending, slots, first)
    if remaining:
        joined = _add_all(joined, remaining, pending, slots, first)
    for join in group.semi_joins:
        joined = _semi_join(joined, join, first)
        # beyond its memory a hash join gives the outer rows partition by partition
        ordered = ordered and not isinstance(joined.node, HashJoin)
    return with_filter(joined.node, pending), ordered


def _take(pending: list[Expression], reach: set[int], scope: set[int]) -> list[Expression]:
    """Remove and return the conditions that read no slot of the group beyond `reach`."""
    taken: list[Expression] = []
    left: list[Expression] = []
    for item in pending:
        (left if (slots_of(item) & scope) - reach else taken).append(item)
    pending[:] = left
    return taken


def _ordered_scan(
    leaf: TableLeaf, conditions: list[Expression], order: Sequence[SortKey], limit: float | None
) -> tuple[Node, bool]:
    """Choose a scan that gives the order if that costs less than sorting would."""
    ways = access_path.candidates(leaf, [*leaf.conditions, *conditions], ordered=True)
    cheapest = access_path.best(ways)
    rejected = set().union(*map(null_rejected, [*leaf.conditions, *conditions]))
    present = {number for number, slot in leaf.columns.items() if slot.id in rejected}
    best_cost, choice, reverse = float("inf"), cheapest, None
    for way in ways:
        direction = access_path.order_direction(leaf, way, order, present)
        cost = way.cost
        if direction is None:
            cost += 1.0 + way.rows * HASH_ROW_COST
        elif limit is not None:
            cost *= min(1.0, limit / estimates.filtered(way.rows, way.rest))
        if cost < best_cost:
            best_cost, choice, reverse = cost, way, direction
    return scan(leaf, choice, reverse=bool(reverse)), reverse is not None


def member_node(
    member: Member, extra: Sequence[Expression] = (), first: float | None = None
) -> Node:
    """Return the node of one member alone, under its own conditions and `extra`."""
    if isinstance(member, TableLeaf):
        ways = access_path.candidates(member, [*member.conditions, *extra])
        return scan(member, access_path.best(ways))
    if isinstance(member, DerivedLeaf):
        return with_filter(member.node(), list(extra))
    return with_filter(_outer_join(member, first), list(extra))


def _first(
    remaining: list[Member], pending: list[Expression], scope: set[int], first: float | None
) -> Joined:
    """Take the member with the fewest rows that needs no other one."""
    alone = len(remaining) == 1  # it needs none, and to ask a chain of joins costs a walk
    free = [member for member in remaining if alone or not member.needs & scope]
    assert free, "members that need each other"
    reads = [(item, slots_of(item) & scope) for item in pending]
    planned = []
    for member in free:
        conditions = [item for item, read in reads if read <= member.slots]
        planned.append((member, member_node(member, conditions, first)))
    member, node = min(planned, key=lambda item: item[1].estimate.rows)
    remaining.remove(member)
    _take(pending, member.slots, scope)
    return Joined(node, set(member.slots))


def _add_all(
    joined: Joined,
    remaining: list[Member],
    pending: list[Expression],
    scope: set[int],
    first: float | None,
) -> Joined:
    """Join the members, always that which makes the cheapest plan; those that conditions connect first."""
    needs = {member: member.needs for member in remaining}
    owners = {slot: member for member in remaining for slot in member.slots}
    while remaining:
        conditions = _connecting(pending, joined.slots, owners)
        options = [one for one in remaining if not (needs[one] & scope) - joined.slots]
        assert options, "members that need each other"
        connected = [one for one in options if conditions[one] or needs[one]]
        ways = [
            (one, join("inner", joined, one, conditions[one], first))
            for one in (connected or options)[:_OPTIONS_MAX]
        ]
        member, node = min(ways, key=lambda way: _cost(way[1], first))
        remaining.remove(member)
        joined = Joined(node, joined.slots | member.slots)
        _take(pending, joined.slots, scope)
    return joined


def _connecting(
    pending: list[Expression], joined: set[int], owners: Mapping[int, Member]
) -> Mapping[Member, list[Expression]]:
    """Return the conditions that read one member more than what is joined, by that."""
    found: defaultdict[Member, list[Expression]] = defaultdict(list)
    for item in pending:
        members = {owners[slot] for slot in slots_of(item) - joined if slot in owners}
        if len(members) == 1:
            found[members.pop()].append(item)
    return found


def _outer_join(member: OuterJoin, first: float | None) -> Node:
    if member.built is None:
        node, _ = plan_group(member.left, first=first)
        left = Joined(node, member.left.slots)
        member.built = join(member.kind, left, member.right, member.conditions, first)
    return member.built


def _semi_join(joined: Joined, semi: SemiJoin, first: float | None) -> Joined:
    return Joined(join(semi.kind, joined, semi.group, semi.conditions, first), joined.slots)


def _cost(node: Node, first: float | None) -> float:
    """Return what the `first` rows of a node cost; None: what all do."""
    rows, _, startup, total = node.estimate
    if first is None or first >= rows:
        return total
    return startup + (total - startup) * first / rows


def join(
    kind: str,
    left: Joined,
    right: Member | Group,
    conditions: Sequence[Expression],
    first: float | None = None,
) -> Node:
    """Return the cheapest join of `left` with `right`; `first`: how many rows are taken, None for all."""
    own = right.slots
    needs = right.needs & left.slots
    ways: list[Node] = []
    if isinstance(right, Group):
        single = right.members[0] if len(right.members) == 1 else None
        plain = single if not (right.conditions or right.semi_joins) else None
    else:
        single = plain = right
    if isinstance(plain, TableLeaf) and kind != "full":
        lookup = _lookup_join(kind, left, plain, conditions)
        if lookup is not None:
            ways.append(lookup)
    if needs and isinstance(right, Group):
        # it is run for each outer row, so that its parts may as well look at that
        right.conditions += conditions
        conditions = ()
        push_down(right)
    inner = plan_group(right)[0] if isinstance(right, Group) else member_node(right)
    if not needs:
        sides = [(left, Joined(inner, own))]
        if kind == "inner":
            sides.append((Joined(inner, own), left))
        hashed = [_hash_join(kind, outer, kept, conditions) for outer, kept in sides]
        ways += [way for way in hashed if way is not None]
    if kind == "full":  # a nested loop never learns which inner rows nobody met
        return ways[0] if ways else _hash_join_without_keys(left, Joined(inner, own), conditions)
    if needs and left.node.estimate.rows > 1.0:
        inner = repeated_node(inner, whole=False)
    ways.append(_nested_loop(kind, left, inner, conditions, parameterized=bool(needs)))
    return min(ways, key=lambda way: _cost(way, first))


def _joined_rows(kind: str, left: float, right: float, conditions: Sequence[Expression]) -> float:
    if kind in ("semi", "anti"):
        return max(1.0, left / 2)
    rows = left * right
    for condition in conditions:
        equal = isinstance(condition, bound.Call) and condition.strategy == "="
        rows *= 1 / max(left, right, 1.0) if equal else estimates.selectivity(condition)
    rows = max(1.0, round(rows))
    return max(rows, left) if kind in ("left", "full") else rows


def _lookup_join(
    kind: str, left: Joined, leaf: TableLeaf, conditions: Sequence[Expression]
) -> Node | None:
    """Return a nested loop whose inner side looks up the outer row's values in an index."""
    if not conditions:
        return None
    ways = access_path.candidates(leaf, [*leaf.conditions, *conditions])
    joins = {id(condition) for condition in conditions}
    ways = [way for way in ways if any(id(item) in joins for item in way.access.conditions)]
    if not ways:
        return None
    way = access_path.best(ways)
    inner = scan(leaf, way)
    outer = left.node.estimate
    rows = _joined_rows(kind, outer.rows, leaf.rows, conditions)
    per_lookup = estimates.LOOKUP_COST + way.rows * estimates.ROW_COST
    total = outer.total + outer.rows * per_lookup + (inner.estimate.total - way.cost)
    estimate = Estimate(rows, outer.width + inner.estimate.width, outer.startup, total)
    return NestedLoop(
        estimate=estimate, kind=kind, outer=left.node, inner=inner, parameterized=True
    )


def _hash_join(
    kind: str, left: Joined, right: Joined, conditions: Sequence[Expression]
) -> Node | None:
    pairs = [(item, join_sides(item, left.slots, right.slots)) for item in conditions]
    keys = [pair for _, pair in pairs if pair is not None]
    if not keys:
        return None
    outer, inner = left.node.estimate, right.node.estimate
    rows = _joined_rows(kind, outer.rows, inner.rows, conditions)
    startup = inner.total + inner.rows * BUILD_ROW_COST
    total = startup + outer.total + outer.rows * HASH_ROW_COST
    return HashJoin(
        estimate=Estimate(rows, outer.width + inner.width, startup, total),
        kind=kind,
        outer=left.node,
        inner=right.node,
        outer_keys=tuple(one for one, _ in keys),
        inner_keys=tuple(other for _, other in keys),
        hash_conditions=tuple(item for item, pair in pairs if pair is not None),
        conditions=tuple(item for item, pair in pairs if pair is None),
    )


def _hash_join_without_keys(left: Joined, right: Joined, conditions: Sequence[Expression]) -> Node:
    """Return a full join over anything but equalities: every row hashes alike."""
    outer, inner = left.node.estimate, right.node.estimate
    rows = _joined_rows("full", outer.rows, inner.rows, conditions)
    total = outer.total + inner.total + outer.rows * inner.rows * LOOP_ROW_COST
    return HashJoin(
        estimate=Estimate(rows, outer.width + inner.width, inner.total, total),
        kind="full",
        outer=left.node,
        inner=right.node,
        outer_keys=(),
        inner_keys=(),
        hash_conditions=(),
        conditions=tuple(conditions),
    )


def _nested_loop(
    kind: str, left: Joined, inner: Node, conditions: Sequence[Expression], *, parameterized: bool
) -> Node:
    outer = left.node.estimate
    rows = _joined_rows(kind, outer.rows, inner.estimate.rows, conditions)
    runs = outer.rows if parameterized else 1.0
    pairs = outer.rows * inner.estimate.rows
    total = outer.total + runs * inner.estimate.total + pairs * LOOP_ROW_COST
    return NestedLoop(
        estimate=Estimate(rows, outer.width + inner.estimate.width, outer.startup, total),
        kind=kind,
        outer=left.node,
        inner=inner,
        conditions=tuple(conditions),
        parameterized=parameterized,
    )
