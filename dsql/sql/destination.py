"""What INSERT, UPDATE and DELETE write: a table, named itself or through updatable views over it.

A statement about a view becomes one about the table below (PostgreSQL's rewriteTargetView): its names mean
the view's columns, which stand for expressions over the table's row; the views' conditions choose its rows
as well, and check new ones where they have a CHECK OPTION. Each view's owner needs on what that is over the
rights that the statement needs on the view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace
from sqlglot import exp

from dsql.access.privileges import Privilege
from dsql.catalog.schema import Column, Table
from dsql.errors import SqlError
from dsql.sql.bound import ColumnRef
from dsql.sql.bound_query import (
    Entry,
    EntryColumn,
    SubqueryEntry,
    TableEntry,
    ViewLayer,
)
from dsql.sql.columns import row_entry
from dsql.sql.query_names import visible
from dsql.sql.relations import find_relation
from dsql.sql.scope import Item, Scope, entry_item
from dsql.sql.tree import position_of
from dsql.sql.updatable import why_not_assignable, why_not_updatable
from dsql.sql.uses import Use
from dsql.sql.views import bind_view, view_option

_VERBS = {"INSERT": "insert into", "UPDATE": "update", "DELETE": "delete from"}
_DOING = {"INSERT": "inserting into", "UPDATE": "updating", "DELETE": "deleting from"}


@dataclass(slots=True, eq=False)
class Destination:
    """`table` has the rows; `named`, what the statement names, is itself or the first of `layers`.

    `use` is that of `named`; `below`, of what each layer is over.
    """

    named: Table
    table: Table
    use: Use
    layers: list[ViewLayer] = field(default_factory=list)
    below: list[Use] = field(default_factory=list)

    def number(self, column: Column, verb: str) -> int:
        """Return the number in the table of a column of what is named.

        Raises SqlError 0A000 for one that cannot be assigned; `verb`: "insert into", "update".
        """
        number = column.number
        for layer in self.layers:
            target = visible(layer.query)[number - 1]
            why_not = why_not_assignable(target)
            if why_not:
                name = layer.view.columns[number - 1].name
                message = f'cannot {verb} column "{name}" of view "{layer.view.name}"'
                raise SqlError("0A000", message, detail=why_not)
            number = _number_below(layer, target.expression)
        return number

    def columns(self) -> list[Column]:
        """Return the columns of what is named; a view's are as the table's but for name and default."""
        return [self._as_stored(column) for column in self.named.live_columns]

    def _as_stored(self, column: Column) -> Column:
        if not self.layers:
            return column
        number, default = column.number, column.default
        for layer in self.layers:
            target = visible(layer.query)[number - 1]
            if why_not_assignable(target):
                return column
            default = default or layer.view.columns[number - 1].default
            number = _number_below(layer, target.expression)
        stored = self.table.columns[number - 1]
        default = default or stored.default
        return replace(stored, name=column.name, number=column.number, default=default)

    def stored(self, column: Column) -> Column:
        """Return a column of what is named with its number in the table; a view's default is its own."""
        if not self.layers:
            return column
        has_default = self.named.columns[column.number - 1].default is not None
        identity = "" if has_default else column.identity
        return replace(column, number=self.arbiter(column), identity=identity)

    def reset(self, column: Column) -> Column:
        """Return a column as SET column = DEFAULT takes it: of a view that means the view's own default."""
        if not self.layers:
            return column
        identity = "a" if column.identity == "a" else ""
        default = self.named.columns[column.number - 1].default
        return replace(column, default=default, identity=identity)

    def arbiter(self, column: Column) -> int:
        """Return the number in the table of a key of ON CONFLICT, 0 for what is no column there."""
        try:
            return column.number if column.number < 0 else self.number(column, "")
        except SqlError:
            return 0

    def pass_on(self) -> None:
        """Have the views' owners need what the statement, bound by now, needs on what it names."""
        for use in self.below:
            use.privileges = self.use.privileges
        for layer, above, use in zip(
            self.layers, (self.use, *self.below), self.below, strict=False
        ):
            for numbers, passed in ((above.inserted, use.inserted), (above.updated, use.updated)):
                for number in numbers:
                    target = visible(layer.query)[number - 1]
                    passed.add(_number_below(layer, target.expression))


def find_column(destination: Destination, name: str, position: int) -> Column:
    """Return a column of what is written, by name. Raises SqlError 42703."""
    for column in destination.columns():
        if column.name == name:
            return column
    raise SqlError(
        "42703",
        f'column "{name}" of relation "{destination.named.name}" does not exist',
        position=position,
    )


def _number_below(layer: ViewLayer, expression: object) -> int:
    assert isinstance(expression, ColumnRef), "what can be assigned is a column"
    return layer.query.range_table[expression.entry].columns[expression.column].number


def bind_destination(
    scope: Scope,
    tree: exp.Expression,
    privilege: Privilege,
    written: Sequence[exp.Expression] = (),
) -> Destination:
    """Return what a statement writes; `written` are the columns that INSERT names.

    Raises SqlError 42P01, 42809, 42501, and for a view 42703 and then 55000.
    """
    relation = find_relation(scope, tree)
    name = relation.name
    if not isinstance(relation, Table):
        raise SqlError("42501", f"permission denied for table {name}")
    if relation.kind == "S":
        raise SqlError("42809", f'cannot change sequence "{name}"')
    if relation.kind == "m" and scope.binding.authority is not None:  # None: the server fills it
        raise SqlError("42809", f'cannot change materialized view "{name}"')
    use = scope.binding.use(relation, privilege, scope.depth)
    destination = Destination(relation, relation, use)
    if relation.kind != "v":
        return destination
    for column in written:
        find_column(destination, column.this.args["this"], position_of(column))
    entry: Entry = SubqueryEntry(
        alias=name, columns=[], query=bind_view(scope.binding, relation), view=relation
    )
    checks_below = False
    while isinstance(entry, SubqueryEntry) and entry.view is not None:
        _refuse(entry, privilege)
        option = dict(entry.view.options).get("check_option", "").lower()
        checks_below = checks_below or option == "cascaded"
        is_barrier = view_option(entry.view, "security_barrier")
        is_checked = checks_below or option == "local"
        destination.layers.append(ViewLayer(entry.view, entry.query, is_checked, is_barrier))
        entry = entry.query.range_table[0]
        if entry.use is not None:
            destination.below.append(entry.use)
    if not isinstance(entry, TableEntry):
        raise SqlError("42501", f"permission denied for table {entry.alias}")
    destination.table = entry.table
    return destination


def _refuse(entry: SubqueryEntry, privilege: Privilege) -> None:
    assert entry.view is not None
    action = str(privilege.name)
    why_not = why_not_updatable(entry.query, needs_column=action != "DELETE")
    if why_not:
        raise SqlError(
            "55000",
            f'cannot {_VERBS[action]} view "{entry.view.name}"',
            detail=why_not,
            hint=f"To enable {_DOING[action]} the view, provide an INSTEAD OF {action} trigger "
            f"or an unconditional ON {action} DO INSTEAD rule.",
        )


def show_row(scope: Scope, destination: Destination, alias: str, use: Use | None = None) -> Item:
    """Enter a row of the destination into the range table; return the item that shows it.

    The row of a table is one entry; that of a view another one, behind that of the table.
    """
    named, schema = destination.named, "" if alias else destination.named.schema
    if not destination.layers:
        entry: Entry = row_entry(named, alias, use or destination.use)
        return entry_item(entry, scope.add_entry(entry), schema)
    if not scope.range_table:
        scope.add_entry(row_entry(destination.table))
    columns = [
        EntryColumn(column.name, column.type_oid, column.typmod, named.oid, column.number)
        for column in named.live_columns
    ]
    query = destination.layers[0].query
    entry = SubqueryEntry(
        alias=alias or named.name,
        columns=columns,
        query=query,
        view=named,
        use=use or destination.use,
    )
    return entry_item(entry, scope.add_entry(entry), schema)
