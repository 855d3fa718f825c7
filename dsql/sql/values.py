"""Binds the rows of VALUES lists."""

from __future__ import annotations

from sqlglot import exp

from dsql.errors import SqlError
from dsql.sql import coercion
from dsql.sql.alike import Spread
from dsql.sql.bound_query import ConstantRows, EntryColumn, ValuesRow
from dsql.sql.bulk import constant_rows
from dsql.sql.calls import clause
from dsql.sql.expressions import bind_expression
from dsql.sql.scope import Scope
from dsql.sql.tree import position_of
from dsql.sql.tree_query import rows_of


def is_plain_values(tree: exp.Expression) -> bool:
    """Tell whether a query is VALUES and nothing more."""
    return isinstance(tree, exp.Values) and not any(
        tree.args.get(key) for key in ("order", "limit", "offset", "with_", "locks")
    )


def bind_values(
    scope: Scope, tree: exp.Expression
) -> tuple[list[ValuesRow] | ConstantRows, list[EntryColumn]]:
    """Bind the rows of a VALUES list; each column has the common type of its values."""
    constants = tree.args.get("constants")
    in_bulk = constant_rows(scope.binding, constants) if constants is not None else None
    return in_bulk or _bind_rows(scope, rows_of(tree))


def _bind_rows(
    scope: Scope, trees: list[exp.Expression]
) -> tuple[list[ValuesRow], list[EntryColumn]]:
    spread = spread_rows(trees)
    with clause(scope, "VALUES"):
        rows = [[bind_expression(scope, item) for item in row.expressions] for row in spread.trees]
    width = len(rows[0])
    for row, row_tree in zip(rows, spread.trees, strict=True):
        if len(row) != width:
            raise uneven_row(row_tree)
    columns = []
    for index in range(width):
        cells = [row[index] for row in rows]
        done, type_oid, typmod = coercion.unify(scope.binding, cells, "VALUES")
        for row, cell in zip(rows, done, strict=True):
            row[index] = cell
        columns.append(EntryColumn(f"column{index + 1}", type_oid, typmod))
    return spread.rows(rows), columns


def spread_rows(trees: list[exp.Expression]) -> Spread:
    """Return the rows of VALUES, as Tuples, with each kind of many rows once."""
    spread = Spread([_many(tree) for tree in trees])
    spread.trees = [_row(tree) for tree in spread.trees]
    return spread


def _many(row: exp.Expression) -> exp.Expression:
    """Return a row, or the many rows that its only item stands for."""
    first = row.expressions[0]
    return first if type(first) is exp.List else row


def _row(tree: exp.Expression) -> exp.Expression:
    """Return a row; the kind `(a)` of rows was read as an expression in parentheses."""
    return tree if isinstance(tree, exp.Tuple) else exp.Tuple(expressions=[tree])


def uneven_row(tree: exp.Expression) -> SqlError:
    """Return the error of a row of VALUES that is not as long as the first."""
    return SqlError(
        "42601",
        "VALUES lists must all be the same length",
        position=position_of(tree.expressions[0]),
    )
