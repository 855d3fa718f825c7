"""SEARCH and CYCLE of recursive queries, written out as columns that the recursion carries along.

    SEARCH DEPTH FIRST BY c SET s       s: the array of the rows (c) on the way
    SEARCH BREADTH FIRST BY c SET s     s: the row (depth, c)
    CYCLE c SET m USING p               p: the array of the rows (c) on the way; m: c is on the way already

As in PostgreSQL's rewriteSearchCycle.c each side of the UNION becomes a subquery under a query that adds
these columns. Inside the recursion nobody else sees them: their names begin with a NUL, which no SQL text
can have, and such columns are hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlglot import exp

from dsql.errors import SqlError, unsupported
from dsql.sql.keywords import identifier
from dsql.sql.tree import position_of

HIDDEN = "\0"
_SEQUENCE, _DEPTH, _MARK, _PATH = (HIDDEN + name for name in ("sequence", "depth", "mark", "path"))
_LEFT, _RIGHT = HIDDEN + "left", HIDDEN + "right"


def expanded(item: exp.CTE, names: Sequence[str]) -> tuple[exp.CTE, exp.CTE]:
    """Return the recursive query with what it carries along, and the query of its name that shows it.

    `names` are the columns without that. Raises SqlError 42601, 42701, 0A000.
    """
    name = item.args["alias"].this.args["this"]
    _check(item, names)
    body = item.this
    if not isinstance(body, exp.Union) or not isinstance(body.this, exp.Select | exp.Values):
        message = "with a SEARCH or CYCLE clause, the left side of the UNION must be a SELECT"
        raise unsupported(message)
    if not isinstance(body.args["expression"], exp.Select):
        message = "with a SEARCH or CYCLE clause, the right side of the UNION must be a SELECT"
        raise SqlError("42601", message)
    carried = _carried(item)
    left = _wrapped(body.this, names, (), _LEFT, [first for _, first, _ in carried], None)
    right = body.args["expression"].copy()
    reference = _reference(right, name)
    right.set("expressions", [*right.expressions, *(_column(reference, c) for c, _, _ in carried)])
    extra = [column for column, _, _ in carried]
    further = [step for _, _, step in carried]
    added = _wrapped(right, names, extra, _RIGHT, further, item.args.get("cycle"))
    union = exp.Union(this=left, expression=added, distinct=body.args.get("distinct"))
    return _named(item, union, [*names, *extra]), _shown(item, name, names)


Carried = tuple[str, Callable[[str], exp.Expression], Callable[[str], exp.Expression]]


def _carried(item: exp.CTE) -> list[Carried]:
    """Return each column with what makes it on the left and on the right, given the subquery's alias."""
    carried: list[Carried] = []
    search, cycle = item.args.get("search"), item.args.get("cycle")
    if search is not None and search["breadth"]:
        by = search["columns"]
        carried += [
            (_DEPTH, lambda _alias: _number(0), _deeper),
            (
                _SEQUENCE,
                lambda alias: _row(alias, by, _number(0)),
                lambda alias: _row(alias, by, _deeper(alias)),
            ),
        ]
    elif search is not None:
        carried.append((_SEQUENCE, *_way(search["columns"], _SEQUENCE)))
    if cycle is not None:
        carried.append((_MARK, lambda _alias: cycle["default"].copy(), _mark(cycle)))
        carried.append((_PATH, *_way(cycle["columns"], _PATH)))
    return carried


def _way(
    columns: Sequence[str], kept: str
) -> tuple[Callable[[str], exp.Expression], Callable[[str], exp.Expression]]:
    def first(alias: str) -> exp.Expression:
        return exp.Array(expressions=[_row(alias, columns)])

    def further(alias: str) -> exp.Expression:
        arguments = [_column(alias, kept), _row(alias, columns)]
        return exp.Anonymous(this="array_append", schema="pg_catalog", expressions=arguments)

    return first, further


def _mark(cycle: dict[str, Any]) -> Callable[[str], exp.Expression]:
    def further(alias: str) -> exp.Expression:
        path = exp.Any(this=_column(alias, _PATH))
        seen = exp.EQ(this=_row(alias, cycle["columns"]), expression=path)
        branch = exp.If(this=seen, true=cycle["value"].copy())
        return exp.Case(ifs=[branch], default=cycle["default"].copy())

    return further


def _wrapped(
    query: exp.Expression,
    names: Sequence[str],
    extra: Sequence[str],
    alias: str,
    made: Sequence[Callable[[str], exp.Expression]],
    cycle: dict[str, Any] | None,
) -> exp.Expression:
    """Return the query that adds what is `made` to a side's columns; rows of a `cycle` go no further."""
    columns = [identifier(name) for name in (*names, *extra)]
    table = exp.TableAlias(this=identifier(alias), columns=columns)
    inner = exp.Subquery(this=query, alias=table, lateral=False)
    targets = [*(_column(alias, name) for name in names), *(make(alias) for make in made)]
    select = exp.Select(expressions=targets, from_=exp.From(expressions=[inner]))
    if cycle is not None:
        going_on = exp.NEQ(this=_column(alias, _MARK), expression=cycle["value"].copy())
        select.set("where", exp.Where(this=going_on))
    return select


def _reference(right: exp.Expression, name: str) -> str:
    """Return the alias under which the right side's FROM has the query itself."""
    waiting = list(right.args["from_"].expressions) if right.args.get("from_") else []
    while waiting:
        item = waiting.pop()
        if isinstance(item, exp.Join):
            waiting += [item.this, item.args["expression"]]
        elif isinstance(item, exp.Table) and _names(item, name):
            alias = item.args.get("alias")
            return str(alias.this.args["this"]) if alias is not None else name
    raise unsupported(
        f'with a SEARCH or CYCLE clause, the recursive reference to WITH query "{name}" must be at'
        " the top level of its right-hand SELECT"
    )


def _names(table: exp.Table, name: str) -> bool:
    this = table.args.get("this")
    if not isinstance(this, exp.Identifier) or table.args.get("db"):
        return False
    return bool(this.args["this"] == name)


def _named(item: exp.CTE, body: exp.Expression, names: Sequence[str]) -> exp.CTE:
    alias = exp.TableAlias(
        this=item.args["alias"].this, columns=[identifier(name) for name in names]
    )
    made = exp.CTE(this=body, alias=alias, materialized=item.args.get("materialized"))
    made._meta = {"position": position_of(item)}
    return made


def _shown(item: exp.CTE, name: str, names: Sequence[str]) -> exp.CTE:
    search, cycle = item.args.get("search"), item.args.get("cycle")
    added = [(_SEQUENCE, search["sequence"])] if search is not None else []
    if cycle is not None:
        added += [(_MARK, cycle["mark"]), (_PATH, cycle["path"])]
    columns = [_column(name, column) for column in (*names, *(column for column, _ in added))]
    table = exp.Table(this=identifier(name))
    select = exp.Select(expressions=columns, from_=exp.From(expressions=[table]))
    return _named(item, select, [*names, *(shown for _, shown in added)])


def _column(alias: str, name: str) -> exp.Expression:
    return exp.Column(this=identifier(name), table=identifier(alias))


def _row(alias: str, columns: Sequence[str], *before: exp.Expression) -> exp.Expression:
    fields = [*before, *(_column(alias, name) for name in columns)]
    return exp.Tuple(expressions=fields, row=True)


def _number(value: int) -> exp.Expression:
    kind = exp.DataType(names=["pg_catalog", "int8"], expressions=[], dimensions=0, setof=False)
    return exp.Cast(this=exp.Literal.number(value), to=kind)


def _deeper(alias: str) -> exp.Expression:
    return exp.Add(this=_column(alias, _DEPTH), expression=exp.Literal.number(1))


def _check(item: exp.CTE, names: Sequence[str]) -> None:
    """Refuse names that are not, or are already, among the columns. Raises SqlError 42601, 42701."""
    search, cycle = item.args.get("search"), item.args.get("cycle")
    if search is not None:
        _check_columns("search", search["columns"], names)
        _check_new("search sequence column name", search["sequence"], names)
    if cycle is not None:
        _check_columns("cycle", cycle["columns"], names)
        _check_new("cycle mark column name", cycle["mark"], names)
        _check_new("cycle path column name", cycle["path"], names)
        _check_distinct(("cycle mark", cycle["mark"]), ("cycle path", cycle["path"]))
    if search is not None and cycle is not None:
        for kind in ("mark", "path"):
            _check_distinct(("search sequence", search["sequence"]), (f"cycle {kind}", cycle[kind]))


def _check_columns(kind: str, columns: Sequence[str], names: Sequence[str]) -> None:
    for at, column in enumerate(columns):
        if column not in names:
            raise SqlError("42601", f'{kind} column "{column}" not in WITH query column list')
        if column in columns[:at]:
            raise SqlError("42701", f'{kind} column "{column}" specified more than once')


def _check_new(what: str, name: str, names: Sequence[str]) -> None:
    if name in names:
        raise SqlError("42601", f'{what} "{name}" already used in WITH query column list')


def _check_distinct(one: tuple[str, str], other: tuple[str, str]) -> None:
    if one[1] == other[1]:
        what = f"{one[0]} column name and {other[0]} column name are the same"
        raise SqlError("42601", what)
