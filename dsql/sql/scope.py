"""Names: which columns and tables a place in a statement can see.

A `Scope` is one query level. Its items are the members of FROM in order; each offers columns, and each
column is an expression: a `ColumnRef`, or for the merged columns of USING whatever the join made of them.
A lookup goes from the innermost query outwards and stops at the first level that has the name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from dsql.catalog.schema import SYSTEM_COLUMN_NUMBERS, Table
from dsql.errors import SqlError
from dsql.functions.row_version import ROW_VERSION
from dsql.sql.binding import Binding
from dsql.sql.bound import Call, ColumnRef, Constant, Expression, RowConstructor, WindowCall
from dsql.sql.bound_query import Cte, Entry, FunctionEntry, TableEntry, VirtualEntry
from dsql.sql.walk import nodes, raised
from dsql.types import oids


@dataclass(slots=True)
class ItemColumn:
    """A column of a FROM item: its name there, and what it stands for."""

    name: str
    expression: Expression
    hidden: bool = False


@dataclass(slots=True)
class Item:
    """A FROM item as names see it.

    `alias` None: a join without a name. `relation_visible`: its name may qualify a column;
    `columns_visible`: its columns resolve without one. `lateral_only`: it may be used in LATERAL
    places only, and not even there unless `lateral_ok`. `is_target`: it is what the statement changes.
    `of_function`: it is a function's query.
    """

    alias: str | None
    columns: list[ItemColumn]
    entry: int = -1  # index in the range table, -1 for a join
    schema: str = ""
    relation_visible: bool = True
    columns_visible: bool = True
    lateral_only: bool = False
    lateral_ok: bool = True
    is_target: bool = False
    of_function: bool = False


@dataclass(slots=True)
class Scope:
    """One query level of a statement."""

    binding: Binding
    parent: Scope | None = None
    range_table: list[Entry] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    ctes: list[Cte] = field(default_factory=list)
    visible_ctes: dict[str, int] = field(default_factory=dict)
    later_ctes: set[str] = field(default_factory=set)  # all names of this WITH, for a hint
    windows: dict[str, Any] = field(default_factory=dict)
    clause: str = ""
    aggregated: bool = False
    window_calls: list[WindowCall] = field(default_factory=list)
    default_allowed: bool = False
    last_set: int = 0  # where the last set-returning function of this level stands

    def child(self) -> Scope:
        """Return the scope of a query inside this one."""
        return Scope(self.binding, parent=self)

    def outer(self, levels: int) -> Scope:
        """Return the scope so many queries further out."""
        scope: Scope = self
        for _ in range(levels):
            assert scope.parent is not None
            scope = scope.parent
        return scope

    @property
    def depth(self) -> int:
        """How many queries this one is in."""
        return 0 if self.parent is None else self.parent.depth + 1

    # ------------------------------------------------------------ columns

    def read(self, expression: Expression) -> None:
        """Note that the columns of this level that an item's column stands for are read."""
        if isinstance(expression, ColumnRef):
            self._read_column(expression)
            return
        for node, _ in nodes(expression):
            if isinstance(node, ColumnRef):
                self._read_column(node)

    def _read_column(self, column: ColumnRef) -> None:
        if column.entry < len(self.range_table):  # else the output of a set operation
            entry = self.range_table[column.entry]
            if entry.use is not None:
                entry.use.read(entry.columns[column.column].number)

    def column(self, name: str, position: int) -> Expression:
        """Resolve an unqualified column. Raises SqlError 42703, 42702."""
        found = self.find_column(name, position)
        if found is None:
            raise self.missing_column(name, position)
        return found

    def find_column(self, name: str, position: int, *, outward: bool = True) -> Expression | None:
        """Return what an unqualified column name stands for, None if there is no such column."""
        levels = 0
        scope: Scope | None = self
        while scope is not None:
            found = scope._own_column(name, position)
            if found is None and name in SYSTEM_COLUMN_NUMBERS:
                found = scope._own_system_column(name, position)
            if found is not None:
                scope.read(found)
                return _placed(raised(found, levels), position)
            if not outward:
                return None
            scope = scope.parent
            levels += 1
        return None

    def _own_column(self, name: str, position: int) -> Expression | None:
        match: Expression | None = None
        for item in self.items:
            if not item.columns_visible:
                continue
            for column in item.columns:
                if column.name == name and not column.hidden:
                    if match is not None:
                        raise SqlError(
                            "42702", f'column reference "{name}" is ambiguous', position=position
                        )
                    _check_lateral(item, position)
                    match = column.expression
        return match

    def _own_system_column(self, name: str, position: int) -> Expression | None:
        for item in self.items:
            if item.columns_visible:
                found = system_column(self, item, 0, name, position)
                if found is not None:
                    return found
        return None

    def qualified_column(
        self, schema: str, table: str, name: str, position: int
    ) -> Expression | None:
        """Resolve table.column; None if the table has no such column. Raises 42P01 for no table."""
        item, levels = self.find_item(schema, table, position)
        matches = [c for c in item.columns if c.name == name]
        if len(matches) > 1:
            raise SqlError("42702", f'column reference "{name}" is ambiguous', position=position)
        if matches:
            self.outer(levels).read(matches[0].expression)
            return _placed(raised(matches[0].expression, levels), position)
        return system_column(self, item, levels, name, position)

    def missing_column(self, name: str, position: int) -> SqlError:
        """Return the error of a column that nothing in sight has."""
        return SqlError("42703", f'column "{name}" does not exist', position=position)

    # ------------------------------------------------------------ tables

    def find_item(self, schema: str, table: str, position: int) -> tuple[Item, int]:
        """Return the FROM item of that name and how many queries out it is. Raises 42P01, 42P09."""
        levels = 0
        scope: Scope | None = self
        while scope is not None:
            found = scope._own_item(schema, table, position)
            if found is not None:
                return found, levels
            scope = scope.parent
            levels += 1
        raise self._missing_item(table, position)

    def has_item(self, table: str) -> bool:
        """Tell whether a FROM item of that name can be seen."""
        scope: Scope | None = self
        while scope is not None:
            if any(item.alias == table and item.relation_visible for item in scope.items):
                return True
            scope = scope.parent
        return False

    def _own_item(self, schema: str, table: str, position: int) -> Item | None:
        match: Item | None = None
        for item in self.items:
            if item.alias != table or not item.relation_visible:
                continue
            if schema and item.schema != schema:
                continue
            if match is not None:
                raise SqlError(
                    "42P09", f'table reference "{table}" is ambiguous', position=position
                )
            _check_lateral(item, position)
            match = item
        return match

    def _missing_item(self, table: str, position: int) -> SqlError:
        scope: Scope | None = self
        while scope is not None:
            for item in scope.items:
                entry = scope.range_table[item.entry] if item.entry >= 0 else None
                hidden_name = getattr(getattr(entry, "table", None), "name", "")
                if item.alias == table or hidden_name == table:
                    if item.alias == table:
                        hint = (
                            f'There is an entry for table "{table}", '
                            "but it cannot be referenced from this part of the query."
                        )
                    else:
                        hint = f'Perhaps you meant to reference the table alias "{item.alias}".'
                    return SqlError(
                        "42P01",
                        f'invalid reference to FROM-clause entry for table "{table}"',
                        hint=hint,
                        position=position,
                    )
            scope = scope.parent
        return SqlError(
            "42P01", f'missing FROM-clause entry for table "{table}"', position=position
        )

    # ------------------------------------------------------------ range table

    def range_tables(self) -> list[list[Entry]]:
        """Return the range tables of this query and of those around it, the innermost first."""
        return [self.range_table, *([] if self.parent is None else self.parent.range_tables())]

    def add_entry(self, entry: Entry) -> int:
        """Append an entry to the range table and return its index."""
        self.range_table.append(entry)
        return len(self.range_table) - 1

    def add_item(self, entry: Entry, *, schema: str = "") -> Item:
        """Add an entry with the FROM item that shows it."""
        index = self.add_entry(entry)
        item = entry_item(entry, index, schema)
        self.items.append(item)
        return item

    def find_cte(self, name: str) -> tuple[Cte, int, int] | None:
        """Return a WITH query of that name as (cte, index, levels up), None if there is none."""
        levels = 0
        scope: Scope | None = self
        while scope is not None:
            index = scope.visible_ctes.get(name)
            if index is not None:
                return scope.ctes[index], index, levels
            scope = scope.parent
            levels += 1
        return None

    def forbid(self, what: str, sqlstate: str, position: int) -> SqlError:
        """Return the error of a kind of call that this clause may not hold."""
        return SqlError(sqlstate, f"{what} are not allowed in {self.clause}", position=position)


@contextmanager
def without_sets(scope: Scope, message: str) -> Iterator[None]:
    """Refuse set-returning functions in what is bound inside, with `message`. Raises SqlError 0A000."""
    before = scope.last_set
    yield
    if scope.last_set != before:
        raise SqlError(
            "0A000",
            message,
            hint="You might be able to move the set-returning function into a LATERAL FROM item.",
            position=scope.last_set,
        )


def entry_item(entry: Entry, index: int, schema: str = "") -> Item:
    """Return the FROM item of a range-table entry."""
    columns = [
        ItemColumn(
            column.name,
            ColumnRef(
                type_oid=column.type_oid,
                typmod=column.typmod,
                entry=index,
                column=at,
                name=column.name,
            ),
            column.hidden,
        )
        for at, column in enumerate(entry.columns)
    ]
    return Item(entry.alias, columns, index, schema)


def _placed(expression: Expression, position: int) -> Expression:
    """Return a column's expression with the place of this reference to it."""
    if isinstance(expression, ColumnRef):
        return ColumnRef(
            type_oid=expression.type_oid,
            typmod=expression.typmod,
            position=position,
            entry=expression.entry,
            column=expression.column,
            levels_up=expression.levels_up,
            name=expression.name,
        )
    return expression


def _check_lateral(item: Item, position: int) -> None:
    if item.lateral_only and not item.lateral_ok:
        raise SqlError(
            "42P10",
            f'invalid reference to FROM-clause entry for table "{item.alias}"',
            detail=""
            if item.is_target
            else "The combining JOIN type must be INNER or LEFT for a LATERAL reference.",
            hint=f'There is an entry for table "{item.alias}", '
            "but it cannot be referenced from this part of the query."
            if item.is_target
            else "",
            position=position,
        )


def system_column(
    scope: Scope, item: Item, levels: int, name: str, position: int
) -> Expression | None:
    """Return tableoid of a table, or xmin of one with a key or of the catalogs; None for no system column.

    Raises 0A000 for the others by name.
    """
    owner = scope.outer(levels)
    entry = owner.range_table[item.entry] if item.entry >= 0 else None
    if not isinstance(entry, (TableEntry, VirtualEntry)):
        return None
    relation = entry.table if isinstance(entry, TableEntry) else entry.relation
    if relation.kind == "v":
        return None
    if name == "tableoid":
        if scope.clause in ("index expressions", "index predicates"):
            raise SqlError("0A000", "index creation on system columns is not supported")
        if entry.use is not None:
            entry.use.read(SYSTEM_COLUMN_NUMBERS[name])
        return Constant(type_oid=oids.OID, value=relation.oid, position=position)
    is_versioned = isinstance(entry, VirtualEntry) or _has_versions(scope, entry.table)
    if name == "xmin" and is_versioned:
        if entry.use is not None:
            entry.use.read(SYSTEM_COLUMN_NUMBERS[name])
        return _row_version(item, levels, position)
    if name in SYSTEM_COLUMN_NUMBERS:
        raise SqlError("0A000", f'system column "{name}" is not supported', position=position)
    return None


def _has_versions(scope: Scope, table: Table) -> bool:
    """Tell whether xmin means something: not in what is stored, nor of rows that nothing tells apart."""
    stored = ("check", "index", "column generation")
    return table.primary_key is not None and not scope.clause.startswith(stored)


def _row_version(item: Item, levels: int, position: int) -> Expression:
    fields = [raised(column.expression, levels) for column in item.columns if not column.hidden]
    names = [column.name for column in item.columns if not column.hidden]
    row = RowConstructor(type_oid=oids.RECORD, fields=fields, names=names, position=position)
    return Call(type_oid=oids.XID, position=position, function=ROW_VERSION, arguments=[row])


def is_function_item(scope: Scope, item: Item) -> bool:
    """Tell whether a FROM item is a function, whose name then also means its only column.

    Not one that returns records: that column is a field of them.
    """
    if item.of_function:
        return True
    entry = scope.range_table[item.entry] if item.entry >= 0 else None
    return isinstance(entry, FunctionEntry) and entry.calls[0].type_oid != oids.RECORD
