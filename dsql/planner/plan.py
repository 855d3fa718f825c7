"""Plan nodes: immutable values that say how a statement will be run, and how EXPLAIN prints it.

A node produces rows of slots (see `dsql.planner.expressions`). Nodes are compared by identity. Costs
are in PostgreSQL's arbitrary units; they exist to compare plans and to be printed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dsql.catalog.foreign_keys import WatchedKey
from dsql.catalog.schema import Index, Table
from dsql.errors import SqlError
from dsql.planner.expressions import Slot
from dsql.planner.row_counts import Planned
from dsql.sql import bound
from dsql.sql.bound import AggregateCall, Call, Expression, SortKey, TextCast, WindowCall
from dsql.sql.bound_query import ConstantRows


class Estimate(NamedTuple):
    """How many rows of how many bytes a node yields, and the cost until the first and the last."""

    rows: float = 1.0
    width: int = 0
    startup: float = 0.0
    total: float = 0.01


_NO_ESTIMATE = Estimate()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Node:
    """A step of a plan."""

    estimate: Estimate = _NO_ESTIMATE


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Result(Node):
    """One row without columns."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Bound:
    """One end of a range over a key part."""

    value: Expression
    inclusive: bool


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Access:
    """Which keys of an index to read: equal prefix, then at most one range.

    `prefix[i]` is compared with key part i: an expression, or an `AnyOf` for IN lists. `low`/`high` bound
    the next part, in index order of an ascending part; `present`: it leaves that part's NULLs out.
    `conditions` are the predicates it stands for.
    With `unique`, prefix and index make it at most one key per combination.
    """

    prefix: tuple[Expression | AnyOf, ...] = ()
    low: Bound | None = None
    high: Bound | None = None
    present: bool = False
    conditions: tuple[Expression, ...] = ()
    unique: bool = False

    @property
    def whole(self) -> bool:
        """True if it reads the entire index."""
        return not (self.prefix or self.low or self.high or self.present)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class AnyOf:
    """The elements of an array, NULLs left out, each once, in order."""

    array: Expression


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Scan(Node):
    """Rows of a stored table: by its own keys (`index` None or primary) or by a secondary index.

    `columns` maps column numbers to slots. `row_slot`/`key_slot` carry the decoded row and its key to
    modifications and locks.
    """

    table: Table
    alias: str
    columns: dict[int, Slot]
    index: Index | None
    access: Access
    filter: tuple[Expression, ...] = ()
    reverse: bool = False
    row_slot: int = 0
    key_slot: int = 0

    def is_covered(self, read: Collection[int]) -> bool:
        """Tell whether the entries of a secondary index suffice, if these slots are read: no column is."""
        if self.filter or self.row_slot or self.key_slot:
            return False
        return not any(slot.id in read for slot in self.columns.values())


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class VirtualScan(Node):
    """Rows of a computed table; `columns` maps column indexes to slots."""

    relation: Any
    alias: str
    columns: dict[int, Slot]
    filter: tuple[Expression, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FunctionScan(Node):
    """Rows of functions in FROM, side by side; `widths[i]` columns belong to call i."""

    calls: tuple[Expression, ...]
    widths: tuple[int, ...]
    alias: str
    slots: tuple[Slot, ...]
    ordinality: bool = False


ExpressionRow = tuple[Expression, ...] | bound.Alike


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ValuesScan(Node):
    """Rows of expressions, or of values."""

    rows: tuple[ExpressionRow, ...] | ConstantRows
    alias: str
    slots: tuple[Slot, ...]


def expressions_of_rows(rows: Iterable[ExpressionRow]) -> Iterator[Expression]:
    """Yield the expressions of rows, of those that are alike the templates'."""
    for row in rows:
        if isinstance(row, tuple):
            yield from row
        else:
            for template in row.templates:
                yield from template


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SubqueryScan(Node):
    """The rows of a query under other slots."""

    query: QueryPlan
    alias: str
    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CteScan(Node):
    """The rows of a materialised CTE; `working` reads a recursive one's last round only.

    `outer` are the slots that the CTE reads of the queries around it.
    """

    cte: int
    name: str
    alias: str
    slots: tuple[Slot, ...]
    working: bool = False
    outer: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Filter(Node):
    """The child's rows for which every condition is true."""

    child: Node
    conditions: tuple[Expression, ...]
    having: bool = False


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Project(Node):
    """The child's rows with further slots computed."""

    child: Node
    assignments: tuple[tuple[Slot, Expression], ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ProjectSet(Node):
    """The child's rows, each repeated for the rows of set-returning calls side by side."""

    child: Node
    calls: tuple[tuple[Slot, bound.Call], ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class NestedLoop(Node):
    """For each outer row the inner rows that meet `conditions`.

    `kind` is inner, left, semi or anti. `parameterized`: the inner side reads outer slots and is run anew
    per row; else it is run once and kept.
    """

    kind: str
    outer: Node
    inner: Node
    conditions: tuple[Expression, ...] = ()
    parameterized: bool = False


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class HashJoin(Node):
    """An equi-join: the inner rows in a hash table. `kind` also right and full."""

    kind: str
    outer: Node
    inner: Node
    outer_keys: tuple[Expression, ...]
    inner_keys: tuple[Expression, ...]
    hash_conditions: tuple[Expression, ...]
    conditions: tuple[Expression, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Materialize(Node):
    """The child's rows that meet `conditions`, and whose `keys` are equal to `values`.

    They are kept, by their keys, the first time that the node is run: the child reads nothing of the rows
    that it is run for. `hash_conditions` are the equalities.
    """

    child: Node
    keys: tuple[Expression, ...] = ()
    values: tuple[Expression, ...] = ()
    hash_conditions: tuple[Expression, ...] = ()
    conditions: tuple[Expression, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class AggregateNode(Node):
    """Groups with their aggregates. `sets` lists, per grouping set, indexes into `keys`.

    Without keys and with one empty set there is always one row. `groupings` are the GROUPING() calls:
    slot and, per argument, the key's index.
    """

    child: Node
    keys: tuple[tuple[Slot, Expression], ...]
    sets: tuple[tuple[int, ...], ...]
    calls: tuple[tuple[Slot, AggregateCall], ...]
    groupings: tuple[tuple[Slot, tuple[int, ...]], ...] = ()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class WindowNode(Node):
    """The child's rows with window calls of one PARTITION BY and ORDER BY."""

    child: Node
    calls: tuple[tuple[Slot, WindowCall], ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Sort(Node):
    """The child's rows in order; with `limit`, only as many of the first as `limit` + `offset` say."""

    child: Node
    keys: tuple[SortKey, ...]
    limit: Expression | None = None
    offset: Expression | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Limit(Node):
    """Rows after `offset`, at most `limit`; `ties` are the sort keys of WITH TIES."""

    child: Node
    limit: Expression | None
    offset: Expression | None
    ties: tuple[SortKey, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Distinct(Node):
    """The first of the rows that agree on all `expressions`."""

    child: Node
    expressions: tuple[Expression, ...]
    on: bool = False


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SetOperationNode(Node):
    """UNION, INTERSECT or EXCEPT under the slots of its own output."""

    operator: str
    all: bool
    left: QueryPlan
    right: QueryPlan
    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LockRows(Node):
    """The child's rows, each locked: (key slot, strength as in `Query.row_marks`)."""

    child: Node
    marks: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Modification(Node):
    """What INSERT, UPDATE and DELETE share. `returning` are its output expressions.

    `new` and `old` map column numbers to the slots of the row after and before; `view_checks` are the
    conditions of views WITH CHECK OPTION that it has to meet, by their names; index
    expressions and predicates read `new` slots. `written`: the columns that the statement names itself,
    whose values its user knows. `watched`: whose values foreign keys have to know.
    """

    table: Table
    alias: str
    child: Node
    new: dict[int, Slot]
    checks: tuple[tuple[str, Expression], ...] = ()
    view_checks: tuple[tuple[str, Expression], ...] = ()
    generated: tuple[tuple[int, Expression], ...] = ()
    index_expressions: dict[tuple[int, int], Expression] = field(default_factory=dict)
    index_predicates: dict[int, Expression] = field(default_factory=dict)
    written: frozenset[int] = frozenset()
    watched: tuple[WatchedKey, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ConflictAction:
    """ON CONFLICT: `existing` and `excluded` are the slots of both rows by column number."""

    index_oids: tuple[int, ...]
    assignments: tuple[tuple[int, Expression], ...] | None
    where: Expression | None
    existing: dict[int, Slot]
    excluded: dict[int, Slot]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class InsertNode(Modification):
    """INSERT of the child's rows: `values` gives the expression of each column number."""

    values: dict[int, Expression]
    conflict: ConflictAction | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class UpdateNode(Modification):
    """UPDATE of the rows that the child yields in `row_slot`/`key_slot`.

    `assignments` read the old row's slots, `old`. `once`: the child may yield a row several times.
    """

    old: dict[int, Slot]
    assignments: tuple[tuple[int, Expression], ...]
    row_slot: int
    key_slot: int
    once: bool = False


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class DeleteNode(Modification):
    """DELETE of the rows that the child yields in `row_slot`/`key_slot`; RETURNING reads `new`."""

    row_slot: int
    key_slot: int
    once: bool = False


class MergeAction(NamedTuple):
    """What a WHEN of MERGE does to a row: `write` (None: nothing) has the child of its `MergeNode`."""

    matched: bool
    condition: Expression | None
    write: Modification | None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MergeNode(Modification):
    """MERGE: the first action whose condition is true for each row of the child.

    A row with NULL in `key_slot` is one of the source that matches nothing.
    """

    actions: tuple[MergeAction, ...]
    row_slot: int
    key_slot: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class IndexBuildNode(Modification):
    """The entries of one index for rows that are there already, as the child yields them."""

    index: Index
    row_slot: int
    key_slot: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CtePlan:
    """A CTE that is run at most once, and kept."""

    id: int
    name: str
    query: QueryPlan
    recursive: RecursivePlan | None = None
    modifies: bool = False

    @property
    def queries(self) -> tuple[QueryPlan, ...]:
        """The query, and its recursive part if it has one."""
        return (self.query,) if self.recursive is None else (self.query, self.recursive.query)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RecursivePlan:
    """The recursive part of a CTE; `distinct` for UNION."""

    query: QueryPlan
    distinct: bool


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Output:
    """What a query's column is called, and where it comes from."""

    name: str
    type_oid: int
    typmod: int = -1
    table_oid: int = 0
    number: int = 0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class QueryPlan:
    """A whole query: its top node, what it computes from the node's slots, and its CTEs."""

    node: Node
    expressions: tuple[Expression, ...]
    outputs: tuple[Output, ...]
    ctes: tuple[CtePlan, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Plan:
    """A planned statement. `tag` is the command tag's word.

    `is_generic`: with constants instead of parameters there may be a better plan. `watches`: it notes
    values for foreign keys. `rows`: how many its tables were taken to have, if it would be another one with
    others. `fault`: what it ends with before it has begun. `early`: calls whose arguments are known when it
    starts; were the parameters constants, their errors would be such faults.
    """

    query: QueryPlan
    parameter_types: tuple[int, ...]
    tag: str
    writes: bool
    is_generic: bool = False
    watches: bool = False
    rows: Planned = ()
    fault: SqlError | None = None
    early: tuple[Call | TextCast, ...] = ()
