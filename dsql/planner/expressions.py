"""Expressions of a plan: the binder's nodes with every column reference replaced by a slot.

A slot is one column value somewhere in a plan, numbered uniquely within the statement, so that
neither scopes nor levels matter below the planner: a correlated subquery simply mentions a slot of an
outer plan. Here too are the tree tools that every planning rule shares.
"""

from __future__ import annotations

import dataclasses
import enum
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from dsql.functions.function import Aggregate, Function, WindowFunction
from dsql.sql import bound
from dsql.sql.bound import Expression, SortKey

if TYPE_CHECKING:
    from dsql.planner.plan import QueryPlan
    from dsql.sql.bound_query import Query


@dataclass(slots=True, eq=False, kw_only=True)
class Slot(Expression):
    """The value of column `id`. `name` is for EXPLAIN; `not_null` holds where the slot is produced."""

    id: int
    name: str = ""
    not_null: bool = False


@dataclass(slots=True, eq=False, kw_only=True)
class SubPlan(Expression):
    """A subquery as a value. `kind` is "scalar", "exists", "lookup", "array", "any" or "all".

    `outer` are the slots of enclosing plans that it mentions: with none it is evaluated once (an
    initplan). "any" and "all" compare `left` with the columns of each row through `functions`; "lookup" is
    TRUE if `left` is among the rows, else FALSE. `depends_on`: the slots of `outer`, if with the same
    values of them (and of `left`) it is the same again; None if not. `query` is what the plan was made of.
    """

    kind: str
    plan: QueryPlan
    outer: frozenset[int]
    left: list[Expression] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    operator: str = "="
    depends_on: tuple[Slot, ...] | None = None
    query: Query | None = None


class Holds(enum.Enum):
    """What a field of a node class that may hold expressions holds."""

    NODE = enum.auto()
    NODES = enum.auto()  # a list of expressions and nothing else
    OTHERS = enum.auto()  # None, sort keys, a frame, pairs or lists with gaps


_DECLARED = {"Expression": Holds.NODE, "list[Expression]": Holds.NODES}
_PARTS = re.compile(r"\b(?:Expression|SortKey|WindowFrame)\b")


class _Shapes(dict[type, tuple[tuple[str, Holds], ...]]):
    """By node class the fields that may hold expressions, from what they are declared as."""

    def __missing__(self, cls: type) -> tuple[tuple[str, Holds], ...]:
        declared = [(field.name, str(field.type)) for field in dataclasses.fields(cls)]
        found = self[cls] = tuple(
            (name, _DECLARED.get(kind, Holds.OTHERS))
            for name, kind in declared
            if _PARTS.search(kind)
        )
        return found


class _Fields(dict[type, tuple[str, ...]]):
    """By node class its fields."""

    def __missing__(self, cls: type) -> tuple[str, ...]:
        found = self[cls] = tuple(field.name for field in dataclasses.fields(cls))
        return found


SHAPES = _Shapes()
_FIELDS = _Fields()
_NODES = Holds.NODES
_NODE = Holds.NODE
_LISTS = (list, tuple)
_KEYS = (SortKey, bound.WindowFrame)


def _map(value: Any, function: Callable[[Expression], Expression]) -> Any:
    """Apply `function` to every expression directly inside a field value."""
    if isinstance(value, Expression):
        return function(value)
    if isinstance(value, _LISTS):
        mapped = [_map(item, function) for item in value]
        if all(map(operator.is_, mapped, value)):
            return value
        return mapped if isinstance(value, list) else tuple(mapped)
    if isinstance(value, _KEYS):
        return map_children(value, function)
    return value


def map_children(node: Any, function: Callable[[Expression], Expression]) -> Any:
    """Return `node` with `function` applied to its direct subexpressions; itself if none changed."""
    changes: dict[str, Any] = {}
    new: Any
    for name, holds in SHAPES[type(node)]:
        old = getattr(node, name)
        if holds is _NODES:
            new = [function(item) for item in old]
            if all(map(operator.is_, new, old)):
                continue
        elif holds is _NODE:
            new = function(old)
        else:
            new = _map(old, function)
        if new is not old:
            changes[name] = new
    return _changed(node, changes) if changes else node


def _changed(node: Any, changes: dict[str, Any]) -> Any:
    """Return what dataclasses.replace does, in a third of the time."""
    cls = type(node)
    values = {name: getattr(node, name) for name in _FIELDS[cls]}
    values.update(changes)
    return cls(**values)


def transform(node: Expression, visit: Callable[[Expression], Expression | None]) -> Expression:
    """Rewrite a tree from the top: `visit` returns a replacement, or None to descend."""
    replaced = visit(node)
    if replaced is not None:
        return replaced
    return map_children(node, lambda child: transform(child, visit))  # type: ignore[no-any-return]


def children(node: Any) -> list[Expression]:
    """Return the direct subexpressions of a node."""
    found: list[Expression] = []
    for name, holds in SHAPES[type(node)]:
        value = getattr(node, name)
        if holds is _NODES:
            found += value
        elif holds is _NODE:
            found.append(value)
        else:
            _gather(value, found)
    return found


def _gather(value: Any, found: list[Expression]) -> None:
    """Append the expressions of a field to those that have been found."""
    if isinstance(value, Expression):
        found.append(value)
    elif isinstance(value, _LISTS):
        for item in value:
            _gather(item, found)
    elif isinstance(value, _KEYS):
        found += children(value)


def walk(node: Expression) -> Iterator[Expression]:
    """Yield the node and everything below it, subquery plans excluded."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        if below := children(node):
            below.reverse()
            waiting += below


class Facts(NamedTuple):
    """What a tree reads and does: `slots`, those of its subplans included."""

    slots: frozenset[int]
    volatile: bool = False
    returns_set: bool = False
    subplans: bool = False


_NO_FACTS = Facts(frozenset())


def facts_of(node: Expression) -> Facts:
    """Return the facts about a tree, which is gone through once."""
    try:
        return node.facts  # type: ignore[no-any-return]
    except AttributeError:
        node.facts = found = _facts(node)
        return found


def _facts(node: Expression) -> Facts:
    if type(node) is bound.Constant:
        return _NO_FACTS
    slots: set[int] = set()
    volatile = returns_set = subplans = False
    waiting = [node]
    while waiting:
        node = waiting.pop()
        cls = type(node)
        if cls is Slot:
            slots.add(node.id)  # type: ignore[attr-defined]
        elif cls is not bound.Constant:
            if cls is SubPlan:
                subplans = True
                slots |= node.outer  # type: ignore[attr-defined]
            elif cls is bound.Call:
                function = node.function  # type: ignore[attr-defined]
                volatile |= function.volatility == "v"
                returns_set |= function.returns_set
            waiting += children(node)
    return Facts(frozenset(slots), volatile, returns_set, subplans)


def slots_of(node: Expression) -> frozenset[int]:
    """Return the slots a tree reads, those read by its subplans included."""
    return facts_of(node).slots


def slots_of_all(nodes: Any) -> set[int]:
    """Return the slots read by any of `nodes`."""
    found: set[int] = set()
    for node in nodes:
        if type(node) is not bound.Constant:
            found |= facts_of(node).slots
    return found


def conjuncts(condition: Expression | None) -> list[Expression]:
    """Split a condition at its top-level ANDs."""
    if condition is None:
        return []
    if isinstance(condition, bound.And):
        return [part for argument in condition.arguments for part in conjuncts(argument)]
    return [condition]


def conjunction(parts: list[Expression]) -> Expression | None:
    """Join conditions with AND; None for no condition."""
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else bound.And(type_oid=16, arguments=parts)


def is_volatile(node: Expression) -> bool:
    """Return True if evaluating the tree another time or at another place could be seen."""
    facts = facts_of(node)
    return facts.volatile or facts.returns_set or facts.subplans


def returns_set(node: Expression) -> bool:
    """Return True if the tree contains a call of a set-returning function."""
    return facts_of(node).returns_set


def strip_relabel(node: Expression) -> Expression:
    """Return the expression under binary-coercible casts."""
    while isinstance(node, bound.Relabel):
        node = node.argument
    return node


def fingerprint(node: Any) -> Any:
    """Return a hashable value that is equal for expressions that mean the same."""
    if isinstance(node, Slot):
        return ("slot", node.id)
    if isinstance(node, bound.Constant):
        return ("const", node.type_oid, repr(node.value))
    if isinstance(node, SubPlan):
        return ("plan", id(node))
    if isinstance(node, Expression | SortKey | bound.WindowFrame):
        parts = tuple(
            (f.name, fingerprint(getattr(node, f.name)))
            for f in dataclasses.fields(node)
            if f.name not in ("position", "implicit", "name")
        )
        return (type(node).__name__, parts)
    if isinstance(node, list | tuple):
        return tuple(fingerprint(item) for item in node)
    if isinstance(node, Function | Aggregate | WindowFunction):
        return (node.oid, node.name, node.argument_types)
    if isinstance(node, str | int | float | bool | type(None)):
        return node
    return id(node)
