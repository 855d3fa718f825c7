"""Code that writes one row: its value, its key, its index entries, and the constraints on them.

A row value is built as the list that will be stored, so that an error can show it. Duplicate keys are
looked for in the snapshot and the transaction's own writes; a concurrent insert of the same key is
for the adjudicator to find, which is why keys and unique entries are written EXCLUSIVE.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dsql.catalog.schema import Index, Table
from dsql.encoding.keycode import index_key_template, table_key_template
from dsql.executor.code import Code
from dsql.executor.generator import Generator, tuple_code
from dsql.executor.scans import column_is_present, key_columns, primary_types
from dsql.executor.source import Env
from dsql.planner import plan as p
from dsql.planner.expressions import slots_of
from dsql.types import registry


@dataclass(slots=True)
class Entry:
    """Code of one index entry: its key (None if the row is not in a partial index) and its parts."""

    key: str
    unique: str  # code of a condition: another entry with this key is a violation
    values: list[str]


def secondary_indexes(table: Table) -> list[Index]:
    """Return the indexes besides the primary key."""
    return [index for index in table.indexes if not index.primary]


def unique_key_columns(table: Table) -> set[int]:
    """Return the columns whose change makes an UPDATE conflict like an INSERT or DELETE."""
    return {
        part.column_number
        for index in table.indexes
        if index.unique and index.predicate is None
        if all(item.column_number for item in index.columns)
        for part in index.columns
    }


def stored(type_oid: int, code: Code) -> str:
    """Return code of what a row value holds for a runtime value."""
    template = registry.get(type_oid).store_template
    if not template:
        return code.text
    text = template.format(code.text)
    return f"(None if {code.text} is None else {text})" if code.nullable else text


def key_code(generator: Generator, node: p.Modification, env: Env) -> str:
    """Write the key of a new row; return its name."""
    source, table = generator.source, node.table
    name = source.fresh("key")
    primary = table.primary_key
    if primary is None:
        time = f"{generator.runtime('row_time')} + touched"
        source.line(f"{name} = row_id_key({table.keyspace_id}, {time}, getrandbits(64))")
        return name
    values = [env[node.new[part.column_number].id].code for part in primary.columns]
    template = table_key_template(table.keyspace_id, primary_types(table))
    source.line(f"{name} = {template.format(*values)}")
    with source.block(f"if len({name}) > LONGEST_KEY:"):
        source.line("raise key_too_large()")
    return name


def write_constraints(
    generator: Generator, node: p.Modification, env: Env, row: str, changed: set[int] | None
) -> None:
    """Write the NOT NULL, CHECK and CHECK OPTION tests of a new row; `changed` None: of all columns."""
    source, table = generator.source, node.table
    shown = f"{source.constant(table, 'table')}, {source.constant(node.written, 'written')}"
    for column in table.live_columns:
        if not (column.not_null or column_is_present(table, column.number)):
            continue
        if changed is not None and column.number not in changed:
            continue
        binding = env[node.new[column.number].id]
        if binding.nullable:
            with source.block(f"if {binding.code} is None:"):
                arguments = f"{shown}, {column.number}, {row}, context"
                source.line(f"raise not_null_violation({arguments})")
    for name, condition in node.checks:
        with source.block(f"if {generator.expressions.false(condition, env)}:"):
            source.line(f"raise check_violation({shown}, {name!r}, {row}, context)")
    for name, condition in node.view_checks:
        with source.block(f"if not {generator.expressions.true(condition, env)}:"):
            source.line(f"raise view_check_violation({shown}, {name!r}, {row}, context)")


def encode_row(generator: Generator, table: Table, row: str) -> str:
    """Write the encoding of a row and the check of its size; return the name of its bytes."""
    source = generator.source
    name = source.fresh("encoded")
    source.line(f"{name} = encode_row({row})")
    with source.block(f"if len({name}) > VALUE_BYTES_MAX:"):
        shown = source.constant(table, "table")
        source.line(f"check_row_size({shown}, {row}, len({name}))")
    return name


def index_columns(node: p.Modification, index: Index) -> set[int]:
    """Return the columns that an index entry depends on."""
    by_slot = {slot.id: number for number, slot in node.new.items()}
    found = {part.column_number for part in index.columns if part.column_number}
    found |= set(index.include)
    for (oid, _), expression in node.index_expressions.items():
        if oid == index.oid:
            found |= {by_slot[slot] for slot in slots_of(expression) if slot in by_slot}
    predicate = node.index_predicates.get(index.oid)
    if predicate is not None:
        found |= {by_slot[slot] for slot in slots_of(predicate) if slot in by_slot}
    return found


def index_entry(
    generator: Generator, node: p.Modification, index: Index, env: Env, row_key: str
) -> Entry:
    """Write the key of a row's entry in an index; the names in the result hold it."""
    source = generator.source
    key, unique = source.fresh("entry"), source.fresh("unique")
    predicate = node.index_predicates.get(index.oid)
    values: list[str] = [source.fresh("part") for _ in index.columns]
    condition = "if True:"
    if predicate is not None:
        source.line(f"{key} = None; {unique} = False")
        source.line(f"{' = '.join(values)} = None")
        condition = f"if {generator.expressions.true(predicate, env)}:"
    with source.block(condition):
        nullable = _entry_parts(generator, node, index, env, values)
        template = index_key_template(index.keyspace_id, key_columns(node.table, index))
        source.line(f"{key} = {template.format(*values)}")
        source.line(f"{unique} = {_uniqueness(index, values, nullable)}")
        with source.block(f"if not {unique}:"):
            source.line(f"{key} += {row_key}[4:]")
        with source.block(f"if len({key}) > LONGEST_KEY:"):
            source.line("raise key_too_large()")
    return Entry(key, unique, values)


def _entry_parts(
    generator: Generator, node: p.Modification, index: Index, env: Env, names: Sequence[str]
) -> list[bool]:
    nullable = []
    for number, (part, name) in enumerate(zip(index.columns, names, strict=True)):
        if part.column_number:
            binding = env[node.new[part.column_number].id]
            code = Code(binding.code, binding.nullable)
        else:
            code = generator.value(node.index_expressions[index.oid, number], env)
        generator.source.line(f"{name} = {code.text}")
        nullable.append(code.nullable)
    return nullable


def _uniqueness(index: Index, values: Sequence[str], nullable: Sequence[bool]) -> str:
    if not index.unique:
        return "False"
    if index.nulls_not_distinct:
        return "True"
    tests = [f"{value} is not None" for value, null in zip(values, nullable, strict=True) if null]
    return " and ".join(tests) or "True"


def check_duplicate(
    generator: Generator, table: Table, index: Index, key: str, values: Sequence[str]
) -> None:
    """Write the search for another row with the same key."""
    source = generator.source
    if generator.assumes_new:
        with source.block(f"if {key} in gathered:"):
            source.line("return False")
        return
    exists = f"{generator.runtime('tx_get')}({key}) is not None"
    if generator.gathers and index.primary:
        exists = f"{key} in gathered or {exists}"
    with source.block(f"if {exists}:"):
        shown, known = source.constant(table, "table"), source.constant(index, "index")
        source.line(f"raise unique_violation({shown}, {known}, {tuple_code(values)}, context)")


def put_entry(generator: Generator, table: Table, index: Index, entry: Entry, row_key: str) -> None:
    """Write the insertion of an index entry, duplicates refused."""
    source = generator.source
    put = generator.runtime("tx_put")
    blocks = node_guard(index, entry)
    with source.block(blocks):
        if index.unique:
            with source.block(f"if {entry.unique}:"):
                check_duplicate(generator, table, index, entry.key, entry.values)
                source.line(f"{put}({entry.key}, {row_key}, EXCLUSIVE)")
            with source.block("else:"):
                source.line(f"{put}({entry.key}, {row_key}, BLIND)")
        else:
            source.line(f"{put}({entry.key}, {row_key}, BLIND)")


def delete_entry(generator: Generator, index: Index, entry: Entry) -> None:
    """Write the deletion of an index entry."""
    source = generator.source
    with source.block(node_guard(index, entry)):
        mode = f"EXCLUSIVE if {entry.unique} else BLIND" if index.unique else "BLIND"
        source.line(f"{generator.runtime('tx_delete')}({entry.key}, {mode})")


def node_guard(index: Index, entry: Entry) -> str:
    """Return the condition under which the row has an entry at all."""
    return f"if {entry.key} is not None:" if index.predicate is not None else "if True:"
