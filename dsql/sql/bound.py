"""Bound expressions: names resolved, everything typed, every cast explicit.

The binder makes these, the planner reads them; they know nothing of sqlglot or of text. Nodes compare by
identity. `position` is the 1-based character in the statement for runtime errors that have one, else 0.

A column is (range-table entry, column index): `ColumnRef(entry=2, column=0)` is the first column of
`query.range_table[2]`; `levels_up` counts enclosing queries. The queries are in `bound_query`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dsql.functions.function import Aggregate, Function, WindowFunction

if TYPE_CHECKING:
    from dsql.sql.bound_query import Query


class Noted:
    """Room for what was found out about a node. Not a field: no copy takes it along."""

    __slots__ = ("facts",)
    facts: Any


@dataclass(slots=True, eq=False, kw_only=True)
class Expression(Noted):
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
class Given(Expression):
    """What differs between expressions that are otherwise alike: a value, or a Parameter, for each."""

    values: Sequence[Any]
    nullable: bool


@dataclass(slots=True, eq=False, kw_only=True)
class Alike(Expression):
    """Many expressions of some kinds in a row; `order` has the number of each one's kind.

    A kind is a template, of one expression or, in CASE and VALUES, of several: its nth expression has the
    nth of the values of every `Given` in it. No template has a query, an aggregate or a window call.
    `joined`: And, Or or Coalesce, whose value over all of them this is. Without that it stands for so many
    items among the elements, branches, arguments or rows of an array, CASE, GREATEST, LEAST or VALUES.
    """

    templates: list[tuple[Expression, ...]]
    order: list[int]
    joined: type[Expression] | None = None


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

    branches: list[tuple[Expression, Expression] | Alike]
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
    indexes: Sequence[Expression | None]
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
    # Fields that were written without a type, by their place: text unless the row becomes another one's.
    literals: dict[int, Any] = field(default_factory=dict)


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

    The three-valued result is over all rows of `query`; with several columns the pairs are and-ed. Where
    rows are ordered, as by RowCompare, `functions` has those of < for each pair and then those of =.
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
