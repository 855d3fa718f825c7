"""libpg_query's parse nodes to sqlglot trees: queries and data-modifying statements.

The shapes, where they are not sqlglot's usual ones:

    From            expressions: the items of the comma list, each a
        Table       this, db, catalog, alias, only
        Table       rows_from (calls, which may have column_definitions), is_rows_from,
                    ordinality, column_definitions, lateral
        Subquery    this, alias, lateral
        Join        this (left) and expression (right), side, on, using (names), natural, alias, using_alias
    Select          windows: Window with `this` its name; limit: Limit with `with_ties`
    CTE             search: dict of breadth, columns, sequence; cycle: of columns, mark, value, default,
                    path; both may be None
    Values          expressions: Tuple per row, or `constants`, a ConstantList; order, limit, offset, with_
                    like a Select
    Insert          columns, expression (query, None for DEFAULT VALUES), override, conflict, returning
    Update, Delete  from_ / using: From
    Merge           using: From of one item, on, whens: When with matched, condition, and then: an Insert
                    (expression: a Tuple), Update or Delete without a table, None for DO NOTHING
    EQ in SET       this: a Column, or a Tuple of them
"""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from dsql.errors import SqlError, unsupported
from dsql.sql.gate import ParsedStatement, whole
from dsql.sql.keywords import identifier
from dsql.sql.libpg_query import grammar as pg
from dsql.sql.tree import TreeBuilder, columns_of, constant_trees, subscript_tree, type_tree
from dsql.sql.tree_calls import order_tree, window_tree

_SET_OPERATIONS = {
    pg.SETOP_UNION: exp.Union,
    pg.SETOP_INTERSECT: exp.Intersect,
    pg.SETOP_EXCEPT: exp.Except,
}
_LOCK_STRENGTHS = {
    pg.LCS_FORUPDATE: "update",
    pg.LCS_FORNOKEYUPDATE: "no key update",
    pg.LCS_FORSHARE: "share",
    pg.LCS_FORKEYSHARE: "key share",
}
_WAIT_POLICIES = {pg.LockWaitSkip: "skip locked", pg.LockWaitError: "nowait"}
_SIDES = {pg.JOIN_LEFT: "LEFT", pg.JOIN_RIGHT: "RIGHT", pg.JOIN_FULL: "FULL"}


def statement_tree(statement: ParsedStatement) -> exp.Expression:
    """Return the tree of a query or a data-modifying statement."""
    build = TreeBuilder(statement)
    tree = _STATEMENTS[type(statement.node).DESCRIPTOR.name](build, statement.node)
    if len(build.claimed) < len(statement.lists) + len(
        statement.alike
    ):  # one of them was something else
        return statement_tree(whole(statement))
    return tree


def query_tree(build: TreeBuilder, node: Any) -> exp.Expression:
    """Return the tree of a SelectStmt: a Select, Values, or a set operation."""
    operation = _SET_OPERATIONS.get(node.op)
    tree: exp.Expression
    if operation is not None:
        tree = operation(
            this=query_tree(build, node.larg),
            expression=query_tree(build, node.rarg),
            distinct=not node.all,
        )
    elif node.values_lists:
        tree = _values(build, node.values_lists)
    else:
        tree = _select(build, node)
    _tail(build, node, tree)
    return tree


def _values(build: TreeBuilder, rows: Any) -> exp.Expression:
    """Return the Values of rows; it stands where its first expression does."""
    first = rows[0].list.items[0]
    constants = build.list_at(first)
    if constants is not None:
        tree, position = exp.Values(constants=constants), constants.position
    else:
        tuples = [exp.Tuple(expressions=build.expressions(row.list.items)) for row in rows]
        tree, position = exp.Values(expressions=tuples), tuples[0].expressions[0].meta["position"]
    tree._meta = {"position": position}
    return tree


def rows_of(tree: exp.Expression) -> list[exp.Expression]:
    """Return the rows of a Values as Tuples, those of a long list as well."""
    constants = tree.args.get("constants")
    if constants is None:
        return tree.expressions
    items = constant_trees(constants)
    width = constants.width
    return [exp.Tuple(expressions=items[at : at + width]) for at in range(0, len(items), width)]


def _select(build: TreeBuilder, node: Any) -> exp.Expression:
    if node.HasField("into_clause"):
        raise SqlError(
            "42601",
            "SELECT ... INTO is not allowed here",
            position=build.position(node.into_clause.rel.location),
        )
    args: dict[str, Any] = {
        "expressions": [_target(build, t.res_target) for t in columns_of(node.target_list)]
    }
    if node.distinct_clause:
        on = [item for item in node.distinct_clause if item.WhichOneof("node")]
        args["distinct"] = exp.Distinct(
            on=exp.Tuple(expressions=build.expressions(on)) if on else None
        )
    if node.from_clause:
        args["from_"] = from_tree(build, node.from_clause)
    if node.HasField("where_clause"):
        args["where"] = exp.Where(this=build.expression(node.where_clause))
    if node.group_clause:
        items = [_group_item(build, item) for item in node.group_clause]
        args["group"] = exp.Group(expressions=items, distinct=node.group_distinct)
    if node.HasField("having_clause"):
        args["having"] = exp.Having(this=build.expression(node.having_clause))
    if node.window_clause:
        args["windows"] = [_named_window(build, item.window_def) for item in node.window_clause]
    return exp.Select(**args)


def _named_window(build: TreeBuilder, node: Any) -> exp.Expression:
    tree = window_tree(build, node)
    tree.set("this", identifier(node.name))
    return tree


def _target(build: TreeBuilder, node: Any) -> exp.Expression:
    tree = build.expression(node.val)
    if not node.name:
        return tree
    return build.placed(exp.Alias(this=tree, alias=identifier(node.name)), node.location)


_GROUPING_KINDS: dict[int, type[exp.Expression]] = {
    pg.GROUPING_SET_ROLLUP: exp.Rollup,
    pg.GROUPING_SET_CUBE: exp.Cube,
    pg.GROUPING_SET_SETS: exp.GroupingSets,
}


def _group_item(build: TreeBuilder, node: Any) -> exp.Expression:
    if node.WhichOneof("node") != "grouping_set":
        return build.expression(node)
    grouping = node.grouping_set
    content = [_group_item(build, item) for item in grouping.content]
    if grouping.kind == pg.GROUPING_SET_EMPTY:
        return build.placed(exp.Tuple(expressions=[], empty_set=True), grouping.location)
    return build.placed(_GROUPING_KINDS[grouping.kind](expressions=content), grouping.location)


def _tail(build: TreeBuilder, node: Any, tree: exp.Expression) -> None:
    """Add what may follow any query: ORDER BY, LIMIT, OFFSET, locking, and its WITH."""
    if node.sort_clause:
        tree.set("order", order_tree(build, node.sort_clause))
    if node.HasField("limit_count"):
        limit = build.expression(node.limit_count)
        with_ties = node.limit_option == pg.LIMIT_OPTION_WITH_TIES
        tree.set("limit", exp.Limit(expression=limit, with_ties=with_ties))
    if node.HasField("limit_offset"):
        tree.set("offset", exp.Offset(expression=build.expression(node.limit_offset)))
    if node.locking_clause:
        tree.set("locks", [_lock(build, item.locking_clause) for item in node.locking_clause])
    if node.HasField("with_clause"):
        tree.set("with_", _with(build, node.with_clause))


def _lock(build: TreeBuilder, node: Any) -> exp.Expression:
    return exp.Lock(
        update=node.strength == pg.LCS_FORUPDATE,
        strength=_LOCK_STRENGTHS[node.strength],
        expressions=[_table(build, item.range_var) for item in node.locked_rels],
        wait=_WAIT_POLICIES.get(node.wait_policy),
    )


def _with(build: TreeBuilder, node: Any) -> exp.Expression:
    ctes = []
    for item in node.ctes:
        cte = item.common_table_expr
        query = cte.ctequery
        field = query.WhichOneof("node")
        message = getattr(query, field)
        tree = exp.CTE(
            this=_STATEMENTS[type(message).DESCRIPTOR.name](build, message),
            alias=exp.TableAlias(
                this=identifier(cte.ctename),
                columns=[identifier(name.string.sval) for name in cte.aliascolnames],
            ),
            materialized={pg.CTEMaterializeAlways: True, pg.CTEMaterializeNever: False}.get(
                cte.ctematerialized
            ),
            search=_search(cte.search_clause) if cte.HasField("search_clause") else None,
            cycle=_cycle(build, cte.cycle_clause) if cte.HasField("cycle_clause") else None,
        )
        ctes.append(build.placed(tree, cte.location))
    return exp.With(expressions=ctes, recursive=node.recursive)


def _search(node: Any) -> dict[str, Any]:
    return {
        "breadth": node.search_breadth_first,
        "columns": [name.string.sval for name in node.search_col_list],
        "sequence": node.search_seq_column,
    }


def _cycle(build: TreeBuilder, node: Any) -> dict[str, Any]:
    return {
        "columns": [name.string.sval for name in node.cycle_col_list],
        "mark": node.cycle_mark_column,
        "value": build.expression(node.cycle_mark_value),
        "default": build.expression(node.cycle_mark_default),
        "path": node.cycle_path_column,
    }


# ---------------------------------------------------------------- FROM


def from_tree(build: TreeBuilder, items: Any) -> exp.Expression:
    """Return the From of a list of FROM items."""
    return exp.From(expressions=[_from_item(build, item) for item in items])


def _from_item(build: TreeBuilder, item: Any) -> exp.Expression:
    field = item.WhichOneof("node")
    convert = _FROM_ITEMS.get(field)
    if convert is None:
        if field == "range_table_sample":
            raise unsupported("TABLESAMPLE clause not supported")
        raise unsupported(f"{(field or 'item').replace('_', ' ')} is not supported in FROM")
    return convert(build, getattr(item, field))


def _alias(node: Any) -> exp.Expression | None:
    if not node.HasField("alias"):
        return None
    return _table_alias(node.alias)


def _table_alias(node: Any) -> exp.Expression:
    columns = [identifier(name.string.sval) for name in node.colnames]
    return exp.TableAlias(this=identifier(node.aliasname), columns=columns)


def _table(build: TreeBuilder, node: Any) -> exp.Expression:
    args: dict[str, Any] = {"this": identifier(node.relname)}
    if node.schemaname:
        args["db"] = identifier(node.schemaname)
    if node.catalogname:
        args["catalog"] = identifier(node.catalogname)
    alias = _alias(node)
    if alias is not None:
        args["alias"] = alias
    if not node.inh:
        args["only"] = True
    return build.placed(exp.Table(**args), node.location)


def _subquery(build: TreeBuilder, node: Any) -> exp.Expression:
    tree = exp.Subquery(
        this=query_tree(build, node.subquery.select_stmt), alias=_alias(node), lateral=node.lateral
    )
    tree._meta = {"position": tree.this.meta.get("position", 0)}
    return tree


def _join(build: TreeBuilder, node: Any) -> exp.Expression:
    tree = exp.Join(
        this=_from_item(build, node.larg),
        expression=_from_item(build, node.rarg),
        side=_SIDES.get(node.jointype),
        on=build.optional(node, "quals"),
        using=[identifier(name.string.sval) for name in node.using_clause],
        natural=node.is_natural,
        alias=_alias(node),
    )
    if node.HasField("join_using_alias"):
        tree.set("using_alias", _table_alias(node.join_using_alias))
    return tree


def _function_item(build: TreeBuilder, node: Any) -> exp.Expression:
    calls = []
    for item in node.functions:
        call, definitions = item.list.items
        calls.append(build.expression(call))
        if definitions.WhichOneof("node"):
            columns = [_column_definition(build, c.column_def) for c in definitions.list.items]
            calls[-1].set("column_definitions", columns)
    tree = exp.Table(
        rows_from=calls,
        is_rows_from=node.is_rowsfrom,
        ordinality=node.ordinality,
        alias=_alias(node),
        lateral=node.lateral,
        column_definitions=[_column_definition(build, c.column_def) for c in node.coldeflist],
    )
    tree._meta = {"position": calls[0].meta["position"]}
    return tree


def _column_definition(build: TreeBuilder, node: Any) -> exp.Expression:
    kind = type_tree(build, node.type_name)
    return build.placed(exp.ColumnDef(this=identifier(node.colname), kind=kind), node.location)


_FROM_ITEMS = {
    "range_var": _table,
    "range_subselect": _subquery,
    "join_expr": _join,
    "range_function": _function_item,
}


# ---------------------------------------------------------------- data-modifying statements


def _returning(build: TreeBuilder, node: Any) -> exp.Expression | None:
    if not node.HasField("returning_clause"):
        return None
    clause = node.returning_clause
    if clause.options:
        raise unsupported("RETURNING WITH is not supported")
    return exp.Returning(expressions=[_target(build, item.res_target) for item in clause.exprs])


def _finish(build: TreeBuilder, node: Any, tree: exp.Expression) -> exp.Expression:
    if node.HasField("with_clause"):
        tree.set("with_", _with(build, node.with_clause))
    returning = _returning(build, node)
    if returning is not None:
        tree.set("returning", returning)
    return tree


def _target_column(build: TreeBuilder, node: Any) -> exp.Expression:
    subscripts = [_part(build, part) for part in node.indirection]
    tree = exp.Column(this=identifier(node.name), subscripts=subscripts)
    return build.placed(tree, node.location)


def _part(build: TreeBuilder, node: Any) -> exp.Expression:
    """Return the tree of what follows the column that is assigned to: an Identifier for a field."""
    match node.WhichOneof("node"):
        case "a_indices":
            return subscript_tree(build, node.a_indices)
        case "string":
            return identifier(node.string.sval)
        case _:
            raise SqlError("0A000", 'row expansion via "*" is not supported here')


_OVERRIDES = {
    pg.OVERRIDING_USER_VALUE: "user",
    pg.OVERRIDING_SYSTEM_VALUE: "system",
}


def _insert(build: TreeBuilder, node: Any) -> exp.Expression:
    tree = exp.Insert(
        this=_table(build, node.relation),
        columns=[_target_column(build, item.res_target) for item in node.cols],
        override=_OVERRIDES.get(node.override),
    )
    if node.HasField("select_stmt"):
        tree.set("expression", query_tree(build, node.select_stmt.select_stmt))
    if node.HasField("on_conflict_clause"):
        tree.set("conflict", _on_conflict(build, node.on_conflict_clause))
    return _finish(build, node, tree)


def _on_conflict(build: TreeBuilder, node: Any) -> exp.Expression:
    tree = exp.OnConflict(
        action="update" if node.action == pg.ONCONFLICT_UPDATE else "nothing",
        expressions=_assignments(build, node.target_list),
        where=build.optional(node, "where_clause"),
    )
    if node.HasField("infer"):
        infer = node.infer
        keys = []
        for item in infer.index_elems:
            element = item.index_elem
            if element.opclass:
                raise unsupported("operator classes are not supported in ON CONFLICT")
            if element.name:
                key: exp.Expression = exp.Column(this=identifier(element.name))
                key._meta = {"position": build.position(infer.location)}
            else:
                key = build.expression(element.expr)
            keys.append(key)
        tree.set("conflict_keys", keys)
        tree.set("index_predicate", build.optional(infer, "where_clause"))
        if infer.conname:
            tree.set("constraint", identifier(infer.conname))
        tree._meta = {"position": build.position(infer.location)}
        return tree
    return build.placed(tree, node.location)


def _assignments(build: TreeBuilder, targets: Any) -> list[exp.Expression]:
    assignments: list[exp.Expression] = []
    multiple: list[exp.Expression] = []
    for item in targets:
        target = item.res_target
        column = _target_column(build, target)
        if target.val.WhichOneof("node") != "multi_assign_ref":
            value = build.expression(target.val)
            assignments.append(build.placed(exp.EQ(this=column, expression=value), target.location))
            continue
        reference = target.val.multi_assign_ref
        multiple.append(column)
        if reference.colno == reference.ncolumns:
            source = build.expression(reference.source)
            columns = exp.Tuple(expressions=multiple)
            multiple = []
            assignments.append(
                build.placed(exp.EQ(this=columns, expression=source), target.location)
            )
    return assignments


def _update(build: TreeBuilder, node: Any) -> exp.Expression:
    tree = exp.Update(
        this=_table(build, node.relation), expressions=_assignments(build, node.target_list)
    )
    if node.from_clause:
        tree.set("from_", from_tree(build, node.from_clause))
    if node.HasField("where_clause"):
        tree.set("where", exp.Where(this=build.expression(node.where_clause)))
    return _finish(build, node, tree)


def _delete(build: TreeBuilder, node: Any) -> exp.Expression:
    tree = exp.Delete(this=_table(build, node.relation))
    if node.using_clause:
        tree.set("using", from_tree(build, node.using_clause))
    if node.HasField("where_clause"):
        tree.set("where", exp.Where(this=build.expression(node.where_clause)))
    return _finish(build, node, tree)


def _merge(build: TreeBuilder, node: Any) -> exp.Expression:
    if node.returning_clause.exprs:
        raise SqlError("42601", 'syntax error at or near "RETURNING"')
    tree = exp.Merge(
        this=_table(build, node.relation),
        using=from_tree(build, [node.source_relation]),
        on=build.expression(node.join_condition),
        whens=[_when(build, item.merge_when_clause) for item in node.merge_when_clauses],
    )
    if node.HasField("with_clause"):
        tree.set("with_", _with(build, node.with_clause))
    return tree


def _when(build: TreeBuilder, node: Any) -> exp.Expression:
    if node.match_kind == pg.MERGE_WHEN_NOT_MATCHED_BY_SOURCE:
        raise SqlError("42601", 'syntax error at or near "BY"')  # PostgreSQL's from 17 on
    then: exp.Expression | None = None
    if node.command_type == pg.CMD_UPDATE:
        then = exp.Update(expressions=_assignments(build, node.target_list))
    elif node.command_type == pg.CMD_DELETE:
        then = exp.Delete()
    elif node.command_type == pg.CMD_INSERT:
        then = exp.Insert(
            columns=[_target_column(build, item.res_target) for item in node.target_list],
            override=_OVERRIDES.get(node.override),
        )
        if node.values:
            then.set("expression", exp.Tuple(expressions=build.expressions(node.values)))
    return exp.When(
        matched=node.match_kind == pg.MERGE_WHEN_MATCHED,
        condition=build.optional(node, "condition"),
        then=then,
    )


_STATEMENTS = {
    "SelectStmt": query_tree,
    "InsertStmt": _insert,
    "UpdateStmt": _update,
    "DeleteStmt": _delete,
    "MergeStmt": _merge,
}
