"""Code and run time of window functions.

The child's rows are kept, sorted by partition and order, and cut into partitions; each call is
computed for a whole partition at a time through `WindowRows`, and its values are put beside the rows.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from dsql.errors import SqlError, unsupported
from dsql.executor.expressions import Code
from dsql.executor.generator import Generator, tuple_code, unpack_code
from dsql.executor.grouping import distinct_key
from dsql.executor.ordering import sort_statements
from dsql.executor.source import Consume, Env
from dsql.executor.window_rows import WindowRows
from dsql.functions.function import Aggregate
from dsql.planner import plan as p
from dsql.planner.expressions import Slot, slots_of_all
from dsql.planner.plan_slots import made_slots
from dsql.sql.bound import SortKey, WindowCall
from dsql.types import oids, registry
from dsql.types.numeric import EXACT

_DAY = 86_400_000_000  # microseconds


def produce_window(
    generator: Generator, node: p.WindowNode, env: Env, required: set[int], consume: Consume
) -> None:
    """Write the sort, the calls and the loop over the finished rows.

    A kept row is (carried slots, partition values, order values, one tuple of arguments per call).
    """
    source = generator.source
    rows = source.fresh("rows")
    source.line(f"{rows} = []")
    first = node.calls[0][1]
    carried = sorted(required & made_slots(node.child))
    nullable = [False] * len(carried)

    def keep(inner: Env) -> None:
        for position, slot in enumerate(carried):
            nullable[position] = nullable[position] or inner[slot].nullable
        fields = [inner[slot].code for slot in carried]
        fields += generator.values(first.partition_by, inner)
        fields += generator.values([key.expression for key in first.order_by], inner)
        fields += [_call_inputs(generator, call, inner) for _, call in node.calls]
        source.line(f"{rows}.append({tuple_code(fields)})")
        generator.account(rows)

    reads = slots_of_all(call for _, call in node.calls)
    generator.produce(node.child, env, required | reads, keep)
    partition = len(carried)
    order = partition + len(first.partition_by)
    inputs = order + len(first.order_by)
    keys = [SortKey(expression=item) for item in first.partition_by] + list(first.order_by)
    if keys:
        sort_statements(generator, rows, keys, range(partition, inputs))
    results = _partitions(generator, node, rows, (partition, order, inputs))
    inner, names = generator.bind(env, carried, nullable)
    inner, call_names = generator.bind(
        inner, [slot.id for slot, _ in node.calls], [True] * len(node.calls)
    )
    row = source.fresh("row")
    with source.block(f"for {row}, {tuple_code(call_names)} in {_zip(rows, results)}:"):
        if names:
            source.line(f"{unpack_code(names)} = {row}[:{len(names)}]")
        consume(inner)


def _zip(rows: str, results: Sequence[str]) -> str:
    return f"zip({rows}, zip({', '.join(results)}))"


def _call_inputs(generator: Generator, call: WindowCall, env: Env) -> str:
    """Return code for a call's arguments in one row: (kept by FILTER, arguments, frame offsets)."""
    kept = (
        "True" if call.filter is None else f"bool({generator.expressions.true(call.filter, env)})"
    )
    arguments = tuple_code(generator.values(call.arguments, env))
    return f"({kept}, {arguments})"


def _partitions(
    generator: Generator, node: p.WindowNode, rows: str, places: tuple[int, int, int]
) -> list[str]:
    """Write the computation of every call over all partitions; return the lists of values."""
    source = generator.source
    partition, order, inputs = places
    first = node.calls[0][1]
    bounds = source.fresh("bounds")
    partition_codes = [Code(f"r[{partition + n}]", True) for n in range(len(first.partition_by))]
    key = distinct_key(generator, first.partition_by, partition_codes) if partition_codes else "()"
    source.line(f"{bounds} = window_bounds({rows}, lambda r: {key})")
    order_codes = [Code(f"r[{order + n}]", True) for n in range(len(first.order_by))]
    expressions = [item.expression for item in first.order_by]
    peer = distinct_key(generator, expressions, order_codes) if order_codes else "()"
    results = []
    for number, (slot, call) in enumerate(node.calls):
        name = source.fresh("values")
        compute = source.constant(_computer(slot, call), "window")
        offsets = [
            "None" if bound[1] is None else generator.value(bound[1], {}).text
            for bound in (call.frame.start, call.frame.end)
        ]
        source.line(
            f"{name} = {compute}({rows}, {bounds}, {inputs + number}, lambda r: {peer}, "
            f"lambda r: r[{order}], {tuple_code(offsets)}, context)"
        )
        results.append(name)
    return results


def window_bounds(
    rows: Sequence[tuple[Any, ...]], key: Callable[[tuple[Any, ...]], Any]
) -> list[tuple[int, int]]:
    """Return the half-open ranges of sorted rows that agree in `key`."""
    bounds = []
    start = 0
    previous: Any = None
    for index, row in enumerate(rows):
        current = key(row)
        if index and current != previous:
            bounds.append((start, index))
            start = index
        previous = current
    if rows:
        bounds.append((start, len(rows)))
    return bounds


Computer = Callable[..., list[Any]]


def _computer(slot: Slot, call: WindowCall) -> Computer:
    """Return the function that computes a call for all partitions of sorted rows."""
    del slot
    frame_maker = FrameMaker(call)

    def compute(
        rows: Sequence[tuple[Any, ...]],
        bounds: Sequence[tuple[int, int]],
        place: int,
        peer_key: Callable[[Any], Any],
        order_value: Callable[[Any], Any],
        offsets: tuple[Any, Any],
        context: Any,
    ) -> list[Any]:
        values: list[Any] = []
        for start, end in bounds:
            part = rows[start:end]
            peers = [span for span in window_bounds(part, peer_key) for _ in range(*span)]
            inputs = [row[place] for row in part]
            arguments = [item[1] for item in inputs]
            frames = frame_maker.frames(part, peers, order_value, offsets)
            view = WindowRows(arguments, peers, frames)
            if isinstance(call.function, Aggregate):
                kept = [item[0] for item in inputs]
                values += _aggregate(call, call.function, view, kept, context)
            else:
                values += call.function.compute(view)
        return values

    return compute


def _aggregate(
    call: WindowCall, aggregate: Aggregate, rows: WindowRows, kept: Sequence[bool], context: Any
) -> Iterator[Any]:
    """Yield an aggregate over each row's frame; a frame that only grows is stepped through once."""

    def step(accumulator: Any, index: int) -> Any:
        arguments = rows.arguments[index]
        if not kept[index] or (not aggregate.keeps_nulls and None in arguments):
            return accumulator
        return aggregate.step(accumulator, *arguments)

    given = (context,) if aggregate.needs_context else ()
    growing = call.frame.start[0] == "unbounded preceding" and not call.frame.exclusion
    accumulator, done = aggregate.initial(*given), 0
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
            if isinstance(previous, list):
                previous = previous.copy()  # array_agg goes on appending to it
        else:
            accumulator = aggregate.initial(*given)
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
        self,
        part: Sequence[tuple[Any, ...]],
        peers: Sequence[tuple[int, int]],
        order_value: Callable[[Any], Any],
        offsets: tuple[Any, Any],
    ) -> Callable[[int], Sequence[int]]:
        """Return the function from a row's index to the indexes of its frame."""
        self._check(offsets)
        starts, ends = self._frame.start[0], self._frame.end[0]
        locate = {
            "rows": self._rows_bound,
            "groups": self._groups_bound,
            "range": self._range_bound,
        }[self._frame.mode]
        state = _Partition(part, peers, order_value, self._keys)

        def frame(row: int) -> Sequence[int]:
            low = (
                0 if starts == "unbounded preceding" else locate(state, row, starts, offsets[0], 0)
            )
            high = (
                len(part)
                if ends == "unbounded following"
                else locate(state, row, ends, offsets[1], 1)
            )
            span = range(max(low, 0), max(min(high, len(part)), max(low, 0)))
            return self._exclude(span, row, peers[row])

        return frame

    def _check(self, offsets: tuple[Any, Any]) -> None:
        for (kind, _), offset, word in zip(
            (self._frame.start, self._frame.end), offsets, ("starting", "ending"), strict=True
        ):
            if kind not in ("preceding", "following"):
                continue
            if offset is None:
                raise SqlError("22004", f"frame {word} offset must not be null")
            if isinstance(offset, float | Decimal) and (offset != offset or offset < 0):
                raise SqlError("22013", "invalid preceding or following size in window function")
            if isinstance(offset, int) and offset < 0:
                raise SqlError("22013", f"frame {word} offset must not be negative")

    @staticmethod
    def _rows_bound(_state: _Partition, row: int, kind: str, offset: int, end: int) -> int:
        if kind == "current row":
            return row + end
        return row + end + (-offset if kind == "preceding" else offset)

    @staticmethod
    def _groups_bound(state: _Partition, row: int, kind: str, offset: Any, end: int) -> int:
        group = state.group[row]
        if kind != "current row":
            group += -offset if kind == "preceding" else offset
        if group < 0:
            return 0
        if group >= len(state.groups):
            return len(state.group)
        return state.groups[group][end]

    @staticmethod
    def _range_bound(state: _Partition, row: int, kind: str, offset: Any, end: int) -> int:
        if kind == "current row" or state.values[row] is None:
            return state.peers[row][end]
        descending = state.keys[0].descending
        forward = (kind == "following") != descending
        edge = state.shift(state.values[row], offset, forward=forward)
        return state.position(edge, end)

    def _exclude(self, span: range, row: int, peers: tuple[int, int]) -> Sequence[int]:
        exclusion = self._frame.exclusion
        if not exclusion or exclusion == "no others":
            return span
        if exclusion == "current row":
            return [index for index in span if index != row]
        low, high = peers
        keep_row = exclusion == "ties"
        return [i for i in span if not low <= i < high or (keep_row and i == row)]


class _Partition:
    """What frame bounds look up in one partition."""

    def __init__(
        self,
        part: Sequence[tuple[Any, ...]],
        peers: Sequence[tuple[int, int]],
        order_value: Callable[[Any], Any],
        keys: Sequence[SortKey],
    ) -> None:
        self.peers = peers
        self.keys = keys
        self.groups = list(dict.fromkeys(peers))
        numbers = {span: number for number, span in enumerate(self.groups)}
        self.group = [numbers[span] for span in peers]
        self.values = [order_value(row) for row in part] if keys else [None] * len(part)
        present = [i for i, value in enumerate(self.values) if value is not None]
        self._first = present[0] if present else 0
        self._last = present[-1] + 1 if present else 0

    def shift(self, value: Any, offset: Any, *, forward: bool) -> Any:
        """Return value +- offset in the type of the order column."""
        type_oid = self.keys[0].expression.type_oid
        if isinstance(offset, tuple):
            return _shift_by_interval(value, offset, type_oid, forward=forward)
        if isinstance(value, Decimal):
            edge = EXACT.add(value, offset) if forward else EXACT.subtract(value, offset)
        else:
            edge = value + offset if forward else value - offset
        if edge != edge and value == value:
            # Infinity less infinity: no value lies beyond such an edge.
            return type(edge)("inf" if forward else "-inf")
        return edge

    def position(self, edge: Any, end: int) -> int:
        """Return where `edge` stands among the values: before its equals, or (end) after them."""
        values = self.values[self._first : self._last]
        sort_key = registry.get(self.keys[0].expression.type_oid).sort_key
        if sort_key is not None:
            values, edge = [sort_key(value) for value in values], sort_key(edge)
        if self.keys[0].descending:
            values.reverse()
            find = bisect_left if end else bisect_right
            return self._first + len(values) - find(values, edge)
        return self._first + (bisect_right if end else bisect_left)(values, edge)


def _shift_by_interval(value: Any, offset: Any, type_oid: int, *, forward: bool) -> Any:
    """Add an interval (months, days, microseconds) to a date, timestamp or time."""
    if type_oid in (oids.TIME, oids.TIMETZ):  # months and days do not count
        change = offset[2] if forward else -offset[2]
        return value + change if type_oid == oids.TIME else (value[0] + change, value[1])
    months, days, microseconds = offset if forward else tuple(-part for part in offset)
    if months:
        raise unsupported("RANGE offsets of months are not supported")
    if type_oid == oids.DATE:
        return value + days + microseconds / _DAY
    return value + days * _DAY + microseconds
