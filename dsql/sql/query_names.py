"""What the members of FROM and their columns are called in a query that is printed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dsql.catalog.catalog import Catalog
from dsql.catalog.domain_text import domain_name
from dsql.catalog.function_text import is_visible as is_visible_function
from dsql.catalog.names import is_visible, relation_name
from dsql.catalog.schema import Table
from dsql.catalog.user_types import types_of
from dsql.functions.function import Function
from dsql.sql import bound
from dsql.sql import bound_query as query
from dsql.sql.binding import Arguments
from dsql.sql.expression_text import ExpressionPrinter
from dsql.types import oids
from dsql.types.identifier import quote_identifier
from dsql.types.type import Type


@dataclass(frozen=True, slots=True)
class TextStyle:
    """How a query is written. `search_path` None: for the catalog. `is_pretty`: few parentheses.

    `arguments`: what the parameters of a function's body are called; None: $1, $2, ...
    """

    search_path: Sequence[str] | None = None
    is_pretty: bool = False
    arguments: Arguments | None = None


@dataclass(slots=True)
class Level:
    """A query that is being printed, and what its range table's entries are called in it."""

    query: query.Query
    names: list[str]
    columns: list[list[str]]
    is_side: bool = False


class NamePrinter(ExpressionPrinter):
    """Prints columns and relations by the names that `catalog` has for them."""

    def __init__(self, catalog: Catalog, style: TextStyle) -> None:
        self._catalog = catalog
        self._style = style
        self._levels: list[Level] = []

    def _enter(self, node: query.Query) -> None:
        """Go into a query; whoever does takes the last of `_levels` away again."""
        names, columns = self._entry_names(node)
        self._levels.append(Level(node, names, columns))

    def range_tables(self) -> list[list[query.Entry]]:
        """See `ExpressionPrinter`."""
        return [level.query.range_table for level in reversed(self._levels)]

    def _level(self, levels_up: int) -> Level:
        return self._levels[len(self._levels) - 1 - levels_up]

    def constant(self, node: bound.Constant) -> str:
        """Return the text of a constant; one that means a relation has its name."""
        named = node.type_oid == oids.REGCLASS and node.value
        found = relation_name(self._catalog, node.value) if named else None
        if found is None:
            return super().constant(node)
        text = self._relation(*found).replace("'", "''")
        return f"'{text}'::regclass"

    def parameter(self, node: bound.Parameter) -> str:
        """Return an argument of a function: by its name, which in a query with FROM has the function's."""
        arguments = self._style.arguments
        name = arguments.names[node.index] if arguments is not None else ""
        if arguments is None or not name:
            return f"${node.index + 1}"
        if any(level.query.range_table for level in self._levels):
            return f"{quote_identifier(arguments.function)}.{quote_identifier(name)}"
        return quote_identifier(name)

    def function(self, function: Function) -> str:
        """Return a function's name, qualified unless the search path has it."""
        now = self._catalog.functions.get(function.oid)
        path = self._style.search_path
        if now is None:
            return super().function(function)
        if path is not None and is_visible_function(now, self._catalog, path):
            return quote_identifier(now.name)
        return f"{quote_identifier(now.schema)}.{quote_identifier(now.name)}"

    def domain(self, function: Function) -> str:
        """Return a domain's name, qualified unless the search path has it."""
        now = self._catalog.domains_by_oid[function.oid]
        path = self._style.search_path
        if path is not None:
            return domain_name(now, self._catalog, path)
        return f"{quote_identifier(now.schema)}.{quote_identifier(now.name)}"

    def kind(self, type_oid: int) -> Type:
        """Return the type with an OID, a user's as the search path finds it."""
        path = self._style.search_path or ()
        return types_of(self._catalog, path).get(type_oid) or super().kind(type_oid)

    def user_type(self, kind: Type) -> str:
        """Return the name of a type of a user's, qualified unless the search path has it."""
        return kind.sql_name

    def _relation(self, schema: str, name: str) -> str:
        """Return a relation's name, qualified unless the search path and no WITH query has it."""
        path = self._style.search_path
        hidden = any(cte.name == name for level in self._levels for cte in level.query.ctes)
        if path is not None and not hidden and is_visible(self._catalog, path, (schema, name)):
            return quote_identifier(name)
        return f"{quote_identifier(schema)}.{quote_identifier(name)}"

    def _entry_names(self, node: query.Query) -> tuple[list[str], list[list[str]]]:
        """Return what each entry is called, so that no two in sight are called alike, and its columns."""
        taken = list({name for level in self._levels for name in level.names})
        names: list[str] = []
        columns: list[list[str]] = []
        for entry in node.range_table:
            names.append(self._alias(entry))
            columns.append(self._columns(entry))
        return _distinct((*taken, *names))[len(taken) :], columns

    def _alias(self, entry: query.Entry) -> str:
        """Return an entry's alias; without one, the name that its relation has now."""
        table = relation_of(entry)
        if table is not None and entry.alias == table.name:
            return self._catalog.tables_by_oid[table.oid].name
        return entry.alias

    def _columns(self, entry: query.Entry) -> list[str]:
        """Return the names of an entry's columns: those of an alias list, else what they have now."""
        table = relation_of(entry)
        if table is None:
            return _distinct(column.name for column in entry.columns)
        now = self._catalog.tables_by_oid[table.oid]
        return [
            now.columns[column.number - 1].name
            if column.name == table.columns[column.number - 1].name
            else column.name
            for column in entry.columns
        ]

    def _own_columns(self, entry: query.Entry) -> list[str]:
        """Return the names that an entry's columns have without an alias list."""
        table = relation_of(entry)
        match entry:
            case query.TableEntry() | query.SubqueryEntry() | query.VirtualEntry() if table:
                now = self._catalog.tables_by_oid[table.oid]
                return [now.columns[column.number - 1].name for column in entry.columns]
            case query.VirtualEntry():
                return [name for name, _ in entry.relation.columns]
            case query.SubqueryEntry():
                return [target.name for target in visible(entry.query)]
            case query.CteEntry():
                level = self._level(entry.levels_up)
                return [column.name for column in level.query.ctes[entry.index].columns]
            case _:
                return []

    def column(self, node: bound.ColumnRef) -> str:
        """Return a column with its entry's name."""
        level = self._level(node.levels_up)
        return f"{quote_identifier(level.names[node.entry])}.{quote_identifier(self._column_name(node))}"

    def _column_name(self, node: bound.ColumnRef) -> str:
        level = self._level(node.levels_up)
        return level.columns[node.entry][node.column]


def _distinct(names: Iterable[str]) -> list[str]:
    """Return names with numbers behind those that were there before."""
    found: list[str] = []
    for base in names:
        name, number = base, 0
        while name in found:
            number += 1
            name = f"{base}_{number}"
        found.append(name)
    return found


def relation_of(entry: query.Entry) -> Table | None:
    """Return the stored table, the sequence or the view that an entry is, None for anything else."""
    if isinstance(entry, query.TableEntry):
        return entry.table
    if isinstance(entry, query.VirtualEntry):
        return entry.sequence
    return entry.view if isinstance(entry, query.SubqueryEntry) else None


def visible(node: query.Query) -> list[query.Target]:
    """Return the targets of a query that are its output."""
    return [target for target in node.targets if not target.junk]
