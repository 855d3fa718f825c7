"""The name PostgreSQL gives an output column that has no alias (FigureColname)."""

from __future__ import annotations

from sqlglot import exp

_WEAK, _STRONG = 1, 2


def output_name(tree: exp.Expression) -> str:
    """Return the output name of a target: its alias, or what its expression suggests."""
    if isinstance(tree, exp.Alias):
        return tree.args["alias"].this  # type: ignore[no-any-return]
    return _figure(tree)[0] or "?column?"


def _figure(tree: exp.Expression | None) -> tuple[str, int]:
    """Return (name, strength); a weak name (a cast's type, "case") gives way to a strong one."""
    if isinstance(tree, exp.Column):
        if isinstance(tree.this, exp.Star):
            return (tree.table, _STRONG) if tree.table else ("", 0)
        return tree.name, _STRONG
    if isinstance(tree, exp.Dot):
        if isinstance(tree.expression, exp.Identifier):
            return tree.expression.this, _STRONG
        return _figure(tree.this)
    if isinstance(tree, exp.Anonymous):
        return tree.this, _STRONG
    if isinstance(tree, (exp.Bracket, exp.Collate)):
        return _figure(tree.this)
    if isinstance(tree, exp.Cast):
        name, strength = _figure(tree.this)
        return (name, strength) if strength > _WEAK else (tree.args["to"].args["names"][-1], _WEAK)
    if isinstance(tree, exp.Case):
        name, strength = _figure(tree.args.get("default"))
        return (name, strength) if strength > _WEAK else ("case", _WEAK)
    if isinstance(tree, exp.Subquery):
        found = tree.meta.get("figure")  # each level of nested ones asks again
        if found is None:
            found = tree.meta["figure"] = _figure_query(tree.this)
        return found
    if isinstance(tree, exp.Var):
        return _sql_value_name(tree.this)
    return _NAMES.get(type(tree), ""), _STRONG if type(tree) in _NAMES else 0


def _figure_query(query: exp.Expression) -> tuple[str, int]:
    """A scalar subquery is named after its only column."""
    while isinstance(query, exp.SetOperation):
        query = query.this
    if isinstance(query, exp.Select) and query.expressions:
        target = query.expressions[0]
        if isinstance(target, exp.Alias):
            return target.args["alias"].this, _STRONG
        return _figure(target)
    return ("column1", _STRONG) if isinstance(query, exp.Values) else ("", 0)


def _sql_value_name(name: str) -> tuple[str, int]:
    return ("", 0) if name in ("DEFAULT", "UNKNOWN") else (name, _STRONG)


_NAMES: dict[type, str] = {
    exp.Tuple: "row",
    exp.Array: "array",
    exp.Coalesce: "coalesce",
    exp.Nullif: "nullif",
    exp.Greatest: "greatest",
    exp.Least: "least",
    exp.Exists: "exists",
    exp.Grouping: "grouping",
}
