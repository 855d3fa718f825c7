"""From a plan to a program: the node writers put together, compiled on first use.

A program has two kinds of functions, each compiled when it is first asked for: `rows`, a generator of
tuples; and per result formats an `emit` that writes DataRow messages. Text settings are read from the
context when a function starts, so one function serves all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import islice, zip_longest
from operator import itemgetter
from typing import Any

from dsql.encoding import keycode, rowcode
from dsql.encoding.keyspace import prefix_end
from dsql.executor import (
    datarow,
    distinct,
    grouping,
    joins,
    ordering,
    row_ids,
    rows,
    scans,
    sets,
    values,
    violations,
    windows,
)
from dsql.executor.code import Code
from dsql.executor.counts import limit_count, offset_count
from dsql.executor.generator import (
    Generator,
    Produce,
    TerminalLimit,
    tuple_code,
    unpack_code,
)
from dsql.executor.group_lists import GroupLists
from dsql.executor.grouped_rows import GroupedRows
from dsql.executor.hashed import HashedRows
from dsql.executor.index_build import produce_index_build
from dsql.executor.join_table import CountTable, JoinTable
from dsql.executor.key_set import KeySet
from dsql.executor.keyed_rows import KeyedRows
from dsql.executor.materialize import Results, produce_materialize
from dsql.executor.memory import Flight, Held
from dsql.executor.merge import produce_merge
from dsql.executor.meter import MeteringGenerator, measure
from dsql.executor.modify import produce_delete, produce_insert, produce_update
from dsql.executor.partition import DistinctInOrder, DistinctRows, GroupSpill
from dsql.executor.program import Emit, ExecutionContext, Measurement, OutputColumn
from dsql.executor.row_writes import secondary_indexes
from dsql.executor.shared_rows import SharedRows
from dsql.executor.sorting import Descending, SortedRows
from dsql.executor.source import Env
from dsql.executor.spill import Rows
from dsql.functions import builtin as builtin_functions
from dsql.functions import templates as function_templates
from dsql.limits import VALUE_BYTES_MAX
from dsql.planner import plan as p
from dsql.planner.planner import plan as plan_statement
from dsql.planner.row_counts import RowCounts
from dsql.sql.bound_query import BoundStatement
from dsql.transaction.interface import Mode
from dsql.transaction.write_buffer import too_many_rows
from dsql.types import templates as type_templates

NODES: dict[type, Produce] = {
    p.Result: rows.produce_result,
    p.Scan: scans.produce_scan,
    p.VirtualScan: scans.produce_virtual_scan,
    p.FunctionScan: rows.produce_function_scan,
    p.ValuesScan: rows.produce_values,
    p.SubqueryScan: rows.produce_subquery_scan,
    p.CteScan: sets.produce_cte_scan,
    p.CtePlan: sets.produce_cte,
    p.Filter: rows.produce_filter,
    p.Project: rows.produce_project,
    p.ProjectSet: rows.produce_project_set,
    p.NestedLoop: joins.produce_nested_loop,
    p.HashJoin: joins.produce_hash_join,
    p.Materialize: produce_materialize,
    p.AggregateNode: grouping.produce_aggregate,
    p.WindowNode: windows.produce_window,
    p.Sort: ordering.produce_sort,
    p.Limit: ordering.produce_limit,
    TerminalLimit: ordering.produce_terminal_limit,
    p.Distinct: distinct.produce_distinct,
    p.SetOperationNode: sets.produce_set_operation,
    p.LockRows: rows.produce_lock_rows,
    p.InsertNode: produce_insert,
    p.UpdateNode: produce_update,
    p.DeleteNode: produce_delete,
    p.MergeNode: produce_merge,
    p.IndexBuildNode: produce_index_build,
}

_NAMES: dict[str, Any] = {
    **rowcode.NAMES,
    **datarow.NAMES,
    **row_ids.NAMES,
    "islice": islice,
    "zip_longest": zip_longest,
    "itemgetter": itemgetter,
    "prefix_end": prefix_end,
    "checked": values.checked,
    "distinct_sorted": values.distinct_sorted,
    "subquery_rows_error": values.subquery_rows_error,
    "HashedRows": HashedRows,
    "Flight": Flight,
    "Held": Held,
    "CountTable": CountTable,
    "JoinTable": JoinTable,
    "KeySet": KeySet,
    "KeyedRows": KeyedRows,
    "Results": Results,
    "UNKNOWN": object(),
    "DistinctInOrder": DistinctInOrder,
    "DistinctRows": DistinctRows,
    "GroupSpill": GroupSpill,
    "GroupLists": GroupLists,
    "GroupedRows": GroupedRows,
    "Rows": Rows,
    "SortedRows": SortedRows,
    "Descending": Descending,
    "SharedRows": SharedRows,
    "window_values": windows.window_values,
    "limit_count": limit_count,
    "offset_count": offset_count,
    "LONGEST_KEY": violations.LONGEST_KEY,
    "VALUE_BYTES_MAX": VALUE_BYTES_MAX,
    "not_null_violation": violations.not_null_violation,
    "check_violation": violations.check_violation,
    "view_check_violation": violations.view_check_violation,
    "unique_violation": violations.unique_violation,
    "second_update": violations.second_update,
    "second_merge": violations.second_merge,
    "too_many_rows": too_many_rows,
    "key_too_large": violations.key_too_large,
    "check_row_size": violations.check_row_size,
    "EXCLUSIVE": Mode.EXCLUSIVE,
    "NON_KEY": Mode.NON_KEY,
    "SHARE": Mode.SHARE,
    "BLIND": Mode.BLIND,
}

assert builtin_functions.FAMILIES, "the functions' modules fill their templates' names"
_all_names: dict[str, Any] = {}


def global_names() -> Mapping[str, Any]:
    """Return what generated code may refer to besides its own names.

    Key templates enter their `struct` packers into `keycode.NAMES` as they are made.
    """
    if len(keycode.NAMES) != len(_all_names.get("KEY_NAMES", ())):
        _all_names.update(
            {**type_templates.NAMES, **function_templates.NAMES, **keycode.NAMES, **_NAMES}
        )
        _all_names["KEY_NAMES"] = frozenset(keycode.NAMES)
    return _all_names


class CompiledProgram:
    """See `dsql.executor.program.Program`. `sources` are the functions' sources by name."""

    def __init__(self, plan: p.Plan) -> None:
        self._plan = plan
        self.columns = tuple(
            OutputColumn(o.name, o.type_oid, o.typmod, o.table_oid, o.number)
            for o in plan.query.outputs
        )
        self.parameter_types = plan.parameter_types
        self.tag = plan.tag
        self.writes = plan.writes
        self.watches = plan.watches
        self.sources: dict[str, str] = {}
        self._rows: Callable[..., Iterator[tuple[Any, ...]]] | None = None
        self._load: Callable[..., int] | None = None
        self._load_new: Callable[..., bool] | None = None
        self._insert_new: Callable[..., bool] | None = None
        self._emitters: dict[tuple[int, ...], Emit] = {}

    @property
    def plan(self) -> p.Plan:
        """The plan it was made from, for EXPLAIN with other options."""
        return self._plan

    def rows(
        self, context: ExecutionContext, parameters: Sequence[Any]
    ) -> Iterator[tuple[Any, ...]]:
        """Run, yielding rows of runtime values; the generator returns the number of rows."""
        if self._rows is None:
            self._rows = self._compile_rows()
        return self._rows(context, parameters)

    def emit(
        self,
        context: ExecutionContext,
        parameters: Sequence[Any],
        out: bytearray,
        formats: tuple[int, ...],
    ) -> int:
        """Run to the end, appending DataRow messages to `out`; return the number of rows."""
        return self.emitter(formats)(context, parameters, out)

    def emitter(self, formats: tuple[int, ...]) -> Emit:
        """Return what `emit` calls for these formats."""
        function = self._emitters.get(formats)
        if function is None:
            function = self._emitters[formats] = self._compile_emit(formats)
        return function

    def load(
        self,
        context: ExecutionContext,
        rows: Iterable[Sequence[bytes | None]],
        decoders: Sequence[Callable[[bytes], Any]],
        before: int = 0,
    ) -> int:
        """See `dsql.executor.program.Program`."""
        if self._load is None:
            self._load = self._compile_load()
        return self._load(context, rows, decoders, before)

    def load_new(
        self,
        context: ExecutionContext,
        rows: Iterable[Sequence[bytes | None]],
        decoders: Sequence[Callable[[bytes], Any]],
        before: int = 0,
    ) -> bool:
        """See `dsql.executor.program.Program`."""
        if self._load_new is None:
            self._load_new = self._compile_load(assumes_new=True) if self._is_plain else _not_done
        return self._load_new(context, rows, decoders, before)

    def insert_new(self, context: ExecutionContext) -> bool:
        """Run an INSERT without parameters as `load_new` does."""
        if self._insert_new is None:
            self._insert_new = self._compile_insert_new() if self._is_plain else _not_done
        return self._insert_new(context)

    def measure(
        self,
        context: ExecutionContext,
        parameters: Sequence[Any],
        clock: Callable[[], float],
        smallest: int,
    ) -> Measurement:
        """See `dsql.executor.program.Program`."""

        def drop(generator: Generator, codes: Sequence[Code]) -> None:
            generator.source.line(tuple_code([code.text for code in codes]) if codes else "pass")

        generator = MeteringGenerator(NODES, _shared_tables(self._plan))
        arguments = "context, parameters"
        function = self._compile("measured", arguments, drop, yields=False, generator=generator)
        return measure(function, generator, context, parameters, clock, smallest)

    @property
    def _is_plain(self) -> bool:
        """True for an INSERT that needs to look at and write nothing but rows with a primary key."""
        node = self._plan.query.node
        return (
            isinstance(node, p.InsertNode)
            and node.conflict is None
            and not self._plan.query.ctes
            and node.table.primary_key is not None
            and not secondary_indexes(node.table)
        )

    def _compile_insert_new(self) -> Callable[..., bool]:
        generator = Generator(NODES, gathers=True, assumes_new=True)
        source = generator.source
        with source.nested("insert_new", "context"):
            source.line("touched = 0")
            self._gather(generator)
        function, self.sources["insert_new"] = source.compile("insert_new", global_names())
        return function  # type: ignore[no-any-return]

    def _gather(self, generator: Generator, loop: str = "", head: Sequence[str] = ()) -> None:
        """Write the statement, in a loop or not; its rows go to the transaction together at the end."""
        source = generator.source
        source.line(f"gathered = {{}}; room = touched + {generator.runtime('tx_room')}")
        with source.block(loop) if loop else nullcontext():
            for line in head:
                source.line(line)
            generator.query(self._plan.query, {}, lambda _codes, _env: None)
        if generator.assumes_new:
            with source.block("if context.transaction.may_have(gathered):"):
                source.line("return False")
        source.line("context.transaction.put_rows(gathered)")
        source.line("return True" if generator.assumes_new else "return touched - before")

    def _compile_load(self, *, assumes_new: bool = False) -> Callable[..., Any]:
        """Write the statement as the body of a loop over rows of its parameters."""
        generator = Generator(NODES, gathers=True, assumes_new=assumes_new)
        source = generator.source
        numbers = range(1, len(self.parameter_types) + 1)
        decoders, fields, parameters = (
            [f"{word}{number}" for number in numbers] for word in ("decode", "field", "parameter")
        )
        generator.bind_parameters(parameters)
        with source.nested("load", "context, rows, decoders, before"):
            source.line(f"{unpack_code(decoders)} = decoders")
            source.line("touched = before")
            decoded = [
                f"{value} = None if {field} is None else {decode}({field})"
                for value, field, decode in zip(parameters, fields, decoders, strict=True)
            ]
            self._gather(generator, f"for {unpack_code(fields)} in rows:", decoded)
        function, self.sources["load"] = source.compile("load", global_names())
        return function  # type: ignore[no-any-return]

    def _compile_rows(self) -> Callable[..., Iterator[tuple[Any, ...]]]:
        def give(generator: Generator, codes: Sequence[Code]) -> None:
            generator.source.line(f"yield {tuple_code([code.text for code in codes])}")

        return self._compile("rows", "context, parameters", give, yields=True)  # type: ignore[no-any-return]

    def _compile_emit(self, formats: tuple[int, ...]) -> Emit:
        types = [column.type_oid for column in self.columns]
        if len(formats) == 1:
            formats = formats * len(types)
        chosen = formats or (0,) * len(types)

        def give(generator: Generator, codes: Sequence[Code]) -> None:
            datarow.write_row(generator, codes, types, chosen)

        return self._compile("emit", "context, parameters, out", give, yields=False)  # type: ignore[no-any-return]

    def _compile(
        self,
        name: str,
        parameters: str,
        give: Callable[[Generator, Sequence[Code]], None],
        *,
        yields: bool,
        generator: Generator | None = None,
    ) -> Any:
        """Write and compile one function. It counts rows: those given, or those modified."""
        generator = generator or Generator(NODES, shared_tables=_shared_tables(self._plan))
        source = generator.source
        returning = bool(self.columns) or not self.writes
        modifies = isinstance(self._plan.query.node, p.Modification)

        def consume(codes: list[Code], _env: Env) -> None:
            if returning:
                row, flight = generator.in_flight(self._plan.query.expressions, codes)
                give(generator, row)
                if flight:
                    source.line(f"{flight}.clear()")
            if not modifies:
                source.line("touched += 1")

        with source.nested(name, parameters, stop="return touched"):
            source.line("touched = 0")
            generator.query(self._plan.query, {}, consume, terminal=True, whole=not yields)
            source.line("return touched")
            if yields:
                source.yields()
        function, text = source.compile(name, global_names())
        self.sources[f"{name} {len(self.sources) + 1}"] = text
        return function


def _not_done(*_arguments: Any) -> bool:
    return False


def _shared_tables(plan: p.Plan) -> frozenset[int]:
    """Return the tables that more than one part of a statement modifies: WITH may, at the top only."""
    nodes = [plan.query.node, *(cte.query.node for cte in plan.query.ctes)]
    tables = [node.table.oid for node in nodes if isinstance(node, p.Modification)]
    return frozenset(oid for oid in tables if tables.count(oid) > 1)


def compile_plan(plan: p.Plan) -> CompiledProgram:
    """Return the program of a plan."""
    return CompiledProgram(plan)


def prepare(statement: BoundStatement, counts: RowCounts | None = None) -> CompiledProgram:
    """Plan and compile a bound statement. `counts`: how many rows tables have."""
    return compile_plan(plan_statement(statement, counts))
