"""Rules that rewrite a group of relations before its joins are ordered.

Each rule is a plain function over a `Group`, changed in place; `RULES` run in order. They move
conditions to where they apply first, and loosen outer joins whose extra rows no condition would let
pass.
"""

from __future__ import annotations

from collections.abc import Callable, Set

from dsql.planner.constants import Foreknowledge, simplified
from dsql.planner.expressions import Slot, conjuncts, is_volatile, slots_of
from dsql.planner.relations import Group, Member, OuterJoin
from dsql.sql import bound
from dsql.sql.bound import Constant, Expression


def optimize(group: Group) -> None:
    """Apply every rule to a group and to the groups inside it."""
    for rule in RULES:
        rule(group)
    for member in group.members:
        if isinstance(member, OuterJoin):
            optimize(member.left)
            optimize(member.right)
    for join in group.semi_joins:
        optimize(join.group)


def fold(node: Expression) -> Expression:
    """Make an expression simple that has been converted, but was moved to where more is known of it."""
    cls = type(node)
    if cls is Constant or cls is Slot:
        return node
    return simplified(node, fold, Foreknowledge())


def fold_constants(group: Group) -> None:
    """Fold the conditions, split them at AND, and drop those that are always true."""
    group.conditions = _folded(group.conditions)
    for member in group.members:
        if isinstance(member, OuterJoin):
            member.conditions = _folded(member.conditions)
    for join in group.semi_joins:
        join.conditions = _folded(join.conditions)


def _folded(conditions: list[Expression]) -> list[Expression]:
    parts = [part for condition in conditions for part in conjuncts(fold(condition))]
    return [part for part in parts if not (isinstance(part, Constant) and part.value is True)]


_STRICT = (bound.Relabel, bound.ApplyTypmod, bound.TextCast, bound.Not)


def strict_slots(node: Expression) -> set[int]:
    """Return slots whose NULL makes the expression NULL."""
    if isinstance(node, Slot):
        return {node.id}
    if isinstance(node, bound.Call) and node.function.strict:
        arguments = [item for item in node.arguments if type(item) is not Constant]
        return set().union(*map(strict_slots, arguments))
    if isinstance(node, _STRICT):
        return strict_slots(node.argument)
    if isinstance(node, bound.ArrayCompare):
        return strict_slots(node.left) if not node.all else set()
    return set()


def null_rejected(condition: Expression) -> set[int]:
    """Return slots whose NULL keeps the condition from being true."""
    if isinstance(condition, bound.And):
        return set().union(*(null_rejected(part) for part in condition.arguments))
    if isinstance(condition, bound.Or):
        sets = [null_rejected(part) for part in condition.arguments]
        return set.intersection(*sets) if sets else set()
    if isinstance(condition, bound.NullTest) and condition.negated:
        return strict_slots(condition.argument)
    return strict_slots(condition)


def reduce_outer_joins(group: Group) -> None:
    """Turn outer joins into narrower ones where a condition above rejects the NULL-extended rows."""
    while joins := [member for member in group.members if isinstance(member, OuterJoin)]:
        rejected: set[int] = set()
        for condition in group.conditions:
            rejected |= null_rejected(condition)
        reduced = [_reduce(group, join, rejected) for join in joins]
        if not any(reduced):
            break  # else what an inner join brings in may reject more


def _reduce(group: Group, join: OuterJoin, rejected: set[int]) -> bool:
    """Narrow one join; return True if it became inner, and its sides members of the group."""
    if join.kind == "full":
        if rejected & join.left.slots:
            join.kind = "left"
        elif rejected & join.right.slots:
            join.kind, join.left, join.right = "left", join.right, join.left
    if join.kind != "left" or not rejected & join.right.slots:
        return False
    group.members.remove(join)
    group.absorb(join.left)
    group.absorb(join.right)
    group.conditions += join.conditions
    return True


def push_down(group: Group) -> None:
    """Move each condition to the one member that it reads."""
    owners = {slot: number for number, one in enumerate(group.members) for slot in one.slots}
    kept = []
    for condition in group.conditions:
        read = slots_of(condition) & owners.keys()
        numbers = {owners[slot] for slot in read}
        only = group.members[numbers.pop()] if len(numbers) == 1 else None
        if only is None or is_volatile(condition) or not _give(only, condition, read):
            kept.append(condition)
    group.conditions = kept
    for member in group.members:
        if isinstance(member, OuterJoin) and member.kind == "left":
            _push_into_nullable_side(member)


def _give(member: Member, condition: Expression, read: Set[int]) -> bool:
    if not isinstance(member, OuterJoin):
        member.conditions.append(condition)
        return True
    if member.kind == "left" and read <= member.left.slots:
        member.left.conditions.append(condition)
        return True
    return False


def _push_into_nullable_side(join: OuterJoin) -> None:
    """Of a left join's ON, what reads the right side only filters that side before the join."""
    slots, right = join.slots, join.right.slots
    kept = []
    for condition in join.conditions:
        read = slots_of(condition) & slots
        if read and read <= right and not is_volatile(condition):
            join.right.conditions.append(condition)
        else:
            kept.append(condition)
    join.conditions = kept


RULES: tuple[Callable[[Group], None], ...] = (fold_constants, reduce_outer_joins, push_down)
