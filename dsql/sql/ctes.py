"""Binds WITH: its queries, recursive ones and data-modifying ones."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from dsql.errors import SqlError, unsupported
from dsql.sql.bound_query import (
    Cte,
    CteEntry,
    EntryColumn,
    FromEntry,
    FromItem,
    Query,
    SubqueryEntry,
)
from dsql.sql.scope import Scope
from dsql.sql.search_cycle import HIDDEN, expanded
from dsql.sql.tree import position_of
from dsql.sql.walk import nodes
from dsql.types.typmod import format_type

_QUERIES = (exp.Select, exp.Values, exp.SetOperation)


def bind_with(scope: Scope, tree: exp.Expression) -> None:
    """Bind a WITH clause into `scope.ctes`, in an order in which no query needs a later one."""
    recursive = bool(tree.args.get("recursive"))
    names = [item.args["alias"].this.args["this"] for item in tree.expressions]
    for index, (name, item) in enumerate(zip(names, tree.expressions, strict=True)):
        if name in names[:index]:
            raise SqlError(
                "42712",
                f'WITH query name "{name}" specified more than once',
                position=position_of(item),
            )
    scope.later_ctes = set(names)
    for item in _ordered(tree.expressions, names) if recursive else tree.expressions:
        _bind_cte(scope, item, recursive)


def _ordered(items: list[Any], names: list[str]) -> list[Any]:
    """Sort WITH RECURSIVE queries so that each comes after those it uses."""
    uses = {
        name: {
            table.this.args["this"]
            for table in item.find_all(exp.Table)
            if isinstance(table.args.get("this"), exp.Identifier) and not table.args.get("db")
        }
        & set(names)
        for name, item in zip(names, items, strict=True)
    }
    done: list[Any] = []
    placed: set[str] = set()
    waiting = dict(zip(names, items, strict=True))
    while waiting:
        ready = [name for name in waiting if uses[name] - {name} <= placed]
        if not ready:
            raise unsupported("mutual recursion between WITH items is not implemented")
        for name in ready:
            done.append(waiting.pop(name))
            placed.add(name)
    return done


def _bind_searching(scope: Scope, item: exp.CTE, recursive: bool) -> None:
    """Bind a query with SEARCH or CYCLE: the recursion, and under the same name what it shows."""
    from dsql.sql.query import bind_query
    from dsql.sql.targets import query_columns

    name, body = item.args["alias"].this.args["this"], item.this
    if not recursive or not _refers_to(body, name):
        raise SqlError("42601", "WITH query is not recursive", position=position_of(item))
    if not isinstance(body, exp.Union) or _refers_to(body.this, name):
        raise _not_recursive_form(name, item)
    first = bind_query(scope.child(), body.this.copy())
    names = [column.name for column in _named(query_columns(first), item, name)]
    for part in expanded(item, names):
        _bind_cte(scope, part, recursive and part.this.key == "union")


def _bind_cte(scope: Scope, item: exp.Expression, recursive: bool) -> None:
    if item.args.get("search") is not None or item.args.get("cycle") is not None:
        assert isinstance(item, exp.CTE)
        _bind_searching(scope, item, recursive)
        return
    name = item.args["alias"].this.args["this"]
    body = item.this
    cte = Cte(name, Query(), [], materialized=item.args.get("materialized"))
    with scope.binding.within(cte):
        if recursive and _refers_to(body, name):
            _bind_recursive(scope, item, cte)
            return
        if isinstance(body, _QUERIES):
            from dsql.sql.query import bind_query
            from dsql.sql.targets import query_columns

            cte.statement = bind_query(scope.child(), body)
            columns = query_columns(cte.statement)
        else:
            cte.statement, columns = _modifying(scope, body)
    cte.columns = _named(columns, item, name)
    scope.ctes.append(cte)
    scope.visible_ctes[name] = len(scope.ctes) - 1


def _modifying(scope: Scope, body: exp.Expression) -> tuple[Any, list[EntryColumn]]:
    from dsql.sql.dml import bind_modification
    from dsql.sql.targets import target_columns

    if isinstance(body, exp.Merge):
        raise unsupported("MERGE not supported in WITH query", position=position_of(body))
    if scope.parent is not None:
        raise unsupported(
            "WITH clause containing a data-modifying statement must be at the top level",
            position=position_of(body),
        )
    statement = bind_modification(scope.child(), body)
    return statement, target_columns(statement.returning or [])


def _named(columns: list[EntryColumn], item: exp.Expression, name: str) -> list[EntryColumn]:
    given = item.args["alias"].args.get("columns") or ()
    if len(given) > len(columns):
        raise SqlError(
            "42P10",
            f'WITH query "{name}" has {len(columns)} columns available '
            f"but {len(given)} columns specified",
            position=position_of(item),
        )
    renamed = [EntryColumn(c.name, c.type_oid, c.typmod, c.table_oid, c.number) for c in columns]
    for column, new in zip(renamed, given, strict=False):
        column.name = new.args["this"]
        column.hidden = column.name.startswith(HIDDEN)
    return renamed


def _refers_to(body: exp.Expression, name: str) -> bool:
    return any(
        isinstance(table.args.get("this"), exp.Identifier)
        and table.this.args["this"] == name
        and not table.args.get("db")
        for table in body.find_all(exp.Table)
    )


def _bind_recursive(scope: Scope, item: exp.Expression, cte: Cte) -> None:
    """Bind WITH RECURSIVE name AS (first UNION [ALL] further): `first` gives the columns."""
    from dsql.sql.query import bind_query
    from dsql.sql.set_operations import combine
    from dsql.sql.targets import query_columns

    body, name = item.this, cte.name
    if not isinstance(body, exp.Union) or _refers_to(body.this, name):
        raise _not_recursive_form(name, item)
    for key, what in (("order", "ORDER BY"), ("limit", "LIMIT"), ("offset", "OFFSET")):
        if body.args.get(key):
            raise unsupported(f"{what} in a recursive query is not implemented")
    inside = scope.child()
    if body.args.get("with_") is not None:
        bind_with(inside, body.args["with_"])
    first = bind_query(inside.child(), body.this)
    cte.columns = _named(query_columns(first), item, name)
    cte.recursive = True
    scope.ctes.append(cte)
    scope.visible_ctes[name] = len(scope.ctes) - 1
    further = bind_query(inside.child(), body.args["expression"], settle=False)
    statement = combine(inside, body, "UNION", first, further)
    statement.ctes = inside.ctes
    cte.statement = statement
    _check_columns(cte, statement)
    _check_reference(cte, further)


def _not_recursive_form(name: str, item: exp.Expression) -> SqlError:
    return SqlError(
        "42P19",
        f'recursive query "{name}" does not have the form '
        "non-recursive-term UNION [ALL] recursive-term",
        position=position_of(item),
    )


def _check_columns(cte: Cte, statement: Query) -> None:
    assert statement.set_operation is not None
    first = [t for t in statement.set_operation.left.targets if not t.junk]
    for number, (column, target) in enumerate(zip(cte.columns, statement.targets, strict=True), 1):
        overall = target.expression.type_oid, target.expression.typmod
        declared = column.type_oid, column.typmod
        if overall != declared:
            raise SqlError(
                "42804",
                f'recursive query "{cte.name}" column {number} has type '
                f"{format_type(*declared)} in non-recursive term but type "
                f"{format_type(*overall)} overall",
                hint="Cast the output of the non-recursive term to the correct type.",
                position=first[number - 1].expression.position,
            )


def _check_reference(cte: Cte, further: Query) -> None:
    references = [
        node
        for node, depth in nodes(further)
        if isinstance(node, CteEntry) and node.name == cte.name and node.levels_up == depth + 1
    ]
    if len(references) > 1:
        raise SqlError(
            "42P19",
            f'recursive reference to query "{cte.name}" must not appear more than once',
        )
    if references and _is_nulled(further, references[0]):
        raise SqlError(
            "42P19",
            f'recursive reference to query "{cte.name}" must not appear within an outer join',
        )


def _is_nulled(query: Query, reference: CteEntry) -> bool:
    """Tell whether an outer join, in a query or around the reference, may fill its rows with NULLs."""
    for number, entry in enumerate(query.range_table):
        inner = entry.query if isinstance(entry, SubqueryEntry) else None
        within = inner is not None and any(node is reference for node, _ in nodes(inner))
        if entry is reference or within:
            if any(_nulls(item, number) for item in query.from_items):
                return True
            return inner is not None and _is_nulled(inner, reference)
    return False


def _nulls(item: FromItem, number: int) -> bool:
    """Tell whether an outer join may fill the row of an entry with NULLs."""
    if isinstance(item, FromEntry):
        return False
    nulled = {"left": (item.right,), "right": (item.left,), "full": (item.left, item.right)}
    if any(_has(side, number) for side in nulled.get(item.kind, ())):
        return True
    return _nulls(item.left, number) or _nulls(item.right, number)


def _has(item: FromItem, number: int) -> bool:
    if isinstance(item, FromEntry):
        return item.entry == number
    return _has(item.left, number) or _has(item.right, number)
