"""Binds INSERT, UPDATE and DELETE: targets, assignment casts, defaults, ON CONFLICT, RETURNING."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from dsql.access.privileges import Privilege
from dsql.catalog.foreign_keys import watched_keys
from dsql.catalog.schema import SYSTEM_COLUMN_NUMBERS, Column, Table
from dsql.errors import SqlError, unsupported
from dsql.sql import coercion
from dsql.sql.assigned_parts import (
    assigned_part,
    is_part_assigned,
    merged_parts,
    names_parts,
    part_column,
)
from dsql.sql.bound import DefaultValue, Expression
from dsql.sql.bound_query import (
    ConstantRows,
    Delete,
    EntryColumn,
    FromEntry,
    FromItem,
    Insert,
    Modifying,
    Query,
    TableEntry,
    Target,
    Update,
    ValuesEntry,
    ValuesRow,
)
from dsql.sql.bulk import assigned_rows
from dsql.sql.calls import clause
from dsql.sql.columns import (
    Stored,
    bind_default,
    bind_index_expressions,
    bind_row_expressions,
)
from dsql.sql.composites import row_fields
from dsql.sql.ctes import bind_with
from dsql.sql.destination import Destination, bind_destination, find_column, show_row
from dsql.sql.expressions import bind_boolean, bind_expression
from dsql.sql.from_clause import bind_from
from dsql.sql.operators import subquery_fields
from dsql.sql.query import bind_query
from dsql.sql.scope import Scope
from dsql.sql.set_operations import wrapped
from dsql.sql.targets import bind_targets
from dsql.sql.tree import position_of
from dsql.sql.tree_query import rows_of
from dsql.sql.values import is_plain_values, spread_rows, uneven_row
from dsql.types import oids

Assignment = tuple[int, Expression]


def bind_modification(scope: Scope, tree: exp.Expression) -> Modifying:
    """Bind a data-modifying statement in a fresh scope."""
    if isinstance(tree, exp.Merge):
        from dsql.sql.merge import bind_merge

        return bind_merge(scope, tree)
    if tree.args.get("with_") is not None:
        bind_with(scope, tree.args["with_"])
    if isinstance(tree, exp.Insert):
        return _insert(scope, tree)
    if isinstance(tree, exp.Update):
        return _update(scope, tree)
    assert isinstance(tree, exp.Delete)
    return _delete(scope, tree)


def _assignable_column(destination: Destination, tree: exp.Expression) -> Column:
    """Return the column that SET names. Raises SqlError 42703, 0A000 for a system column."""
    name, position = tree.this.args["this"], position_of(tree)
    if name in SYSTEM_COLUMN_NUMBERS and not destination.layers:
        message = f'cannot assign to system column "{name}"'
        raise SqlError("0A000", message, position=position)
    return find_column(destination, name, position)


def _returning(scope: Scope, tree: exp.Expression) -> list[Target] | None:
    returning = tree.args.get("returning")
    if returning is None:
        return None
    with clause(scope, "RETURNING"):
        pairs = bind_targets(scope, returning.expressions)
    for _, target in pairs:
        target.expression = coercion.known(scope.binding, target.expression)
    return [target for _, target in pairs]


# ---------------------------------------------------------------- INSERT


def _insert(scope: Scope, tree: exp.Insert) -> Insert:
    binding = scope.binding
    destination = bind_destination(
        scope, tree.this, Privilege.INSERT, tree.args.get("columns") or ()
    )
    table = destination.table
    columns = insert_columns(destination, tree)
    source, columns = _source(scope, destination, tree, columns)
    if names_parts(tree):
        source, columns = merged_parts(scope, destination, source, columns, tree)
    destination.use.inserted.update(column.number for column in columns)
    numbers = column_numbers(destination, columns)
    scope.items = [show_row(scope, destination, alias_of(tree.this))]
    conflict = tree.args.get("conflict")
    on_conflict = None
    if conflict is not None:
        from dsql.sql.on_conflict import bind_on_conflict

        on_conflict = bind_on_conflict(scope, destination, conflict)
    stored = bind_row_expressions(binding, table)
    returning = _returning(scope, tree)
    destination.pass_on()
    return Insert(
        table=table,
        range_table=scope.range_table,
        column_numbers=numbers,
        source=source,
        defaults=missing_defaults(scope, destination, _given(tree, columns, numbers)),
        generated=stored.generated,
        checks=stored.checks,
        index_expressions=stored.index_expressions,
        index_predicates=stored.index_predicates,
        returning=returning,
        on_conflict=on_conflict,
        ctes=scope.ctes,
        layers=destination.layers,
        watched=watched_keys(table, scope.binding.catalog),
    )


def _given(tree: exp.Insert, columns: Sequence[Column], numbers: Sequence[int]) -> set[int]:
    """Return the numbers of the columns whose values a query gives: OVERRIDING USER VALUE drops some."""
    query = tree.args.get("expression")
    drops = tree.args.get("override") == "user" and query is not None and not is_plain_values(query)
    pairs = zip(columns, numbers, strict=True)
    return {number for column, number in pairs if not (drops and column.identity)}


def column_numbers(destination: Destination, columns: Sequence[Column]) -> list[int]:
    """Return the numbers in the table of what INSERT gives. Raises SqlError 0A000, 42601 for one twice."""
    numbers: list[int] = []
    for column in columns:
        number = destination.number(column, "insert into")
        if number in numbers:
            raise _assigned_twice(destination.table.columns[number - 1])
        numbers.append(number)
    return numbers


def _assigned_twice(column: Column) -> SqlError:
    return SqlError("42601", f'multiple assignments to same column "{column.name}"')


def alias_of(tree: exp.Expression) -> str:
    """Return the alias of a Table, "" for none."""
    alias = tree.args.get("alias")
    return "" if alias is None else str(alias.this.args["this"])


def missing_defaults(scope: Scope, destination: Destination, given: set[int]) -> list[Assignment]:
    """Return the defaults of the columns that are not given: a view's own come before the table's."""
    columns = {column.number: column for column in destination.table.live_columns}
    for column in destination.columns() if destination.layers else ():
        if destination.named.columns[column.number - 1].default is not None:
            columns[destination.number(column, "insert into")] = destination.stored(column)
    defaults = []
    for number, column in columns.items():
        if number not in given:
            default = bind_default(scope.binding, destination.table, column)
            if default is not None:
                defaults.append((number, default))
    return defaults


def insert_columns(destination: Destination, tree: exp.Insert) -> list[Column]:
    """Return the columns that an INSERT names, all for none. Raises SqlError 42701, 42703, 42804.

    Where a part of a column is named, it is a column of the part's type.
    """
    written = tree.args.get("columns")
    if not written:
        return destination.columns()
    columns: list[Column] = []
    for item in written:
        name = item.this.args["this"]
        column = find_column(destination, name, position_of(item))
        part = item.args.get("subscripts")
        if column in columns or (not part and column.number in [each.number for each in columns]):
            raise SqlError(
                "42701",
                f'column "{name}" specified more than once',
                position=position_of(item),
            )
        columns.append(part_column(column, item) if part else column)
    return columns


def _source(
    scope: Scope, destination: Destination, tree: exp.Insert, columns: list[Column]
) -> tuple[Query, list[Column]]:
    """Bind what is inserted; return it with the columns that it really gives values for."""
    query = tree.args.get("expression")
    if query is None:
        return Query(), []
    override = tree.args.get("override")
    if is_plain_values(query):
        return _values_source(scope, destination, tree, query, columns, override)
    source = bind_query(scope.child(), query, settle=False)
    visible = [target for target in source.targets if not target.junk]
    values = [target.expression for target in visible]
    columns = fitting_columns(tree, columns, values)
    for column in columns:
        if not (override == "user" and column.identity):
            _check_writable(column, None, override)
    return _assigned_query(scope, source, columns), columns


def fitting_columns(
    tree: exp.Insert, columns: list[Column], values: Sequence[Expression]
) -> list[Column]:
    """Return the columns that the values go to. Raises SqlError 42601."""
    count = len(values)
    if count > len(columns):
        raise SqlError(
            "42601",
            "INSERT has more expressions than target columns",
            position=values[len(columns)].position,
        )
    written = tree.args.get("columns")
    if count < len(columns) and written:
        raise SqlError(
            "42601",
            "INSERT has more target columns than expressions",
            position=position_of(written[count]),
        )
    return columns[:count]


def _assigned_query(scope: Scope, source: Query, columns: list[Column]) -> Query:
    """Return a query whose output has the columns' types and typmods."""
    binding = scope.binding
    targets = [target for target in source.targets if not target.junk]
    fits = all(
        target.expression.type_oid == column.type_oid
        and (column.typmod < 0 or target.expression.typmod == column.typmod)
        for target, column in zip(targets, columns, strict=True)
    )
    if fits:
        return source
    plain = (
        source.set_operation is None
        and not source.order_by
        and source.distinct_on is None
        and not any(isinstance(entry, ValuesEntry) for entry in source.range_table)
    )
    if not plain:
        unknown = [t for t in targets if t.expression.type_oid == oids.UNKNOWN]
        for target in unknown:
            target.expression = coercion.known(binding, target.expression)
        source = wrapped(source)
        targets = source.targets
    for target, column in zip(targets, columns, strict=True):
        target.expression = coercion.assign(
            binding, target.expression, column.type_oid, column.typmod, column.name
        )
    return source


def _values_source(
    scope: Scope,
    destination: Destination,
    tree: exp.Insert,
    values: exp.Expression,
    columns: list[Column],
    override: str | None,
) -> tuple[Query, list[Column]]:
    """Bind VALUES row by row, each cell straight to its column's type; DEFAULT is the column's."""
    inner = scope.child()
    constants = values.args.get("constants")
    if constants is not None and override is None and constants.width == len(columns):
        in_bulk = assigned_rows(scope.binding, constants, columns)
        if in_bulk is not None:
            return _values_as_query(inner, in_bulk, columns), columns
    spread = spread_rows(rows_of(values))
    rows: list[list[Expression]] = []
    width = len(spread.trees[0].expressions)
    for row_tree in spread.trees:
        if len(row_tree.expressions) != width:
            raise uneven_row(row_tree)
        rows.append(cells(inner, row_tree.expressions))
    columns = fitting_columns(tree, columns, rows[0])
    done = [
        [
            assigned_cell(scope, destination, column, value, override)
            for column, value in zip(columns, row, strict=True)
        ]
        for row in rows
    ]
    if len(done) == 1:
        targets = [
            Target(column.name, value) for column, value in zip(columns, done[0], strict=True)
        ]
        return Query(targets=targets), columns
    return _values_as_query(inner, spread.rows(done), columns), columns


def _values_as_query(
    inner: Scope, rows: list[ValuesRow] | ConstantRows, columns: list[Column]
) -> Query:
    entry_columns = [EntryColumn(c.name, c.type_oid, c.typmod) for c in columns]
    entry = ValuesEntry(alias="*VALUES*", columns=entry_columns, rows=rows)
    item = inner.add_item(entry)
    targets = [Target(column.name, column.expression) for column in item.columns]
    return Query(range_table=inner.range_table, from_items=[FromEntry(0)], targets=targets)


def cells(scope: Scope, trees: Sequence[exp.Expression]) -> list[Expression]:
    """Bind a row of VALUES, in which DEFAULT may stand."""
    with clause(scope, "VALUES"):
        return _cells_in_place(scope, trees)


def assigned_cell(
    scope: Scope, destination: Destination, column: Column, value: Expression, override: str | None
) -> Expression:
    """Return a cell of VALUES as its column takes it. Raises SqlError 428C9, 42804."""
    if override == "user" and column.identity:
        value = DefaultValue(type_oid=oids.UNKNOWN)
    _check_writable(column, value, override)
    if isinstance(value, DefaultValue) and column not in destination.columns():
        raise SqlError("0A000", "cannot set an array element to DEFAULT", position=value.position)
    if isinstance(value, DefaultValue):
        return default_of(scope, destination, column)
    return coercion.assign(scope.binding, value, column.type_oid, column.typmod, column.name)


def default_of(scope: Scope, destination: Destination, column: Column) -> Expression:
    """Return what DEFAULT means for a column; NULL (a DefaultValue) if it has none."""
    default = bind_default(scope.binding, destination.table, destination.stored(column))
    if default is not None:
        return default
    return DefaultValue(type_oid=column.type_oid, typmod=column.typmod)


def _check_writable(column: Column, value: Expression | None, override: str | None) -> None:
    """Refuse explicit values for generated and ALWAYS identity columns (428C9)."""
    if isinstance(value, DefaultValue):
        return
    if column.generated:
        raise SqlError(
            "428C9",
            f'cannot insert a non-DEFAULT value into column "{column.name}"',
            detail=f'Column "{column.name}" is a generated column.',
        )
    if column.identity == "a" and override != "system":
        raise SqlError(
            "428C9",
            f'cannot insert a non-DEFAULT value into column "{column.name}"',
            detail=f'Column "{column.name}" is an identity column defined as GENERATED ALWAYS.',
            hint="Use OVERRIDING SYSTEM VALUE to override.",
        )


# ---------------------------------------------------------------- SET


def bind_assignments(
    scope: Scope, destination: Destination, trees: Sequence[exp.Expression]
) -> list[Assignment]:
    """Bind the SET list of UPDATE or ON CONFLICT DO UPDATE, to columns of the table."""
    assignments: list[Assignment] = []
    names: dict[int, int] = {}  # by column of the table the one of what is named
    for tree in trees:
        left, right = tree.args["this"], tree.args["expression"]
        columns = left.expressions if isinstance(left, exp.Tuple) else [left]
        if isinstance(left, exp.Tuple):
            values = _row_values(scope, right, len(columns), position_of(tree))
        else:
            values = _cells_in_place(scope, [right])
        for column_tree, value in zip(columns, values, strict=True):
            column = _assignable_column(destination, column_tree)
            destination.use.update(column.number)
            stored = destination.number(column, "update")
            before = next((item for item in assignments if item[0] == stored), None)
            if column_tree.args.get("subscripts"):
                value = assigned_part(
                    scope, column, stored, column_tree, value, before and before[1]
                )
            if before is not None:
                if not is_part_assigned(before[1]) or not is_part_assigned(value):
                    is_same = names.get(stored) == column.number
                    below = destination.table.columns[stored - 1]
                    raise _assigned_twice(column if is_same else below)
                assignments.remove(before)
            names[stored] = column.number
            value = _assigned(scope, destination, destination.reset(column), value)
            assignments.append((stored, value))
    return assignments


def _cells_in_place(scope: Scope, trees: Sequence[exp.Expression]) -> list[Expression]:
    cells = []
    for tree in trees:
        scope.default_allowed = isinstance(tree, exp.Var)
        cells.append(bind_expression(scope, tree))
    scope.default_allowed = False
    return cells


def _row_values(scope: Scope, tree: exp.Expression, count: int, position: int) -> list[Expression]:
    """Bind the right side of (a, b) = ...: a row of values or a query of one row."""
    if isinstance(tree, exp.Subquery):
        return _query_values(scope, tree, count, position)
    if not isinstance(tree, exp.Tuple):
        raise unsupported(
            "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression",
            position=position_of(tree),
        )
    if any(isinstance(part, exp.Var) and part.this == "DEFAULT" for part in tree.expressions):
        values = _cells_in_place(scope, tree.expressions)
    else:
        values = row_fields(scope, tree)
    if len(values) != count:
        raise SqlError(
            "42601",
            "number of columns does not match number of values",
            position=position,
        )
    return values


def _query_values(scope: Scope, tree: exp.Subquery, count: int, position: int) -> list[Expression]:
    try:
        return subquery_fields(scope, tree.this, count, position)
    except SqlError as error:
        if error.message.startswith("subquery has too"):
            raise SqlError(
                "42601", "number of columns does not match number of values", position=position
            ) from None
        raise


def _assigned(
    scope: Scope, destination: Destination, column: Column, value: Expression
) -> Expression:
    is_computed = column.generated or column.identity == "a"
    # DEFAULT of a view's column is not that of the table's: without a default of its own it is NULL.
    if isinstance(value, DefaultValue) and not (is_computed and destination.layers):
        return default_of(scope, destination, column)
    if is_computed:
        kind = (
            "a generated column"
            if column.generated
            else "an identity column defined as GENERATED ALWAYS"
        )
        raise SqlError(
            "428C9",
            f'column "{column.name}" can only be updated to DEFAULT',
            detail=f'Column "{column.name}" is {kind}.',
        )
    return coercion.assign(scope.binding, value, column.type_oid, column.typmod, column.name)


# ---------------------------------------------------------------- UPDATE and DELETE


def show_indexes(scope: Scope, stored: Stored) -> None:
    """Let the planner know the target's indexes on expressions, and the partial ones."""
    target = scope.range_table[0]
    assert isinstance(target, TableEntry)
    target.index_expressions = stored.index_expressions
    target.index_predicates = stored.index_predicates


def _where(scope: Scope, tree: exp.Expression) -> Expression | None:
    where = tree.args.get("where")
    if where is None:
        return None
    with clause(scope, "WHERE"):
        return bind_boolean(scope, where.this, "WHERE")


def _joined(scope: Scope, tree: exp.Expression | None) -> list[FromItem]:
    """Bind FROM or USING beside the target, which no LATERAL item may see."""
    if tree is None:
        return []
    assert isinstance(tree, exp.From)
    targets = list(scope.items)
    for item in targets:
        item.is_target, item.lateral_ok = True, False
    joined = bind_from(scope, tree)
    for item in targets:
        item.lateral_ok = True
    return joined


def _update(scope: Scope, tree: exp.Update) -> Update:
    destination = bind_destination(scope, tree.this, Privilege.UPDATE)
    table = destination.table
    scope.items = [show_row(scope, destination, alias_of(tree.this))]
    from_items = _joined(scope, tree.args.get("from_"))
    with clause(scope, "UPDATE"):
        assignments = bind_assignments(scope, destination, tree.expressions)
    where = _where(scope, tree)
    returning = _returning(scope, tree)
    destination.pass_on()
    stored = bind_row_expressions(scope.binding, table)
    show_indexes(scope, stored)
    return Update(
        table=table,
        range_table=scope.range_table,
        from_items=from_items,
        where=where,
        assignments=without_generated(table, assignments),
        generated=stored.generated,
        checks=stored.checks,
        index_expressions=stored.index_expressions,
        index_predicates=stored.index_predicates,
        returning=returning,
        ctes=scope.ctes,
        layers=destination.layers,
        watched=watched_keys(table, scope.binding.catalog),
    )


def without_generated(table: Table, assignments: list[Assignment]) -> list[Assignment]:
    """SET generated = DEFAULT is allowed and changes nothing: it is computed anyway."""
    generated = {column.number for column in table.columns if column.generated}
    return [one for one in assignments if one[0] not in generated]


def _delete(scope: Scope, tree: exp.Delete) -> Delete:
    destination = bind_destination(scope, tree.this, Privilege.DELETE)
    table = destination.table
    scope.items = [show_row(scope, destination, alias_of(tree.this))]
    from_items = _joined(scope, tree.args.get("using"))
    where = _where(scope, tree)
    returning = _returning(scope, tree)
    destination.pass_on()
    stored = Stored()
    bind_index_expressions(scope.binding, table, stored)
    show_indexes(scope, stored)
    return Delete(
        table=table,
        range_table=scope.range_table,
        from_items=from_items,
        where=where,
        index_expressions=stored.index_expressions,
        index_predicates=stored.index_predicates,
        returning=returning,
        ctes=scope.ctes,
        layers=destination.layers,
        watched=watched_keys(table, scope.binding.catalog),
    )
