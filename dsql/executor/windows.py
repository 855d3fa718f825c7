"""Code and run time of window functions.

The child's rows are kept, sorted by partition and order, and cut into partitions, one at a time; a large
one lies in temporary space. Each call yields its values over a partition through `WindowRows`, and they
are put beside the rows.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

from dsql.errors import SqlError
from dsql.executor.code import Code
from dsql.executor.distinct import distinct_key
from dsql.executor.generator import Generator, tuple_code, unpack_code
from dsql.executor.memory import Held, StatementMemory
from dsql.executor.ordering import sorter_arguments, write_sorter
from dsql.executor.range_offsets import check_range_offset, shifted
from dsql.executor.source import Consume, Env
from dsql.executor.spill import Rows
from dsql.executor.window_rows import WindowRows
from dsql.functions.function import Aggregate
from dsql.planner import plan as p
from dsql.planner.expressions import Slot, slots_of_all
from dsql.sql.bound import SortKey, WindowCall
from dsql.types import registry
from dsql.types.size import POINTER_BYTES

_SPAN_BYTES = 120  # a tuple of two integers
_NUMBER_BYTES = 40  # an integer and the pointer to it


def produce_window(
    generator: Generator, node: p.WindowNode, env: Env, required: set[int], consume: Consume
) -> None:
    """Write the sort, the calls and the loop over the finished rows.

    A kept row is (carried slots, partition values, order values, one tuple of arguments per call).
    """
    source = generator.source
    first = node.calls[0][1]
    keys = [SortKey(expression=item) for item in first.partition_by] + list(first.order_by)
    functions = source.fresh("order"), source.fresh("key")
    if keys:
        kept, rows = generator.keep("SortedRows", sorter_arguments(functions, keys))
    else:
        kept, rows = generator.keep()
    carried = sorted(required & generator.made.slots(node.child))
    types = generator.made.types(node.child)
    field_types = [types.get(slot, 0) for slot in carried]
    field_types += [key.expression.type_oid for key in keys] + [0] * len(node.calls)
    nullable = [False] * len(carried)

    def keep(inner: Env) -> None:
        for position, slot in enumerate(carried):
            nullable[position] = nullable[position] or inner[slot].nullable
        fields = [inner[slot].code for slot in carried]
        fields += [generator.kept_value(key.expression, inner).text for key in keys]
        arguments = [item for _, call in node.calls for item in call.arguments]
        codes = [generator.kept_value(item, inner).text for item in arguments]
        fields += _inputs(generator, node, codes, inner)
        generator.append(kept, rows, fields, field_types)
        generator.note_large(kept, codes, [item.type_oid for item in arguments])

    reads = slots_of_all(call for _, call in node.calls)
    generator.produce(node.child, env, required | reads, keep)
    partition = len(carried)
    order = partition + len(first.partition_by)
    inputs = order + len(first.order_by)
    if keys:
        write_sorter(generator, functions, keys, range(partition, inputs), ())
    inner, names = generator.bind(env, carried, nullable)
    inner, call_names = generator.bind(
        inner, [slot.id for slot, _ in node.calls], [True] * len(node.calls)
    )
    row = source.fresh("row")
    values = _values(generator, node, env, kept, (partition, order, inputs))
    with source.block(f"for {row}, {tuple_code(call_names)} in {values}:"):
        if names:
            source.line(f"{unpack_code(names)} = {row}[:{len(names)}]")
        consume(inner)


def _inputs(generator: Generator, node: p.WindowNode, codes: Sequence[str], env: Env) -> list[str]:
    """Return code for what each call takes of a row: (kept by FILTER, arguments)."""
    fields, place = [], 0
    for _, call in node.calls:
        kept = "True"
        if call.filter is not None:
            kept = f"bool({generator.expressions.true(call.filter, env)})"
        end = place + len(call.arguments)
        fields.append(f"({kept}, {tuple_code(codes[place:end])})")
        place = end
    return fields


def _values(
    generator: Generator, node: p.WindowNode, env: Env, kept: str, places: tuple[int, int, int]
) -> str:
    """Return code for the pairs (row, the values of all calls) over all partitions."""
    source = generator.source
    partition, order, inputs = places
    first = node.calls[0][1]
    partition_codes = [Code(f"r[{partition + n}]", True) for n in range(len(first.partition_by))]
    key = distinct_key(generator, first.partition_by, partition_codes) if partition_codes else "()"
    order_codes = [Code(f"r[{order + n}]", True) for n in range(len(first.order_by))]
    expressions = [item.expression for item in first.order_by]
    peer = distinct_key(generator, expressions, order_codes) if order_codes else "()"
    computers = []
    for number, (slot, call) in enumerate(node.calls):
        compute = source.constant(_computer(slot, call), "window")
        offsets = [
            "None" if bound[1] is None else generator.value(bound[1], env).text
            for bound in (call.frame.start, call.frame.end)
        ]
        computers.append(f"({compute}, {inputs + number}, {tuple_code(offsets)})")
    shape = f"lambda r: {key}, lambda r: {peer}, lambda r: r[{order}]"
    return f"window_values({kept}, {tuple_code(computers)}, {shape}, context)"


Row = tuple[Any, ...]
Key = Callable[[Row], Any]


def window_values(
    kept: Rows,
    computers: Sequence[tuple[Computer, int, tuple[Any, Any]]],
    partition_key: Key,
    peer_key: Key,
    order_value: Key,
    context: Any,
) -> Iterator[tuple[Row, tuple[Any, ...]]]:
    """Yield (row, values of the calls) for sorted rows, partition by partition.

    A computer comes with the place of its arguments in a row and its frame's offsets.
    """
    for rows in window_partitions(kept, partition_key):
        part = _Partition(rows, peer_key, order_value, context.memory)
        values = [compute(part, place, offsets, context) for compute, place, offsets in computers]
        yield from zip(rows, zip(*values, strict=True), strict=True)


def window_partitions(kept: Rows, key: Key) -> Iterator[Sequence[Row]]:
    """Yield the sequences of sorted rows that agree in `key`."""
    rows = kept.sequence()
    for start, end in window_bounds(rows, key):
        yield rows[start:end]


def window_bounds(rows: Iterable[Row], key: Key) -> Iterator[tuple[int, int]]:
    """Yield the half-open ranges of sorted rows that agree in `key`."""
    start, end = 0, 0
    previous: Any = None
    for row in rows:
        current = key(row)
        if end and current != previous:
            yield start, end
            start = end
        previous = current
        end += 1
    if end:
        yield start, end


Computer = Callable[..., Iterator[Any]]


def _computer(slot: Slot, call: WindowCall) -> Computer:
    """Return the function that yields a call's values over a partition."""
    del slot
    frame_maker = FrameMaker(call)

    def compute(
        part: _Partition, place: int, offsets: tuple[Any, Any], context: Any
    ) -> Iterator[Any]:
        arguments = part.column(place, 1)
        view = WindowRows(arguments, part.peers, frame_maker.frames(part, offsets, context))
        if isinstance(call.function, Aggregate):
            return _aggregate(call, call.function, view, part.column(place, 0), context)
        return iter(call.function.compute(view))

    return compute


def _aggregate(
    call: WindowCall, aggregate: Aggregate, rows: WindowRows, kept: Sequence[bool], context: Any
) -> Iterator[Any]:
    """Yield an aggregate over each row's frame; a frame that only grows is stepped through once."""
    held = context.memory.hold()

    def step(accumulator: Any, index: int) -> Any:
        arguments = rows.arguments[index]
        if not kept[index] or (not aggregate.keeps_nulls and None in arguments):
            return accumulator
        if aggregate.item is not None:
            arguments = (aggregate.item(context, *arguments),)
        if aggregate.gathers:
            held.large(arguments)
        return aggregate.step(accumulator, *arguments)

    growing = call.frame.start[0] == "unbounded preceding" and not call.frame.exclusion
    accumulator, done = aggregate.initial(), 0
    previous: Any = None
    for row in range(len(rows)):
        frame = rows.frame(row)
        if growing and isinstance(frame, range):
            if row and frame.stop == done:
                yield previous
                continue
            for index in range(done, frame.stop):
                accumulator = step(accumulator, index)
            done = frame.stop
            previous = aggregate.final(accumulator)
        else:
            accumulator = aggregate.initial()
            held.clear()
            for index in frame:
                accumulator = step(accumulator, index)
            previous = aggregate.final(accumulator)
        yield previous


class FrameMaker:
    """Works out the frame of each row by one call's frame clause."""

    def __init__(self, call: WindowCall) -> None:
        self._frame = call.frame
        self._keys = call.order_by

    def frames(
        self, part: _Partition, offsets: tuple[Any, Any], context: Any
    ) -> Callable[[int], Sequence[int]]:
        """Return the function from a row's index to the indexes of its frame."""
        self._check(offsets)
        starts, ends = self._frame.start[0], self._frame.end[0]
        locate = {
            "rows": self._rows_bound,
            "groups": self._groups_bound,
            "range": self._range_bound,
        }[self._frame.mode]
        state = _Ordered(part, self._keys, context) if self._frame.mode == "range" else part
        count = len(part.rows)

        def frame(row: int) -> Sequence[int]:
            low = (
                0 if starts == "unbounded preceding" else locate(state, row, starts, offsets[0], 0)
            )
            high = (
                count if ends == "unbounded following" else locate(state, row, ends, offsets[1], 1)
            )
            span = range(max(low, 0), max(min(high, count), max(low, 0)))
            return self._exclude(span, row, part.peers)

        return frame

    def _check(self, offsets: tuple[Any, Any]) -> None:
        for (kind, _), offset, word in zip(
            (self._frame.start, self._frame.end), offsets, ("starting", "ending"), strict=True
        ):
            if kind not in ("preceding", "following"):
                continue
            if offset is None:
                raise SqlError("22004", f"frame {word} offset must not be null")
            if self._frame.mode == "range":
                check_range_offset(offset, self._keys[0].expression.type_oid)
            elif offset < 0:
                raise SqlError("22013", f"frame {word} offset must not be negative")

    @staticmethod
    def _rows_bound(_part: Any, row: int, kind: str, offset: int, end: int) -> int:
        if kind == "current row":
            return row + end
        return row + end + (-offset if kind == "preceding" else offset)

    @staticmethod
    def _groups_bound(part: Any, row: int, kind: str, offset: Any, end: int) -> int:
        group = part.group_numbers[row]
        if kind != "current row":
            group += -offset if kind == "preceding" else offset
        if group < 0:
            return 0
        if group >= len(part.groups):
            return len(part.rows)
        return part.groups[group][end]  # type: ignore[no-any-return]

    @staticmethod
    def _range_bound(state: Any, row: int, kind: str, offset: Any, end: int) -> int:
        if kind == "current row" or state.values[row] is None:
            return state.part.peers(row)[end]  # type: ignore[no-any-return]
        descending = state.keys[0].descending
        forward = (kind == "following") != descending
        edge = state.shift(state.values[row], offset, forward=forward)
        return state.position(edge, end)  # type: ignore[no-any-return]

    def _exclude(self, span: range, row: int, peers: Callable[[int], Span]) -> Sequence[int]:
        exclusion = self._frame.exclusion
        if not exclusion or exclusion == "no others":
            return span
        if exclusion == "current row":
            return [index for index in span if index != row]
        low, high = peers(row)
        keep_row = exclusion == "ties"
        return [i for i in span if not low <= i < high or (keep_row and i == row)]


Span = tuple[int, int]


class _Partition:
    """The sorted rows of one partition, and what calls and frames look up in it."""

    def __init__(
        self, rows: Sequence[Row], peer_key: Key, order_value: Key, memory: StatementMemory
    ) -> None:
        self.rows = rows
        self._peer_key = peer_key
        self.order_value = order_value
        self.held = Held(memory)

    def column(self, place: int, part: int) -> Sequence[Any]:
        """Return part of a field of all rows: what a call takes of them."""
        if isinstance(self.rows, list):
            return [row[place][part] for row in self.rows]
        return _Column(self.rows, place, part)

    def peers(self, row: int) -> Span:
        """Return the range of rows that ORDER BY does not tell apart from a row."""
        return self._peers[row]

    @cached_property
    def groups(self) -> list[Span]:
        """The ranges of peers, in order."""
        return list(window_bounds(self.rows, self._peer_key))

    @cached_property
    def _peers(self) -> list[Span]:
        self.held.add(len(self.groups) * _SPAN_BYTES + len(self.rows) * POINTER_BYTES)
        return [span for span in self.groups for _ in range(*span)]

    @cached_property
    def group_numbers(self) -> list[int]:
        """The number of each row's range of peers."""
        self.held.add(len(self.rows) * _NUMBER_BYTES)
        return [n for n, span in enumerate(self.groups) for _ in range(*span)]


class _Column(Sequence[Any]):
    """Part of a field of rows in temporary space."""

    def __init__(self, rows: Sequence[Row], place: int, part: int) -> None:
        self._rows = rows
        self._place = place
        self._part = part

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: Any) -> Any:
        return self._rows[row][self._place][self._part]


class _Ordered:
    """The values of a partition's one order column, for RANGE frames."""

    def __init__(self, part: _Partition, keys: Sequence[SortKey], context: Any) -> None:
        self.part = part
        self.keys = keys
        self._context = context

    @cached_property
    def values(self) -> list[Any]:
        """The values in order."""
        rows = self.part.rows
        if not self.keys:
            return [None] * len(rows)
        values = [self.part.order_value(row) for row in rows]
        self.part.held.add(len(values) * _NUMBER_BYTES)
        return values

    @cached_property
    def _present(self) -> Span:
        """The range of rows whose values are not NULL."""
        present = [i for i, value in enumerate(self.values) if value is not None]
        return (present[0], present[-1] + 1) if present else (0, 0)

    def shift(self, value: Any, offset: Any, *, forward: bool) -> Any:
        """Return value +- offset, None where that is no number."""
        type_oid = self.keys[0].expression.type_oid
        return shifted(value, offset, type_oid, self._context, forward=forward)

    def position(self, edge: Any, end: int) -> int:
        """Return where `edge` stands among the values: before its equals, or (end) after them.

        None is an edge that lets every number in, as PostgreSQL's in_range_float8_float8 has it.
        """
        if edge is None:
            infinity = "inf" if bool(end) != self.keys[0].descending else "-inf"
            edge = type(self.values[self._present[0]])(infinity)
        first, last = self._present
        values = self.values[first:last]
        sort_key = registry.get(self.keys[0].expression.type_oid).sort_key
        if sort_key is not None:
            values, edge = [sort_key(value) for value in values], sort_key(edge)
        if self.keys[0].descending:
            values.reverse()
            find = bisect_left if end else bisect_right
            return first + len(values) - find(values, edge)
        return first + (bisect_right if end else bisect_left)(values, edge)
