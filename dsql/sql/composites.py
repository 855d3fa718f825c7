"""Binds casts, COLLATE, rows, arrays and their parts."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from dsql.catalog.schema import Domain
from dsql.errors import SqlError
from dsql.functions.coercion import CastContext
from dsql.limits import TARGETS_MAX
from dsql.sql import coercion
from dsql.sql.alike import Spread
from dsql.sql.binding import type_name
from dsql.sql.bound import (
    ArrayConstructor,
    ArraySubquery,
    Call,
    ColumnRef,
    Constant,
    Expression,
    FieldSelect,
    RowConstructor,
    ScalarSubquery,
    Subscript,
)
from dsql.sql.bound_query import Entry, SubqueryEntry
from dsql.sql.bulk import array_as, constant_array
from dsql.sql.domains import coerce_to_domain, written_domain
from dsql.sql.expressions import BINDERS, bind_expression, bind_subquery, check_one_column
from dsql.sql.json_subscripts import jsonb_element
from dsql.sql.scope import Scope
from dsql.sql.tree import items_of, position_of
from dsql.sql.type_names import resolve_type
from dsql.types import oids, registry
from dsql.types.array import DIMENSIONS_MAX, too_many_dimensions

Tables = list[list[Entry]]  # range tables, that of the innermost query first

_COLLATABLE = frozenset({oids.TEXT, oids.VARCHAR, oids.BPCHAR, oids.NAME, oids.UNKNOWN})
_COLLATIONS = frozenset({"C", "POSIX", "default", "ucs_basic"})


def _cast(scope: Scope, tree: exp.Cast) -> Expression:
    domain = written_domain(scope.binding, tree.args["to"])
    if domain is not None:
        return _cast_to_domain(scope, tree, *domain)
    type_oid, typmod = resolve_type(tree.args["to"])
    element = registry.get(type_oid).element_oid if type_oid != oids.RECORD else 0
    if element and isinstance(tree.this, exp.Array) and "query" not in tree.this.args:
        argument = _array_literal(scope, tree.this, type_oid, element)
    else:
        argument = bind_expression(scope, tree.this)
    return coercion.cast_to(scope.binding, argument, type_oid, typmod, position=position_of(tree))


def _cast_to_domain(
    scope: Scope, tree: exp.Cast, domain: Domain, type_oid: int, of_elements: bool
) -> Expression:
    position = position_of(tree)
    argument = bind_expression(scope, tree.this)
    value = coercion.cast_to(scope.binding, argument, type_oid, domain.typmod, position=position)
    return coerce_to_domain(
        scope.binding, value, domain, of_elements=of_elements, position=position
    )


def _array_literal(scope: Scope, tree: exp.Array, type_oid: int, element: int) -> Expression:
    """ARRAY[...]::type[] takes its elements as that type from the start."""
    constants = tree.args.get("constants")
    in_bulk = constants and array_as(scope.binding, constants, type_oid, position_of(tree))
    if in_bulk:
        return in_bulk
    items = []
    spread = Spread(items_of(tree))
    nested = any(isinstance(item, exp.Array) for item in spread.trees)
    for item in spread.trees:
        if nested and isinstance(item, exp.Array):
            items.append(_array_literal(scope, item, type_oid, element))
            continue
        bound = bind_expression(scope, item)
        items.append(coercion.cast_to(scope.binding, bound, element, position=position_of(item)))
    return ArrayConstructor(
        type_oid=type_oid,
        elements=spread.items(items),
        multidimensional=nested,
        position=position_of(tree),
    )


def _collate(scope: Scope, tree: exp.Collate) -> Expression:
    argument = bind_expression(scope, tree.this)
    position = position_of(tree)
    if argument.type_oid not in _COLLATABLE:
        raise SqlError(
            "42804",
            f"collations are not supported by type {type_name(argument.type_oid)}",
            position=position,
        )
    name = tree.args["expression"].name
    if name not in _COLLATIONS:
        raise SqlError(
            "42704", f'collation "{name}" for encoding "UTF8" does not exist', position=position
        )
    return argument


def row_fields(scope: Scope, tree: exp.Tuple) -> list[Expression]:
    """Bind the fields of a row, t.* spelled out."""
    fields: list[Expression] = []
    for part in tree.expressions:
        if isinstance(part, exp.Column) and isinstance(part.this, exp.Star):
            bound = bind_expression(scope, part)
            fields.extend(bound.fields if isinstance(bound, RowConstructor) else [bound])
        else:
            fields.append(bind_expression(scope, part))
    if len(fields) > TARGETS_MAX:
        message = f"ROW expressions can have at most {TARGETS_MAX} entries"
        raise SqlError("54011", message, position=position_of(tree))
    return fields


def _row(scope: Scope, tree: exp.Tuple) -> Expression:
    written = row_fields(scope, tree)
    fields = [coercion.known(scope.binding, field) for field in written]
    names = [f"f{number}" for number in range(1, len(fields) + 1)]
    return RowConstructor(
        type_oid=oids.RECORD,
        fields=fields,
        names=names,
        literals={
            at: field
            for at, field in enumerate(written)
            if isinstance(field, Constant) and field.type_oid == oids.UNKNOWN
        },
        position=position_of(tree),
    )


def _array(scope: Scope, tree: exp.Array) -> Expression:
    position = position_of(tree)
    if "query" in tree.args:
        return _array_subquery(scope, tree)
    constants = tree.args.get("constants")
    in_bulk = constants and constant_array(scope.binding, constants, [], position)
    if in_bulk:
        return in_bulk
    spread = Spread(items_of(tree))
    if not spread.trees:
        raise SqlError(
            "42P18",
            "cannot determine type of empty array",
            hint="Explicitly cast to the desired type, for example ARRAY[]::integer[].",
            position=position,
        )
    elements = [bind_expression(scope, item) for item in spread.trees]
    done, element_oid, _ = coercion.unify(scope.binding, elements, "ARRAY")
    done = spread.items(done)
    element = registry.get(element_oid)
    if element.element_oid and not element.array_oid:  # elements that are arrays, but no vectors
        return ArrayConstructor(
            type_oid=element_oid, elements=done, multidimensional=True, position=position
        )
    return ArrayConstructor(
        type_oid=array_of(element_oid, position), elements=done, position=position
    )


def _array_subquery(scope: Scope, tree: exp.Array) -> Expression:
    query = bind_subquery(scope, tree.args["query"])
    position = position_of(tree)
    check_one_column(query, position)
    element = query.targets[0].expression.type_oid
    return ArraySubquery(type_oid=array_of(element, position), query=query, position=position)


def array_of(element_oid: int, position: int) -> int:
    """Return the OID of the array type over an element type. Raises SqlError 42704."""
    kind = registry.get(element_oid)
    if kind.array_oid:
        return kind.array_oid
    if kind.element_oid:
        return element_oid
    raise SqlError(
        "42704",
        f"could not find array type for data type {kind.sql_name}",
        position=position,
    )


def _bracket(scope: Scope, tree: exp.Bracket) -> Expression:
    array = bind_expression(scope, tree.this)
    if array.type_oid == oids.JSONB:
        return jsonb_element(scope, array, tree.expressions, position_of(tree))
    element = registry.get(array.type_oid).element_oid
    position = position_of(tree)
    if not element:
        raise SqlError(
            "42804",
            f"cannot subscript type {type_name(array.type_oid)} because it does not "
            "support subscripting",
            position=position,
        )
    if len(tree.expressions) > DIMENSIONS_MAX:
        raise too_many_dimensions(len(tree.expressions))
    if not any(isinstance(index, exp.Slice) for index in tree.expressions):
        indexes = [subscript_index(scope, index) for index in tree.expressions]
        return Subscript(type_oid=element, array=array, indexes=indexes, position=position)
    low, high = slice_bounds(scope, tree.expressions)
    return Subscript(
        type_oid=array_of(element, position),
        array=array,
        indexes=low,
        slice=True,
        upper=high,
        position=position,
    )


def slice_bounds(
    scope: Scope, trees: Sequence[exp.Expression]
) -> tuple[list[Expression | None], list[Expression | None]]:
    """Return the lower and the upper bounds of a slice, None for one that is not written."""
    low: list[Expression | None] = []
    high: list[Expression | None] = []
    for index in trees:
        if isinstance(index, exp.Slice):
            lower, upper = index.args.get("this"), index.args.get("expression")
            low.append(None if lower is None else subscript_index(scope, lower))
        else:
            upper = index
            low.append(Constant(type_oid=oids.INT4, value=1))  # a[2:3][4] means a[2:3][1:4]
        high.append(None if upper is None else subscript_index(scope, upper))
    return low, high


def subscript_index(scope: Scope, tree: exp.Expression) -> Expression:
    """Bind a subscript of an array. Raises SqlError 42804."""
    index = bind_expression(scope, tree)
    done = coercion.coerce(scope.binding, index, oids.INT4, CastContext.ASSIGNMENT)
    if done is None:
        raise SqlError(
            "42804", "array subscript must have type integer", position=position_of(tree)
        )
    return done


def record_columns(scope: Scope, expression: Expression) -> list[tuple[str, int]] | None:
    """Return (name, type OID) of a composite value's fields, None if they are not known."""
    return fields_of(expression, scope.range_tables())


def fields_of(expression: Expression, tables: Tables) -> list[tuple[str, int]] | None:
    """Return the fields of a value under the range tables of its query and of those around it."""
    if isinstance(expression, ColumnRef):
        return _fields_of_column(expression, tables[expression.levels_up :])
    if isinstance(expression, RowConstructor):
        return [
            (name, field.type_oid)
            for name, field in zip(expression.names, expression.fields, strict=True)
        ]
    if isinstance(expression, Call) and expression.function.columns:
        return list(expression.function.columns)
    if isinstance(expression, ScalarSubquery):
        query = expression.query
        return fields_of(query.targets[0].expression, [query.range_table, *tables])
    return _fields_of_type(expression)


def _fields_of_type(expression: Expression) -> list[tuple[str, int]] | None:
    kind = registry.get(expression.type_oid)
    return [(name, oid) for name, oid, _ in kind.fields] if kind.kind == "c" else None


def _fields_of_column(column: ColumnRef, tables: Tables) -> list[tuple[str, int]] | None:
    """Return the fields of what a sub-query in FROM has computed."""
    own = tables[0] if tables else []
    entry = own[column.entry] if column.entry < len(own) else None
    if not isinstance(entry, SubqueryEntry) or column.type_oid != oids.RECORD:
        return _fields_of_type(column)
    query = entry.query
    return fields_of(query.targets[column.column].expression, [query.range_table, *tables])


def select_field(record: Expression, index: int, type_oid: int, position: int) -> Expression:
    """Return one field of a composite value."""
    if isinstance(record, RowConstructor):
        return record.fields[index]
    return FieldSelect(type_oid=type_oid, record=record, index=index, position=position)


def _dot(scope: Scope, tree: exp.Dot) -> Expression:
    record = bind_expression(scope, tree.this)
    position = position_of(tree)
    if not isinstance(tree.expression, exp.Identifier):
        raise SqlError("42601", "row expansion via * is not supported here", position=position)
    name = tree.expression.this
    columns = record_columns(scope, record) or []
    for index, (column, type_oid) in enumerate(columns):
        if column == name:
            return select_field(record, index, type_oid, position)
    raise _no_field(record, name, position)


def _no_field(record: Expression, name: str, position: int) -> SqlError:
    if record.type_oid == oids.RECORD:
        message = f'could not identify column "{name}" in record data type'
        return SqlError("42703", message, position=position)
    kind = type_name(record.type_oid)
    if registry.is_composite(record.type_oid):
        message = f'column "{name}" not found in data type {kind}'
        return SqlError("42703", message, position=position)
    message = f"column notation .{name} applied to type {kind}, which is not a composite type"
    return SqlError("42809", message, position=position)


BINDERS.update(
    {
        exp.Cast: _cast,
        exp.Collate: _collate,
        exp.Tuple: _row,
        exp.Array: _array,
        exp.Bracket: _bracket,
        exp.Dot: _dot,
    }
)
