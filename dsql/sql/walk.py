"""Walks over bound expressions: children, structural equality, levels, rebuilt copies."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from typing import Any

from dsql.errors import SqlError
from dsql.sql.bound import (
    AggregateCall,
    ColumnRef,
    Constant,
    Expression,
    Given,
    SortKey,
    WindowFrame,
)
from dsql.sql.bound_query import Cte, Entry, EntryColumn, FromItem, Query, SetOperation, Target

_NODES = (Expression, SortKey, WindowFrame, Query, Target, Cte, SetOperation, Entry)
# What says nothing of the meaning, or follows from a table that is said.
_IGNORED = frozenset(
    {"position", "implicit", "cast", "use", "index_expressions", "index_predicates"}
)
_fields_by_class: dict[type, tuple[str, ...]] = {}
_meanings: dict[type, tuple[str, ...]] = {}


def _fields(cls: type) -> tuple[str, ...]:
    names = _fields_by_class.get(cls)
    if names is None:
        names = tuple(f.name for f in dataclasses.fields(cls))
        _fields_by_class[cls] = names
    return names


_FROM_NODES: tuple[type, ...] = FromItem.__args__
_ALL_NODES = (*_NODES, *_FROM_NODES)
_PLAIN = re.compile(r"(?:list\[)?(?:int|str|bool|Function)\]?(?: \| None)?")


class _Parts(dict[type, tuple[str, ...]]):
    """By node class the fields that may hold nodes, from what they are declared as."""

    def __missing__(self, cls: type) -> tuple[str, ...]:
        fields = dataclasses.fields(cls)
        names = (field.name for field in fields if not _PLAIN.fullmatch(str(field.type)))
        found = self[cls] = () if cls in (Constant, Given) else tuple(names)  # which may be long
        return found


_PARTS = _Parts()


def children(node: Any) -> list[Any]:
    """Return the nodes directly below one, those inside lists included."""
    found: list[Any] = []
    for name in _PARTS[type(node)]:
        _gather(getattr(node, name), found)
    return found


def _gather(value: Any, found: list[Any]) -> None:
    """Append the nodes of a field's value to those that have been found."""
    if isinstance(value, (list, tuple)):
        for item in value:
            _gather(item, found)
    elif isinstance(value, _ALL_NODES):
        found.append(value)


def nodes(root: Any, depth: int = 0) -> Iterator[tuple[Any, int]]:
    """Yield every node below and including `root` with how many queries deep it is."""
    stack = [(root, depth)]
    while stack:
        node, at = stack.pop()
        yield node, at
        inside = at + 1 if isinstance(node, Query) else at
        stack.extend((child, inside) for child in children(node))


def any_node(root: Any, test: Callable[[Any, int], bool]) -> bool:
    """Tell whether `test(node, depth)` holds for a node of the tree."""
    return any(test(node, depth) for node, depth in nodes(root))


def same(left: Any, right: Any) -> bool:
    """Tell whether two bound trees mean the same expression; positions do not count."""
    if left is right:
        return True
    cls = type(left)
    if cls is not type(right):
        return False
    if cls is list or cls is tuple:
        return len(left) == len(right) and all(map(same, left, right))
    names = _meanings.get(cls)
    if names is None:
        names = _meanings[cls] = _meaning(cls)
    if not names:
        return bool(left == right)
    for name in names:
        one, other = getattr(left, name), getattr(right, name)
        if one is not other and not same(one, other):
            return False
    return True


def _leaves(expression: Any) -> tuple[Any, ...]:
    """Return the columns and constants of a tree, the same for trees that are `same`."""
    return tuple(
        (node.entry, node.column) if isinstance(node, ColumnRef) else _value(node)
        for node, _ in nodes(expression)
        if isinstance(node, (ColumnRef, Constant))
    )


def _value(constant: Constant) -> Any:
    return constant.value if isinstance(constant.value, (int, str)) else type(constant.value)


class Alike:
    """Expressions in the order in which they come, to be found by what they mean."""

    def __init__(self) -> None:
        self._by_leaves: dict[tuple[Any, ...], list[tuple[int, Any]]] = {}
        self._count = 0

    def add(self, expression: Any) -> None:
        """Take one more."""
        self._by_leaves.setdefault(_leaves(expression), []).append((self._count, expression))
        self._count += 1

    def find(self, expression: Any) -> int | None:
        """Return the number of the first that is `same`, None if there is none."""
        among = self._by_leaves.get(_leaves(expression), ())
        return next((number for number, known in among if same(known, expression)), None)

    def __len__(self) -> int:
        return self._count


def _meaning(cls: type) -> tuple[str, ...]:
    """Return the fields of a node class by which two of its nodes differ; none of what is no node."""
    if not issubclass(cls, (*_ALL_NODES, EntryColumn)):
        return ()
    return tuple(name for name in _fields(cls) if name not in _IGNORED)


def lowest_level(expressions: list[Any]) -> int | None:
    """Return how many queries out the nearest column or aggregate of these belongs, None for none."""
    lowest: int | None = None
    for expression in expressions:
        for node, depth in nodes(expression):
            if isinstance(node, (ColumnRef, AggregateCall)):
                level = node.levels_up - depth
                if level >= 0 and (lowest is None or level < lowest):
                    lowest = level
    return lowest


def has_variables(expression: Expression) -> bool:
    """Return True if a column or aggregate of its query, or of one around that, is in an expression."""
    return any(
        isinstance(node, (ColumnRef, AggregateCall)) and node.levels_up >= depth
        for node, depth in nodes(expression)
    )


def refuse_variables(expression: Expression, name: str) -> None:
    """Raise SqlError 42P10 if what is computed once for a clause ("LIMIT") reads its query's rows."""
    if lowest_level([expression]) == 0:
        position = next((n.position for n, _ in nodes(expression) if isinstance(n, ColumnRef)), 0)
        raise SqlError("42P10", f"argument of {name} must not contain variables", position=position)


def raised(expression: Expression, levels: int) -> Expression:
    """Return an expression of this query as it reads `levels` queries further in."""
    if levels == 0:
        return expression
    if isinstance(expression, ColumnRef):
        return dataclasses.replace(expression, levels_up=expression.levels_up + levels)
    changes: dict[str, Any] = {}
    for name in _fields(type(expression)):
        value = getattr(expression, name)
        if isinstance(value, Expression):
            changes[name] = raised(value, levels)
        elif isinstance(value, list) and value and isinstance(value[0], Expression):
            changes[name] = [raised(item, levels) for item in value]
    return dataclasses.replace(expression, **changes) if changes else expression
