"""GROUP BY: which expressions group, in which sets, and that nothing else is used ungrouped.

In an aggregated query an expression of the select list, HAVING or ORDER BY must be a group expression,
stand inside an aggregate, or depend on the primary key of its table when all of that is grouped.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from sqlglot import exp

from dsql.errors import SqlError, unsupported
from dsql.limits import TARGETS_MAX
from dsql.sql import coercion
from dsql.sql.bound import AggregateCall, ColumnRef, Expression, GroupingCall, WindowCall
from dsql.sql.bound_query import Query, TableEntry, Target
from dsql.sql.expressions import bind_expression
from dsql.sql.scope import Scope
from dsql.sql.tree import position_of
from dsql.sql.walk import Alike, children, nodes, same

_GROUPING_SETS_MAX = 4_096
_CUBE_MAX = 12
_FEW_KEYS = 16  # are as soon compared one by one


def bind_group_by(scope: Scope, query: Query, group: exp.Expression, targets: list[Any]) -> None:
    """Fill `query.group_by` and `query.grouping_sets`. `targets`: (tree, Target) of the select list."""
    known = Alike()
    choices = [_sets(scope, query, item, targets, known) for item in group.expressions]
    sets = []
    for combination in itertools.islice(itertools.product(*choices), _GROUPING_SETS_MAX + 1):
        merged: list[int] = []
        for part in combination:
            merged.extend(index for index in part if index not in merged)
        sets.append(merged)
    if len(sets) > _GROUPING_SETS_MAX:
        raise SqlError("54001", f"too many grouping sets present (maximum {_GROUPING_SETS_MAX})")
    if group.args.get("distinct"):
        unique = {frozenset(one): one for one in reversed(sets)}
        sets = [one for one in sets if unique.get(frozenset(one)) is one]
    query.grouping_sets = sets


def _sets(
    scope: Scope, query: Query, item: exp.Expression, targets: list[Any], known: Alike
) -> list[list[int]]:
    """Return the grouping sets one item of GROUP BY stands for, as indexes into `query.group_by`."""
    if isinstance(item, exp.Rollup):
        parts = [_members(scope, query, part, targets, known) for part in item.expressions]
        return [list(itertools.chain(*parts[:count])) for count in range(len(parts), -1, -1)]
    if isinstance(item, exp.Cube):
        if len(item.expressions) > _CUBE_MAX:
            message = f"CUBE is limited to {_CUBE_MAX} elements"
            raise SqlError("54011", message, position=position_of(item))
        parts = [_members(scope, query, part, targets, known) for part in item.expressions]
        return [
            list(itertools.chain(*chosen))
            for count in range(len(parts), -1, -1)
            for chosen in itertools.combinations(parts, count)
        ]
    if isinstance(item, exp.GroupingSets):
        return [
            one for part in item.expressions for one in _sets(scope, query, part, targets, known)
        ]
    return [_members(scope, query, item, targets, known)]


def _members(
    scope: Scope, query: Query, item: exp.Expression, targets: list[Any], known: Alike
) -> list[int]:
    if isinstance(item, exp.Tuple) and not item.args.get("row"):
        return [
            i for part in item.expressions for i in _members(scope, query, part, targets, known)
        ]
    bound = group_item(scope, item, targets)
    index = known.find(bound)
    if index is not None:
        return [index]
    known.add(bound)
    query.group_by.append(bound)
    check_target_count(len(query.group_by))
    return [len(query.group_by) - 1]


def check_target_count(count: int) -> None:
    """Raise SqlError 54011 for more columns, those of clauses included, than a row may have."""
    if count > TARGETS_MAX:
        raise SqlError("54011", f"target lists can have at most {TARGETS_MAX} entries")


def group_item(scope: Scope, tree: exp.Expression, targets: list[Any]) -> Expression:
    """Bind one GROUP BY item: a column first, then an output name or number, else an expression."""
    if isinstance(tree, exp.Column) and tree.args.get("table") is None:
        name = tree.this.args["this"]
        found = scope.find_column(name, position_of(tree), outward=False)
        if found is None:
            target = named_target(name, targets, "GROUP BY", position_of(tree))
            if target is not None:
                return _shown(scope, target)
    elif isinstance(tree, (exp.Literal, exp.Null, exp.Boolean)):
        return _shown(scope, numbered_target(tree, targets, "GROUP BY"))
    return clause_item(scope, tree)


def _shown(scope: Scope, target: Target) -> Expression:
    """Return an output column as a group expression. Raises SqlError 42803, 42P20 for calls over groups."""
    target.expression = coercion.known(scope.binding, target.expression)
    for node, depth in nodes(target.expression):
        if isinstance(node, WindowCall) and not depth:
            raise _forbidden("window", "42P20", node)
        if isinstance(node, AggregateCall) and node.levels_up == depth:
            raise _forbidden("aggregate", "42803", node)
    return target.expression


def _forbidden(kind: str, sqlstate: str, call: Expression) -> SqlError:
    message = f"{kind} functions are not allowed in GROUP BY"
    return SqlError(sqlstate, message, position=call.position)


def clause_item(scope: Scope, tree: exp.Expression) -> Expression:
    """Bind an item of GROUP BY, PARTITION BY or ORDER BY as an expression."""
    return coercion.known(scope.binding, bind_expression(scope, tree))


def named_target(name: str, targets: Sequence[Any], clause: str, position: int) -> Target | None:
    """Return the output column of that name, None if there is none. Raises SqlError 42702."""
    match: Target | None = None
    for _, target in targets:
        if target.name == name and not target.junk:
            if match is not None and not same(match.expression, target.expression):
                raise SqlError("42702", f'{clause} "{name}" is ambiguous', position=position)
            match = match or target
    return match


def numbered_target(tree: exp.Expression, targets: Sequence[Any], clause: str) -> Target:
    """Return the output column a literal number names. Raises SqlError 42601, 42P10."""
    position = position_of(tree)
    is_integer = (
        isinstance(tree, exp.Literal)
        and not tree.args["is_string"]
        and tree.this.lstrip("-").isdigit()
    )
    if not is_integer:
        raise SqlError("42601", f"non-integer constant in {clause}", position=position)
    number = int(tree.this)
    visible = [target for _, target in targets if not target.junk]
    if not 1 <= number <= len(visible):
        raise SqlError(
            "42P10", f"{clause} position {number} is not in select list", position=position
        )
    return visible[number - 1]  # type: ignore[no-any-return]


# ---------------------------------------------------------------- ungrouped columns


def check_grouping(query: Query) -> None:
    """Raise SqlError 42803 for the first column that is used ungrouped."""
    grouped = _always_grouped(query)
    dependent: set[int] = set()
    if query.grouping_sets is not None and len(query.grouping_sets) <= 1:
        dependent = _dependent_entries(query, grouped)
    check = _UngroupedCheck(query, dependent)
    for target in query.targets:
        check.visit(target.expression, 0)
    if query.having is not None:
        check.visit(query.having, 0)
    for on in query.distinct_on or ():
        check.visit(on, 0)


def _always_grouped(query: Query) -> list[Expression]:
    sets = query.grouping_sets or []
    return [
        expression
        for index, expression in enumerate(query.group_by)
        if all(index in one for one in sets)
    ]


def _dependent_entries(query: Query, grouped: list[Expression]) -> set[int]:
    """Return the entries whose whole primary key is grouped, so that all their columns are."""
    columns: dict[int, set[int]] = {}
    for expression in grouped:
        if isinstance(expression, ColumnRef) and expression.levels_up == 0:
            entry = query.range_table[expression.entry]
            number = entry.columns[expression.column].number
            columns.setdefault(expression.entry, set()).add(number)
    dependent = set()
    for index, numbers in columns.items():
        entry = query.range_table[index]
        key = entry.table.primary_key if isinstance(entry, TableEntry) else None
        if key is not None and {part.column_number for part in key.columns} <= numbers:
            dependent.add(index)
    return dependent


class _UngroupedCheck:
    """Walks expressions outside aggregates and refuses the first ungrouped column."""

    def __init__(self, query: Query, dependent: set[int]) -> None:
        self.query = query
        self.dependent = dependent
        self.known: Alike | None = None
        if len(query.group_by) > _FEW_KEYS:
            self.known = Alike()
            for group in query.group_by:
                self.known.add(group)

    def visit(self, node: Any, depth: int) -> None:
        if isinstance(node, AggregateCall) and node.levels_up == depth:
            self._check_direct(node, depth)
            return
        if isinstance(node, GroupingCall) and depth == 0:
            self._check_grouping_call(node)
            return
        if isinstance(node, Expression) and self._is_grouped(node, depth):
            return
        if isinstance(node, ColumnRef):
            if node.levels_up == depth and node.entry not in self.dependent:
                raise self._ungrouped(node, depth)
            return
        inside = depth + 1 if isinstance(node, Query) else depth
        for child in children(node):
            self.visit(child, inside)

    def _is_grouped(self, node: Expression, depth: int) -> bool:
        if depth == 0:
            if self.known is not None:
                return self.known.find(node) is not None
            return any(same(node, group) for group in self.query.group_by)
        return isinstance(node, ColumnRef) and any(
            isinstance(group, ColumnRef)
            and group.levels_up + depth == node.levels_up
            and (group.entry, group.column) == (node.entry, node.column)
            for group in self.query.group_by
        )

    def _check_direct(self, node: AggregateCall, depth: int) -> None:
        """Look at what comes before WITHIN GROUP: it is worked out once per group."""
        # A hypothetical set counts by its arguments as each row has them, which in a set without their
        # column would have to be NULL.
        reads = any(isinstance(part, ColumnRef) for item in node.direct for part, _ in nodes(item))
        if reads and node.aggregate.name == "count" and len(self.query.grouping_sets or ()) > 1:
            raise unsupported(
                "hypothetical-set aggregates of columns are not supported with GROUPING SETS",
                position=node.position,
            )
        try:
            for argument in node.direct:
                self.visit(argument, depth)
        except SqlError as error:
            error.detail = (
                "Direct arguments of an ordered-set aggregate must use only grouped columns."
            )
            raise

    def _check_grouping_call(self, node: GroupingCall) -> None:
        for argument in node.arguments:
            if not any(same(argument, group) for group in self.query.group_by):
                raise SqlError(
                    "42803",
                    "arguments to GROUPING must be grouping expressions of the "
                    "associated query level",
                    position=argument.position,
                )

    def _ungrouped(self, node: ColumnRef, depth: int) -> SqlError:
        entry = self.query.range_table[node.entry]
        name = f"{entry.alias}.{entry.columns[node.column].name}"
        if depth == 0:
            message = (
                f'column "{name}" must appear in the GROUP BY clause '
                "or be used in an aggregate function"
            )
        else:
            message = f'subquery uses ungrouped column "{name}" from outer query'
        return SqlError("42803", message, position=node.position)
