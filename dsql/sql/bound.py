"""Bound statements: names resolved, every expression typed, every cast explicit.

The binder makes these, the planner reads them; they know nothing of sqlglot or of text. Nodes compare by
identity. `position` is the 1-based character in the statement for runtime errors that have one, else 0.

A column is (range-table entry, column index): `ColumnRef(entry=2, column=0)` is the first column of
`query.range_table[2]`; `levels_up` counts enclosing queries. Entry columns are numbered from 0 over
the entry's `columns`. NATURAL and USING need no entry: the binder has resolved their merged columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dsql.catalog.schema import Table
from dsql.functions.function import Aggregate, Function, WindowFunction

# ---------------------------------------------------------------- expressions


@dataclass(slots=True, eq=False, kw_only=True)
class Expression:
    """A typed expression."""

    type_oid: int
    typmod: int = -1
    position: int = 0


@dataclass(slots=True, eq=False, kw_only=True)
class Constant(Expression):
    """A runtime value (see dsql.types.type), or None for NULL."""

    value: Any


@dataclass(slots=True, eq=False, kw_only=True)
class Parameter(Expression):
    """$n; `index` counts from 0."""

    index: int


@dataclass(slots=True, eq=False, kw_only=True)
class ColumnRef(Expression):
    """A column of a range-table entry, `levels_up` queries out (0: this one)."""

    entry: int
    column: int
    levels_up: int = 0
    name: str = ""


@dataclass(slots=True, eq=False, kw_only=True)
class Call(Expression):
    """A function or operator call; a cast through a function is one too.

    `operator` is the operator's name when written as one, and `strategy` its btree strategy, so that the
    planner can see comparisons; `cast` is true for casts, `implicit` for those the user did not write.
    `keyword`: how a function without parentheses was written ("current_date").
    """

    function: Function
    arguments: list[Expression]
    operator: str = ""
    strategy: str = ""
    commutator: str = ""
    cast: bool = False
    implicit: bool = False
    keyword: str = ""


@dataclass(slots=True, eq=False, kw_only=True)
class Relabel(Expression):
    """A binary-coercible cast: the same value under another type."""

    argument: Expression
    implicit: bool = False


@dataclass(slots=True, eq=False, kw_only=True)
class TextCast(Expression):
    """A cast through the text formats of both types, under the session's FormatSettings.

    Also the conversion of an unknown-typed parameter; constants are folded by the binder.
    """

    argument: Expression
    implicit: bool = False


@dataclass(slots=True, eq=False, kw_only=True)
class ApplyTypmod(Expression):
    """Enforce the typmod of `type_oid` (varchar(n), numeric(p,s), timestamp(p), ...).

    `explicit` truncates over-long strings, else 22001.
    """

    argument: Expression
    explicit: bool


@dataclass(slots=True, eq=False, kw_only=True)
class And(Expression):
    """Three-valued AND over two or more boolean arguments."""

    arguments: list[Expression]


@dataclass(slots=True, eq=False, kw_only=True)
class Or(Expression):
    """Three-valued OR over two or more boolean arguments."""

    arguments: list[Expression]


@dataclass(slots=True, eq=False, kw_only=True)
class Not(Expression):
    """Three-valued NOT."""

    argument: Expression


@dataclass(slots=True, eq=False, kw_only=True)
class NullTest(Expression):
    """argument IS [NOT] NULL; on a row: every (for NOT: no) field is NULL."""

    argument: Expression
    negated: bool


@dataclass(slots=True, eq=False, kw_only=True)
class BooleanTest(Expression):
    """argument IS [NOT] TRUE, FALSE or UNKNOWN; `value` True, False or None."""

    argument: Expression
    value: bool | None
    negated: bool


@dataclass(slots=True, eq=False, kw_only=True)
class Distinct(Expression):
    """left IS [NOT] DISTINCT FROM right; `equal` is the = function."""

    left: Expression
    right: Expression
    equal: Function
    negated: bool


@dataclass(slots=True, eq=False, kw_only=True)
class NullIf(Expression):
    """NULLIF(left, right)."""

    left: Expression
    right: Expression
    equal: Function


@dataclass(slots=True, eq=False, kw_only=True)
class Case(Expression):
    """CASE WHEN condition THEN result ... ELSE otherwise END.

    The simple form is bound to comparisons already (its operand may be evaluated once per WHEN).
    """

    branches: list[tuple[Expression, Expression]]
    otherwise: Expression | None


@dataclass(slots=True, eq=False, kw_only=True)
class Coalesce(Expression):
    """The first argument that is not NULL."""

    arguments: list[Expression]


@dataclass(slots=True, eq=False, kw_only=True)
class MinMax(Expression):
    """GREATEST or LEAST; `less` is the type's < function."""

    arguments: list[Expression]
    greatest: bool
    less: Function


@dataclass(slots=True, eq=False, kw_only=True)
class ArrayCompare(Expression):
    """left operator ANY|ALL (array); IN lists of constants and parameters are bound to this too.

    `function` takes (left, element). `strategy` is that of the operator ("=" for IN).
    """

    left: Expression
    array: Expression
    function: Function
    all: bool
    operator: str = ""
    strategy: str = ""


@dataclass(slots=True, eq=False, kw_only=True)
class ArrayConstructor(Expression):
    """ARRAY[...]; with `multidimensional` the elements are arrays."""

    elements: list[Expression]
    multidimensional: bool = False


@dataclass(slots=True, eq=False, kw_only=True)
class Subscript(Expression):
    """array[index, ...] or, with `slice`, array[low:high] (missing bounds None)."""

    array: Expression
    indexes: list[Expression]
    slice: bool = False
    upper: list[Expression | None] = field(default_factory=list)


@dataclass(slots=True, eq=False, kw_only=True)
class RowConstructor(Expression):
    """ROW(...), or a whole-row reference spelled out; a record at run time (tuple).

    `whole`: the fields are all columns of one range-table entry; the value is NULL where an outer join
    found no row of it.
    """

    fields: list[Expression]
    names: list[str] = field(default_factory=list)
    whole: bool = False


@dataclass(slots=True, eq=False, kw_only=True)
class FieldSelect(Expression):
    """(record).field; `index` counts from 0."""

    record: Expression
    index: int


@dataclass(slots=True, eq=False, kw_only=True)
class RowCompare(Expression):
    """(a, b) op (c, d) for the ordering operators: `less` and `equal` per pair.

    = and <> on rows are bound to And/Or of the pairs instead. `operator` is <, <=, > or >=.
    """

    left: list[Expression]
    right: list[Expression]
    operator: str
    less: list[Function]
    equal: list[Function]


@dataclass(slots=True, eq=False, kw_only=True)
class Exists(Expression):
    """EXISTS (query)."""

    query: Query


@dataclass(slots=True, eq=False, kw_only=True)
class ScalarSubquery(Expression):
    """(query) as a value: NULL for no row, 21000 for more than one."""

    query: Query


@dataclass(slots=True, eq=False, kw_only=True)
class ArraySubquery(Expression):
    """ARRAY(query)."""

    query: Query


@dataclass(slots=True, eq=False, kw_only=True)
class QuantifiedSubquery(Expression):
    """left op ANY|ALL (query); IN is = ANY. Rows compare pairwise with `functions`.

    The three-valued result is over all rows of `query`; with several columns the pairs are and-ed.
    `negated` rows (NOT IN) are bound as Not of this.
    """

    left: list[Expression]
    query: Query
    functions: list[Function]
    all: bool
    operator: str = "="


@dataclass(slots=True, eq=False, kw_only=True)
class SortKey:
    """One ORDER BY item. It is not an expression itself."""

    expression: Expression
    descending: bool = False
    nulls_first: bool = False


@dataclass(slots=True, eq=False, kw_only=True)
class AggregateCall(Expression):
    """An aggregate over the rows of its group. `arguments` empty: count(*).

    `levels_up` > 0: it aggregates an outer query's rows.
    """

    aggregate: Aggregate
    arguments: list[Expression]
    distinct: bool = False
    order_by: list[SortKey] = field(default_factory=list)
    filter: Expression | None = None
    direct: list[Expression] = field(default_factory=list)
    levels_up: int = 0


@dataclass(slots=True, eq=False, kw_only=True)
class WindowFrame:
    """ROWS, RANGE or GROUPS BETWEEN start AND end EXCLUDE exclusion.

    A bound is ("unbounded preceding" | "preceding" | "current row" | "following" |
    "unbounded following", offset expression or None).
    """

    mode: str = "range"
    start: tuple[str, Expression | None] = ("unbounded preceding", None)
    end: tuple[str, Expression | None] = ("current row", None)
    exclusion: str = ""


@dataclass(slots=True, eq=False, kw_only=True)
class WindowCall(Expression):
    """A window function, or an aggregate with OVER."""

    function: WindowFunction | Aggregate
    arguments: list[Expression]
    partition_by: list[Expression] = field(default_factory=list)
    order_by: list[SortKey] = field(default_factory=list)
    frame: WindowFrame = field(default_factory=WindowFrame)
    filter: Expression | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class GroupingCall(Expression):
    """GROUPING(...): a bit mask of the listed group expressions' absence."""

    arguments: list[Expression]


@dataclass(slots=True, eq=False, kw_only=True)
class DefaultValue(Expression):
    """DEFAULT in VALUES or SET, where the column has none: NULL. Others are bound to the default."""


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
    """A member of FROM. `alias` is the name it goes by."""

    alias: str
    columns: list[EntryColumn]


@dataclass(slots=True, eq=False, kw_only=True)
class TableEntry(Entry):
    """A stored table: entry column i is `table.live_columns[i]`."""

    table: Table


@dataclass(slots=True, eq=False, kw_only=True)
class VirtualEntry(Entry):
    """A table the server computes (pg_catalog, information_schema, sys).

    `relation` is the `dsql.catalog.virtual.VirtualTable`; entry column i is its column i.
    """

    relation: Any


@dataclass(slots=True, eq=False, kw_only=True)
class SubqueryEntry(Entry):
    """(query) AS alias, or a view. `lateral`: it may refer to entries before it."""

    query: Query
    lateral: bool = False


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


@dataclass(slots=True, eq=False, kw_only=True)
class ValuesEntry(Entry):
    """(VALUES ...) AS alias. Every row has one expression per column, of the column's type."""

    rows: list[list[Expression]]
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
    `row_marks`: (entry, "update" | "key share").
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
class OnConflict:
    """ON CONFLICT. `index_oids`: the unique indexes that arbitrate, [] for any.

    `assignments` None: DO NOTHING; else (column number, expression). In its expressions entry 0 is the
    existing row and entry 1 the row proposed for insertion (excluded).
    """

    index_oids: list[int]
    assignments: list[tuple[int, Expression]] | None
    where: Expression | None = None


@dataclass(slots=True, eq=False)
class Insert:
    """INSERT. `source` yields, for each of `column_numbers`, a value of the column's type and typmod.

    `defaults` gives the expression of every other column that is not NULL by default, as
    (column number, expression); `generated` those computed from the finished row.
    RETURNING, ON CONFLICT, `checks` and `generated` see the row as entry 0 of `range_table`.
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


@dataclass(slots=True, eq=False)
class BoundStatement:
    """A statement with its parameter types. `tables` are the OIDs whose catalog version it depends on.

    `required`: the privileges the user needs, as (table OID, "select" | "insert" | "update" | "delete").
    """

    statement: Query | Insert | Update | Delete
    parameter_types: list[int]
    tables: frozenset[int] = frozenset()
    required: tuple[tuple[int, str], ...] = ()
