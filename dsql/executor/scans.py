"""Code of scans: keys from access paths, loops over ranges, and columns from row values.

A unique access over the table's own key is a `read`; anything else a loop over `scan`, in chunks so that
cancellation is looked at now and then. Neither sees what the running statement writes. Only the columns
that someone needs are taken from the decoded list, those of the filter first.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from dsql.catalog.schema import Index, Table
from dsql.encoding.keycode import NOT_NULL, KeyColumn, index_key_template, table_key_template
from dsql.encoding.keyspace import keyspace_range
from dsql.executor.generator import Generator
from dsql.executor.source import Binding, Consume, Env
from dsql.planner import plan as p
from dsql.planner.expressions import Slot, slots_of_all
from dsql.types import registry


def key_columns(table: Table, index: Index) -> list[KeyColumn]:
    """Return how the parts of a secondary index are encoded."""
    return [
        KeyColumn(
            type_oid=(
                table.columns[part.column_number - 1].type_oid
                if part.column_number
                else part.type_oid
            ),
            nullable=not (part.column_number and column_is_present(table, part.column_number)),
            descending=part.descending,
            nulls_first=part.nulls_first,
        )
        for part in index.columns
    ]


def column_is_present(table: Table, number: int) -> bool:
    """Return True if the column can not be NULL."""
    primary = table.primary_key
    keys = {part.column_number for part in primary.columns} if primary is not None else set()
    return table.columns[number - 1].is_present or number in keys


def primary_types(table: Table) -> list[int]:
    """Return the types of the primary key's columns."""
    primary = table.primary_key
    assert primary is not None
    return [table.columns[part.column_number - 1].type_oid for part in primary.columns]


def produce_scan(
    generator: Generator, node: p.Scan, env: Env, required: set[int], consume: Consume
) -> None:
    """Write a scan of a stored table."""
    source = generator.source

    def with_row(key: str, value: str) -> None:
        _row(generator, node, key, value, env, required, consume)

    with ExitStack() as blocks:
        prefix = _prefix(generator, node, env, blocks)
        if prefix is None:
            return
        ends = _ends(generator, node, env, blocks)
        primary = node.index is None or node.index.primary
        covered = not primary and node.is_covered(required)
        key, value = source.fresh("key"), source.fresh("value")
        if node.access.unique:
            _lookup(generator, node, prefix, key, value, blocks, primary=primary, covered=covered)
        else:
            low, high = _range(generator, node, prefix, ends)
            _loop(generator, node, low, high, (key, value), blocks)
            if not primary and not covered:
                key, entry = value, value
                value = source.fresh("value")
                source.line(f"{value} = {generator.runtime('tx_read')}({entry})")
                blocks.enter_context(source.block(f"if {value} is not None:"))
        with_row(key, value)


def _prefix(generator: Generator, node: p.Scan, env: Env, blocks: ExitStack) -> list[str] | None:
    """Write the values of the equality prefix: NULL matches nothing, lists become loops."""
    source = generator.source
    names = []
    for number, part in enumerate(node.access.prefix):
        if isinstance(part, p.AnyOf):
            names.append(_list_loop(generator, node, number, part, env, blocks))
            continue
        code = generator.expressions.atom(part, env)
        if code.text == "None":
            return None
        if code.nullable:
            blocks.enter_context(source.block(f"if {code.text} is not None:"))
        names.append(code.text)
    return names


def _list_loop(
    generator: Generator, node: p.Scan, number: int, part: p.AnyOf, env: Env, blocks: ExitStack
) -> str:
    source = generator.source
    assert node.index is not None
    sort_key = registry.get(key_columns(node.table, node.index)[number].type_oid).sort_key
    array = generator.value(part.array, env).text
    key = f", {source.constant(sort_key)}" if sort_key is not None else ""
    items = f"distinct_sorted({array}{key})"
    if node.reverse:
        items = f"reversed({items})"
    name = source.fresh("item")
    blocks.enter_context(source.block(f"for {name} in {items}:"))
    return name


def _ends(generator: Generator, node: p.Scan, env: Env, blocks: ExitStack) -> tuple[str, str]:
    """Write the values of the range's ends; "" for an open end."""
    names = []
    for end in (node.access.low, node.access.high):
        if end is None:
            names.append("")
            continue
        code = generator.expressions.atom(end.value, env)
        if code.nullable:
            blocks.enter_context(generator.source.block(f"if {code.text} is not None:"))
        names.append(code.text)
    return names[0], names[1]


def _template(node: p.Scan, parts: int) -> str:
    """Return the template of a key prefix of so many parts."""
    table, index = node.table, node.index
    if index is None or index.primary:
        types = primary_types(table)[:parts] if index is not None else []
        return table_key_template(table.keyspace_id, types)
    columns = [
        KeyColumn(column.type_oid, False, column.descending, column.nulls_first)
        for column in key_columns(table, index)[:parts]
    ]
    return index_key_template(index.keyspace_id, columns)


def _lookup(
    generator: Generator,
    node: p.Scan,
    prefix: Sequence[str],
    key: str,
    value: str,
    blocks: ExitStack,
    *,
    primary: bool,
    covered: bool,
) -> None:
    source, read = generator.source, generator.runtime("tx_read")
    code = _template(node, len(prefix)).format(*prefix)
    if primary:
        source.line(f"{key} = {code}")
    else:
        source.line(f"{key} = {read}({code})")
        blocks.enter_context(source.block(f"if {key} is not None:"))
    if covered:
        return
    source.line(f"{value} = {read}({key})")
    blocks.enter_context(source.block(f"if {value} is not None:"))


def _range(
    generator: Generator, node: p.Scan, prefix: Sequence[str], ends: tuple[str, str]
) -> tuple[str, str]:
    """Write the first key and the end of the range; return their names."""
    source, access = generator.source, node.access
    if access.whole:
        index = node.index
        secondary = index is not None and not index.primary
        assert index is not None or not secondary
        keyspace = index.keyspace_id if secondary and index else node.table.keyspace_id
        bounds = keyspace_range(keyspace)
        return source.constant(bounds[0]), source.constant(bounds[1])
    low, high = source.fresh("low"), source.fresh("high")
    start = _template(node, len(prefix)).format(*prefix)
    if access.present:
        start = f"{start} + {NOT_NULL!r}"
    longer = _template(node, len(prefix) + 1) if any(ends) else ""
    if access.low is None:
        source.line(f"{low} = {start}")
    else:
        first = longer.format(*prefix, ends[0])
        source.line(f"{low} = {first if access.low.inclusive else f'prefix_end({first})'}")
    if access.high is None:
        source.line(f"{high} = prefix_end({start if access.low is not None else low})")
    else:
        last = longer.format(*prefix, ends[1])
        source.line(f"{high} = {f'prefix_end({last})' if access.high.inclusive else last}")
    return low, high


def _loop(
    generator: Generator,
    node: p.Scan,
    low: str,
    high: str,
    pair: tuple[str, str],
    blocks: ExitStack,
) -> None:
    """Write the loop over a range. The first chunk is short: LIMIT often needs no more."""
    source = generator.source
    iterator, chunk, size = (source.fresh(prefix) for prefix in ("scan", "chunk", "size"))
    reverse = ", reverse=True" if node.reverse else ""
    source.line(f"{iterator} = {generator.runtime('tx_scan')}({low}, {high}{reverse})")
    source.line(f"{size} = 16")
    blocks.enter_context(source.block(f"while {chunk} := list(islice({iterator}, {size})):"))
    source.line(f"{size} = 256")
    source.line(f"{generator.runtime('check')}()")
    blocks.enter_context(source.block(f"for {pair[0]}, {pair[1]} in {chunk}:"))


def _row(
    generator: Generator,
    node: p.Scan,
    key: str,
    value: str,
    env: Env,
    required: set[int],
    consume: Consume,
) -> None:
    """Write what happens to one row value: decode, filter, bind."""
    source = generator.source
    generator.scanned(node)
    filtered = slots_of_all(node.filter)
    needed = {
        slot.id: (number, slot)
        for number, slot in node.columns.items()
        if slot.id in required or slot.id in filtered
    }
    row = ""
    if needed or node.row_slot:
        row = source.fresh("row")
        source.line(f"{row} = decode_row({value})")
        _pad(generator, node, row, [number for number, _ in needed.values()])
    inner: dict[int, Binding] = dict(env)
    if node.row_slot:
        inner[node.row_slot] = Binding(row, nullable=False)
    if node.key_slot:
        inner[node.key_slot] = Binding(key, nullable=False)
    first = [item for slot, item in needed.items() if slot in filtered]
    rest = [item for slot, item in needed.items() if slot not in filtered]
    bind_columns(generator, row, first, inner)
    with generator.conditions(node.filter, inner):
        bind_columns(generator, row, rest, inner)
        consume(inner)


def _pad(generator: Generator, node: p.Scan, row: str, numbers: Sequence[int]) -> None:
    """Lengthen a row written before its last columns were added.

    A row holds at least every column up to the last one that can not be NULL and has no `missing` value.
    """
    if node.row_slot:
        numbers = [len(node.table.columns)]
    always = max(
        (
            c.number
            for c in node.table.columns
            if c.missing is None and column_is_present(node.table, c.number)
        ),
        default=0,
    )
    last = max(numbers, default=0)
    if last > always:
        lengthen(generator, node.table, row, last)


def lengthen(generator: Generator, table: Table, row: str, count: int) -> None:
    """Write the lengthening of a row to `count` columns, with what it has of those that came later."""
    source = generator.source
    values = [column.missing for column in table.columns]
    with source.block(f"if len({row}) < {count}:"):
        if any(value is not None for value in values):
            known = source.constant(values, "missing")
            source.line(f"{row} += {known}[len({row}):{count}]")
        else:
            source.line(f"{row} += [None] * ({count} - len({row}))")


def bind_columns(
    generator: Generator,
    row: str,
    columns: Sequence[tuple[int, Slot]],
    env: dict[int, Binding],
) -> None:
    """Write the assignments of row columns to variables, converted from their stored form."""
    statements = []
    for number, slot in columns:
        name = generator.source.fresh("c")
        stored = f"{row}[{number - 1}]"
        template = registry.get(slot.type_oid).load_template
        if template and slot.not_null:
            stored = template.format(stored)
        elif template:
            stored = f"None if ({name} := {stored}) is None else {template.format(name)}"
        statements.append(f"{name} = {stored}")
        env[slot.id] = Binding(name, nullable=not slot.not_null)
    if statements:
        generator.source.line("; ".join(statements))


def produce_virtual_scan(
    generator: Generator, node: p.VirtualScan, env: Env, required: set[int], consume: Consume
) -> None:
    """Write a scan of a computed table."""
    source = generator.source
    rows = source.constant(node.relation.rows, "virtual")
    row = source.fresh("row")
    filtered = slots_of_all(node.filter)
    inner = dict(env)
    with source.block(f"for {row} in checked({rows}(context), {generator.runtime('memory')}):"):
        for index, slot in node.columns.items():
            if slot.id in required or slot.id in filtered:
                inner[slot.id] = Binding(f"{row}[{index}]")
        with generator.conditions(node.filter, inner):
            consume(inner)
