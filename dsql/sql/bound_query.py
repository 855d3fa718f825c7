"""Bound queries and statements, whose expressions are those of `bound`.

Entry columns are numbered from 0 over the entry's `columns`. NATURAL and USING need no entry: the binder
has resolved their merged columns. Nodes compare by identity.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dsql.catalog.foreign_keys import WatchedKey
from dsql.catalog.schema import Table
from dsql.sql.bound import Alike, Expression, SortKey

if TYPE_CHECKING:
    from dsql.access.requirements import Requirement
    from dsql.sql.uses import Use

# ---------------------------------------------------------------- range table


@dataclass(slots=True, eq=False)
class EntryColumn:
    """A column as a range-table entry offers it. `table_oid`/`number`: where it comes from, or 0."""

    name: str
    type_oid: int
    typmod: int = -1
    table_oid: int = 0
    number: int = 0
    hidden: bool = False  # resolves by name only where the server itself asks (row ids)


@dataclass(slots=True, eq=False, kw_only=True)
class Entry:
    """A member of FROM. `alias` is the name it goes by, `use` what a relation's rights are needed for."""

    alias: str
    columns: list[EntryColumn]
    use: Use | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class TableEntry(Entry):
    """A stored table: entry column i is `table.live_columns[i]`.

    The expression keys ((index OID, key part) -> expression) and the predicates of its indexes are bound
    over the row as entry 0 of a query of its own.
    """

    table: Table
    index_expressions: dict[tuple[int, int], Expression] = field(default_factory=dict)
    index_predicates: dict[int, Expression] = field(default_factory=dict)


@dataclass(slots=True, eq=False, kw_only=True)
class VirtualEntry(Entry):
    """A table the server computes (pg_catalog, information_schema, sys), or the row of a sequence.

    `relation` is the `dsql.catalog.virtual.VirtualTable`; entry column i is its column i.
    """

    relation: Any
    sequence: Table | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class SubqueryEntry(Entry):
    """(query) AS alias, or `view`. `lateral`: it may refer to entries before it.

    `is_barrier`: nothing that could tell of a row is evaluated before `query` has chosen it.
    """

    query: Query
    lateral: bool = False
    view: Table | None = None
    is_barrier: bool = False


@dataclass(slots=True, eq=False, kw_only=True)
class CteEntry(Entry):
    """A reference to `query.ctes[index]`, `levels_up` queries out."""

    index: int
    levels_up: int = 0
    name: str = ""


@dataclass(slots=True, eq=False, kw_only=True)
class FunctionEntry(Entry):
    """function(...) in FROM; several for ROWS FROM. With ordinality the last column is the number."""

    calls: list[Expression]
    ordinality: bool = False
    lateral: bool = True


class ConstantRows:
    """The rows of a long VALUES list, as runtime values by column; no walk over expressions enters it."""

    __slots__ = ("columns",)

    def __init__(self, columns: list[list[Any]]) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns[0])


ValuesRow = list[Expression] | Alike


@dataclass(slots=True, eq=False, kw_only=True)
class ValuesEntry(Entry):
    """(VALUES ...) AS alias. Every row has one expression per column, of the column's type."""

    rows: list[ValuesRow] | ConstantRows
    lateral: bool = False


# ---------------------------------------------------------------- queries


@dataclass(slots=True, eq=False)
class FromEntry:
    """A leaf of the join tree: an index into the range table."""

    entry: int


@dataclass(slots=True, eq=False)
class FromJoin:
    """kind is inner, left, right, full (a comma and CROSS JOIN are inner with no condition)."""

    kind: str
    left: FromItem
    right: FromItem
    condition: Expression | None


FromItem = FromEntry | FromJoin


@dataclass(slots=True, eq=False)
class Target:
    """An output column. `junk` ones are computed for sorting or grouping only, after all others."""

    name: str
    expression: Expression
    junk: bool = False
    table_oid: int = 0
    number: int = 0


@dataclass(slots=True, eq=False)
class Cte:
    """WITH name AS (query). `recursive`: query is a SetOperation whose right side refers to it.

    `statement` may be a data-modifying statement with RETURNING.
    """

    name: str
    statement: Query | Insert | Update | Delete
    columns: list[EntryColumn]
    recursive: bool = False
    references: int = 0
    materialized: bool | None = None


@dataclass(slots=True, eq=False)
class SetOperation:
    """UNION, INTERSECT or EXCEPT of two queries with the same column types."""

    operator: str
    all: bool
    left: Query
    right: Query


@dataclass(slots=True, eq=False)
class Query:
    """SELECT, VALUES (one ValuesEntry) or a set operation.

    With `set_operation`, range_table and from_items are empty, and `targets` are ColumnRefs to entry 0,
    the operation's own output; ORDER BY refers to them. GROUP BY: each of `grouping_sets` lists indexes
    into `group_by`; a plain GROUP BY is one set with all of them; no grouping at all: None, and
    an aggregate query without GROUP BY: [[]] with `aggregated` True.
    `distinct_on`: None: no DISTINCT, []: DISTINCT, else the ON expressions.
    `row_marks`: (entry, strength: "update", "no key update", "share" or "key share").
    """

    range_table: list[Entry] = field(default_factory=list)
    from_items: list[FromItem] = field(default_factory=list)  # several: inner without condition
    where: Expression | None = None
    targets: list[Target] = field(default_factory=list)
    group_by: list[Expression] = field(default_factory=list)
    grouping_sets: list[list[int]] | None = None
    having: Expression | None = None
    aggregated: bool = False
    distinct_on: list[Expression] | None = None
    order_by: list[SortKey] = field(default_factory=list)
    limit: Expression | None = None
    with_ties: bool = False
    offset: Expression | None = None
    ctes: list[Cte] = field(default_factory=list)
    set_operation: SetOperation | None = None
    row_marks: list[tuple[int, str]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class ViewLayer:
    """An updatable view that a statement writes through. `is_checked`: new rows must be seen in it.

    `is_barrier`: see `SubqueryEntry`.
    """

    view: Table
    query: Query
    is_checked: bool
    is_barrier: bool


@dataclass(slots=True, eq=False)
class OnConflict:
    """ON CONFLICT. `index_oids`: the unique indexes that arbitrate, [] for any.

    `assignments` None: DO NOTHING; else (column number, expression). In its expressions entry 0 is the
    existing row and entry 1 the row proposed for insertion (excluded); through a view entry 1 is the
    existing row as the view has it, and entry 2 the proposed one.
    """

    index_oids: list[int]
    assignments: list[tuple[int, Expression]] | None
    where: Expression | None = None


@dataclass(slots=True, eq=False)
class Insert:
    """INSERT. `source` yields, for each of `column_numbers`, a value of the column's type and typmod.

    `defaults` gives the expression of every other column that is not NULL by default, as
    (column number, expression); `generated` those computed from the finished row.
    RETURNING, ON CONFLICT, `checks` and `generated` see the row as entry 0 of `range_table`. `layers`, here
    and below, are views that the statement writes through, the one that it names first, which is entry 1.
    `watched`: whose values foreign keys have to know.
    """

    table: Table
    range_table: list[Entry]
    column_numbers: list[int]
    source: Query
    defaults: list[tuple[int, Expression]]
    generated: list[tuple[int, Expression]]
    checks: list[tuple[str, Expression]]  # (constraint name, expression)
    index_expressions: dict[tuple[int, int], Expression]  # (index OID, key part) -> expression
    index_predicates: dict[int, Expression]
    returning: list[Target] | None = None
    on_conflict: OnConflict | None = None
    ctes: list[Cte] = field(default_factory=list)
    layers: list[ViewLayer] = field(default_factory=list)
    watched: tuple[WatchedKey, ...] = ()


@dataclass(slots=True, eq=False)
class Update:
    """UPDATE. Entry 0 of `range_table` is the target; FROM's entries follow, joined by `from_items`.

    Assigned expressions already have the column's type and typmod. Checks, generated columns and
    RETURNING see the new row as entry 0.
    """

    table: Table
    range_table: list[Entry]
    from_items: list[FromItem]
    where: Expression | None
    assignments: list[tuple[int, Expression]]
    generated: list[tuple[int, Expression]]
    checks: list[tuple[str, Expression]]
    index_expressions: dict[tuple[int, int], Expression]
    index_predicates: dict[int, Expression]
    returning: list[Target] | None = None
    ctes: list[Cte] = field(default_factory=list)
    layers: list[ViewLayer] = field(default_factory=list)
    watched: tuple[WatchedKey, ...] = ()


@dataclass(slots=True, eq=False)
class Delete:
    """DELETE. Entry 0 of `range_table` is the target; USING's entries follow."""

    table: Table
    range_table: list[Entry]
    from_items: list[FromItem]
    where: Expression | None
    index_expressions: dict[tuple[int, int], Expression]
    index_predicates: dict[int, Expression]
    returning: list[Target] | None = None
    ctes: list[Cte] = field(default_factory=list)
    layers: list[ViewLayer] = field(default_factory=list)
    watched: tuple[WatchedKey, ...] = ()


@dataclass(slots=True, eq=False)
class MergeAction:
    """A WHEN of MERGE: what is done to a row of the source, and the target's if it is `matched`.

    `kind`: "insert", "update", "delete" or "nothing". `assignments` are (column number, expression); for
    an INSERT they are the row's values, defaults included.
    """

    matched: bool
    kind: str
    condition: Expression | None
    assignments: list[tuple[int, Expression]] = field(default_factory=list)
    written: frozenset[int] = frozenset()


@dataclass(slots=True, eq=False)
class Merge:
    """MERGE. Entry 0 of `range_table` is the target, the source's entries follow.

    `from_items` is one join of the two; it keeps the source's rows that match nothing if any action
    inserts. Checks, generated columns and index expressions see the new row as entry 0.
    """

    table: Table
    range_table: list[Entry]
    from_items: list[FromItem]
    actions: list[MergeAction]
    generated: list[tuple[int, Expression]]
    checks: list[tuple[str, Expression]]
    index_expressions: dict[tuple[int, int], Expression]
    index_predicates: dict[int, Expression]
    returning: list[Target] | None = None
    ctes: list[Cte] = field(default_factory=list)
    layers: list[ViewLayer] = field(default_factory=list)
    watched: tuple[WatchedKey, ...] = ()


Modifying = Insert | Update | Delete | Merge


@dataclass(slots=True, eq=False)
class BoundStatement:
    """A statement with its parameter types. `tables` are the OIDs whose catalog version it depends on.

    `required`: what the user has to hold for it.
    """

    statement: Query | Modifying
    parameter_types: list[int]
    tables: frozenset[int] = frozenset()
    required: tuple[Requirement, ...] = ()
