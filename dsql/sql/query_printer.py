"""Printers of queries and data-modifying statements for `dsql.sql.printer`."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

_SET_WORDS = {exp.Union: "UNION", exp.Intersect: "INTERSECT", exp.Except: "EXCEPT"}


def _list(gen: Any, nodes: Any) -> str:
    return ", ".join(gen.sql(node) for node in nodes)


def _alias(gen: Any, node: Any) -> str:
    return f"{gen.sql(node.this)} AS {gen.sql(node.args['alias'])}"


# ---------------------------------------------------------------- queries


def _with(gen: Any, node: Any) -> str:
    clause = node.args.get("with_")
    if clause is None:
        return ""
    word = "WITH RECURSIVE" if clause.args.get("recursive") else "WITH"
    return f"{word} {_list(gen, clause.expressions)} "


def _cte(gen: Any, node: Any) -> str:
    materialized = {True: "MATERIALIZED ", False: "NOT MATERIALIZED "}.get(
        node.args.get("materialized"), ""
    )
    return f"{gen.sql(node.args['alias'])} AS {materialized}({gen.sql(node.this)})"


def _table_alias(gen: Any, node: Any) -> str:
    columns = node.args.get("columns")
    return f"{gen.sql(node.this)}({_list(gen, columns)})" if columns else str(gen.sql(node.this))


def _select(gen: Any, node: Any) -> str:
    args = node.args
    parts = ["SELECT"]
    distinct = args.get("distinct")
    if distinct is not None:
        on = distinct.args.get("on")
        parts.append(f"DISTINCT ON ({_list(gen, on.expressions)})" if on else "DISTINCT")
    if node.expressions:
        parts.append(_list(gen, node.expressions))
    for key, word in (("from_", "FROM"), ("where", "WHERE")):
        if args.get(key) is not None:
            parts.append(f"{word} {_clause(gen, args[key])}")
    group = args.get("group")
    if group is not None:
        word = "GROUP BY DISTINCT" if group.args.get("distinct") else "GROUP BY"
        parts.append(f"{word} {_list(gen, group.expressions)}")
    if args.get("having") is not None:
        parts.append(f"HAVING {gen.sql(args['having'].this)}")
    if args.get("windows"):
        windows = [f"{gen.sql(w.this)} AS ({window_text(gen, w)})" for w in args["windows"]]
        parts.append(f"WINDOW {', '.join(windows)}")
    return _with(gen, node) + " ".join(parts) + _tail(gen, node)


def _clause(gen: Any, node: Any) -> str:
    return _list(gen, node.expressions if isinstance(node, exp.From) else [node.this])


def _tail(gen: Any, node: Any) -> str:
    args = node.args
    parts = []
    if args.get("order") is not None:
        parts.append(f"ORDER BY {_list(gen, args['order'].expressions)}")
    if args.get("offset") is not None:
        parts.append(f"OFFSET {_count(gen, args['offset'])}")
    limit = args.get("limit")
    if limit is not None:
        if limit.args.get("with_ties"):
            parts.append(f"FETCH FIRST {_count(gen, limit)} ROWS WITH TIES")
        else:
            parts.append(f"LIMIT {_count(gen, limit)}")
    parts.extend(_lock(gen, lock) for lock in args.get("locks") or ())
    return "".join(f" {part}" for part in parts)


def _count(gen: Any, node: Any) -> str:
    value = node.args["expression"]
    if isinstance(value, exp.Null):
        return "ALL"
    return f"({gen.sql(value)})" if not isinstance(value, exp.Literal) else str(gen.sql(value))


def _lock(gen: Any, node: Any) -> str:
    text = f"FOR {node.args['strength'].upper()}"
    if node.expressions:
        text += f" OF {_list(gen, node.expressions)}"
    return text + (f" {node.args['wait'].upper()}" if node.args.get("wait") else "")


def _values(gen: Any, node: Any) -> str:
    rows = ", ".join(f"({_list(gen, row.expressions)})" for row in node.expressions)
    return f"{_with(gen, node)}VALUES {rows}{_tail(gen, node)}"


def _set_operation(gen: Any, node: Any) -> str:
    word = _SET_WORDS[type(node)] + ("" if node.args["distinct"] else " ALL")
    left, right = gen.sql(node.this), gen.sql(node.args["expression"])
    return f"{_with(gen, node)}({left}) {word} ({right}){_tail(gen, node)}"


def _group_word(word: str) -> Any:
    return lambda gen, node: f"{word} ({_list(gen, node.expressions)})"


def order_text(gen: Any, node: Any) -> str:
    """Return an ORDER BY clause."""
    return f"ORDER BY {_list(gen, node.expressions)}"


def window_text(gen: Any, node: Any) -> str:
    """Return what stands between the parentheses of a window definition."""
    parts = []
    if node.args.get("alias") is not None:
        parts.append(gen.sql(node.args["alias"]))
    if node.args.get("partition_by"):
        parts.append(f"PARTITION BY {_list(gen, node.args['partition_by'])}")
    if node.args.get("order") is not None:
        parts.append(order_text(gen, node.args["order"]))
    spec = node.args.get("spec")
    if spec is not None:
        parts.append(_frame(gen, spec))
    return " ".join(parts)


def _frame(gen: Any, spec: Any) -> str:
    def bound(side: str) -> str:
        offset = spec.args.get(side)
        words = spec.args[f"{side}_side"]
        return f"{gen.sql(offset)} {words}" if offset is not None else str(words)

    text = bound("start")
    if spec.args["between"]:
        text = f"BETWEEN {text} AND {bound('end')}"
    exclude = spec.args.get("exclude")
    return f"{spec.args['kind']} {text}" + (f" EXCLUDE {exclude}" if exclude else "")


# ---------------------------------------------------------------- FROM


def _aliased(gen: Any, text: str, node: Any) -> str:
    alias = node.args.get("alias")
    return f"{text} AS {gen.sql(alias)}" if alias is not None else text


def _table(gen: Any, node: Any) -> str:
    args = node.args
    if args.get("rows_from"):
        return _function_table(gen, node)
    parts = [args.get(key) for key in ("catalog", "db", "this")]
    text = ".".join(gen.sql(part) for part in parts if part is not None)
    return _aliased(gen, f"ONLY {text}" if args.get("only") else text, node)


def _function_table(gen: Any, node: Any) -> str:
    args = node.args
    text = _list(gen, args["rows_from"])
    if args.get("is_rows_from"):
        text = f"ROWS FROM ({text})"
    if args.get("ordinality"):
        text += " WITH ORDINALITY"
    if args.get("lateral"):
        text = f"LATERAL {text}"
    definitions = args.get("column_definitions")
    if not definitions:
        return _aliased(gen, text, node)
    columns = ", ".join(f"{gen.sql(d.this)} {gen.sql(d.args['kind'])}" for d in definitions)
    alias = args.get("alias")
    return f"{text} AS {gen.sql(alias) if alias is not None else ''}({columns})"


def _subquery(gen: Any, node: Any) -> str:
    lateral = "LATERAL " if node.args.get("lateral") else ""
    return _aliased(gen, f"{lateral}({gen.sql(node.this)})", node)


def _join(gen: Any, node: Any) -> str:
    args = node.args
    right = args["expression"]
    text = gen.sql(right)
    if isinstance(right, exp.Join) and right.args.get("alias") is None:
        text = f"({text})"
    words = "NATURAL " if args.get("natural") else ""
    words += f"{args['side']} " if args.get("side") else ""
    condition = ""
    if args.get("on") is not None:
        condition = f" ON {gen.sql(args['on'])}"
    elif args.get("using"):
        condition = f" USING ({_list(gen, args['using'])})"
        if args.get("using_alias") is not None:
            condition += f" AS {gen.sql(args['using_alias'])}"
    elif not args.get("natural"):
        words = "CROSS "
    joined = f"{gen.sql(node.this)} {words}JOIN {text}{condition}"
    alias = args.get("alias")
    return f"({joined}) AS {gen.sql(alias)}" if alias is not None else joined


# ---------------------------------------------------------------- data-modifying statements


def _returning(gen: Any, node: Any) -> str:
    returning = node.args.get("returning")
    return f" RETURNING {_list(gen, returning.expressions)}" if returning is not None else ""


def _insert(gen: Any, node: Any) -> str:
    args = node.args
    text = f"{_with(gen, node)}INSERT INTO {gen.sql(node.this)}"
    if args.get("columns"):
        text += f" ({_list(gen, args['columns'])})"
    if args.get("override"):
        text += f" OVERRIDING {args['override'].upper()} VALUE"
    source = args.get("expression")
    text += f" {gen.sql(source)}" if source is not None else " DEFAULT VALUES"
    if args.get("conflict") is not None:
        text += f" {gen.sql(args['conflict'])}"
    return text + _returning(gen, node)


def _on_conflict(gen: Any, node: Any) -> str:
    args = node.args
    text = "ON CONFLICT"
    if args.get("constraint") is not None:
        text += f" ON CONSTRAINT {gen.sql(args['constraint'])}"
    elif args.get("conflict_keys"):
        keys = [
            gen.sql(key) if isinstance(key, exp.Column) else f"({gen.sql(key)})"
            for key in args["conflict_keys"]
        ]
        text += f" ({', '.join(keys)})"
        if args.get("index_predicate") is not None:
            text += f" WHERE {gen.sql(args['index_predicate'])}"
    if args["action"] == "nothing":
        return f"{text} DO NOTHING"
    text += f" DO UPDATE SET {_assignments(gen, node.expressions)}"
    if args.get("where") is not None:
        text += f" WHERE {gen.sql(args['where'])}"
    return text


def _assignments(gen: Any, nodes: Any) -> str:
    return ", ".join(f"{gen.sql(n.this)} = {gen.sql(n.args['expression'])}" for n in nodes)


def _update(gen: Any, node: Any) -> str:
    args = node.args
    text = (
        f"{_with(gen, node)}UPDATE {gen.sql(node.this)} SET {_assignments(gen, node.expressions)}"
    )
    if args.get("from_") is not None:
        text += f" FROM {_clause(gen, args['from_'])}"
    if args.get("where") is not None:
        text += f" WHERE {gen.sql(args['where'].this)}"
    return text + _returning(gen, node)


def _delete(gen: Any, node: Any) -> str:
    args = node.args
    text = f"{_with(gen, node)}DELETE FROM {gen.sql(node.this)}"
    if args.get("using") is not None:
        text += f" USING {_clause(gen, args['using'])}"
    if args.get("where") is not None:
        text += f" WHERE {gen.sql(args['where'].this)}"
    return text + _returning(gen, node)


PRINTERS: dict[type, Any] = {
    exp.Alias: _alias,
    exp.CTE: _cte,
    exp.TableAlias: _table_alias,
    exp.Select: _select,
    exp.Values: _values,
    exp.Union: _set_operation,
    exp.Intersect: _set_operation,
    exp.Except: _set_operation,
    exp.Rollup: _group_word("ROLLUP"),
    exp.Cube: _group_word("CUBE"),
    exp.GroupingSets: _group_word("GROUPING SETS"),
    exp.Table: _table,
    exp.Subquery: _subquery,
    exp.Join: _join,
    exp.Insert: _insert,
    exp.OnConflict: _on_conflict,
    exp.Update: _update,
    exp.Delete: _delete,
}
