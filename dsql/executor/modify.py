"""Code of INSERT, UPDATE and DELETE.

The rows come from the node's child like those of any query. What the statement writes while it reads
does not show up in its scans (the transaction sees to that), so UPDATE never meets its own results.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from dsql.catalog.schema import Index, Table
from dsql.errors import SqlError
from dsql.executor.code import Code
from dsql.executor.generator import Generator
from dsql.executor.key_changes import (
    note_deleted,
    note_inserted,
    note_updated,
    watched_columns,
)
from dsql.executor.row_writes import (
    Entry,
    check_duplicate,
    delete_entry,
    encode_row,
    index_columns,
    index_entry,
    key_code,
    put_entry,
    secondary_indexes,
    stored,
    unique_key_columns,
    write_constraints,
)
from dsql.executor.scans import bind_columns, lengthen
from dsql.executor.source import Binding, Consume, Env
from dsql.planner import plan as p
from dsql.planner.expressions import Slot, slots_of_all
from dsql.planner.plan_slots import node_expressions
from dsql.sql.bound import Expression


def refuse_frozen(table: Table) -> None:
    """Raise SqlError 55006 for a table whose rows are being replaced."""
    if table.frozen:
        raise SqlError(
            "55006", f'cannot modify table "{table.name}" while its rows are being replaced'
        )


def _bind_new(generator: Generator, slot: Slot, code: Code, env: dict[int, Binding]) -> None:
    """Bind a new row's column to a variable or literal."""
    if not code.atom:
        name = generator.source.fresh("n")
        generator.source.line(f"{name} = {code.text}")
        code = Code(name, code.nullable)
    env[slot.id] = Binding(code.text, code.nullable)


def _compute_generated(generator: Generator, node: p.Modification, env: dict[int, Binding]) -> None:
    for number, expression in node.generated:
        _bind_new(generator, node.new[number], generator.value(expression, env), env)


# ---------------------------------------------------------------- INSERT


def produce_insert(
    generator: Generator, node: p.InsertNode, env: Env, _required: set[int], consume: Consume
) -> None:
    """Write an INSERT."""
    refuse_frozen(node.table)
    source = generator.source
    updates = node.conflict is not None and node.conflict.assignments is not None
    changed = changed_rows(generator, node.table, always=updates)

    def insert(inner: Env) -> None:
        values = _new_values(generator, node, inner)
        if updates:
            _upsert(generator, node, values, changed, consume)
            return
        with ExitStack() as blocks:
            row, key, entries = _proposed(generator, node, values)
            if node.conflict is not None:
                test = _arbiter_test(generator, node, node.conflict, key, entries)
                blocks.enter_context(source.block(f"if not ({test}):"))
            _put_row(generator, node, values, row, key, entries)
            if changed:
                source.line(f"{changed}.add({key})")
            consume(values)

    generator.produce(node.child, env, slots_of_all(node_expressions(node)), insert)


def write_insertion(generator: Generator, node: p.InsertNode, env: Env) -> None:
    """Write the insertion of one row without ON CONFLICT."""
    values = _new_values(generator, node, env)
    row, key, entries = _proposed(generator, node, values)
    _put_row(generator, node, values, row, key, entries)


def _new_values(generator: Generator, node: p.InsertNode, env: Env) -> dict[int, Binding]:
    """Write the values of every column of the row; return the env with them."""
    values = dict(env)
    for number, slot in node.new.items():
        expression = node.values.get(number)
        if expression is None:
            values[slot.id] = Binding("None")
        else:
            _bind_new(generator, slot, generator.value(expression, env), values)
    _compute_generated(generator, node, values)
    return values


Entries = list[tuple[Index, Entry]]


def _proposed(generator: Generator, node: p.InsertNode, values: Env) -> tuple[str, str, Entries]:
    """Write the new row's list, key and index entries, with its NOT NULL and CHECK tests."""
    source, table = generator.source, node.table
    row = source.fresh("row")
    items = []
    for column in table.columns:
        slot = node.new.get(column.number)
        if slot is None:
            items.append("None")
            continue
        binding = values[slot.id]
        items.append(stored(column.type_oid, Code(binding.code, binding.nullable)))
    source.line(f"{row} = [{', '.join(items)}]")
    write_constraints(generator, node, values, row, None)
    key = key_code(generator, node, values)
    entries = [
        (index, index_entry(generator, node, index, values, key))
        for index in secondary_indexes(table)
    ]
    return row, key, entries


def _put_row(
    generator: Generator, node: p.InsertNode, values: Env, row: str, key: str, entries: Entries
) -> None:
    """Write the insertion itself: duplicates refused, row and entries buffered."""
    source, table = generator.source, node.table
    primary = table.primary_key
    if primary is not None:
        parts = [values[node.new[part.column_number].id].code for part in primary.columns]
        check_duplicate(generator, table, primary, key, parts)
    encoded = encode_row(generator, table, row)
    if generator.gathers:
        with source.block("if touched >= room:"):
            source.line("raise too_many_rows()")
        source.line(f"gathered[{key}] = {encoded}")
    else:
        source.line(f"{generator.runtime('tx_put')}({key}, {encoded}, EXCLUSIVE, row=True)")
    for index, entry in entries:
        put_entry(generator, table, index, entry, key)
    note_inserted(generator, node, values)
    source.line("touched += 1")


def _arbiters(node: p.InsertNode, conflict: p.ConflictAction) -> list[Index]:
    return [
        index
        for index in node.table.indexes
        if index.unique and (not conflict.index_oids or index.oid in conflict.index_oids)
    ]


def _arbiter_test(
    generator: Generator,
    node: p.InsertNode,
    conflict: p.ConflictAction,
    key: str,
    entries: Entries,
) -> str:
    """Return a condition: a row with one of the arbiters' keys exists."""
    get = generator.runtime("tx_get")
    tests = []
    for index in _arbiters(node, conflict):
        if index.primary:
            tests.append(f"{get}({key}) is not None")
            continue
        entry = next(entry for other, entry in entries if other is index)
        tests.append(f"({entry.unique} and {get}({entry.key}) is not None)")
    return " or ".join(tests) or "False"


def _upsert(
    generator: Generator,
    node: p.InsertNode,
    values: dict[int, Binding],
    changed: str,
    consume: Consume,
) -> None:
    """Write INSERT ... ON CONFLICT DO UPDATE; both ways leave the row in the same variables."""
    source, conflict = generator.source, node.conflict
    assert conflict is not None
    done = source.fresh("done")
    finals = {slot.id: source.fresh("n") for slot in node.new.values()}

    def settle(env: Env) -> None:
        for slot in node.new.values():
            source.line(f"{finals[slot.id]} = {env[slot.id].code}")
        source.line(f"{done} = True")

    row, key, entries = _proposed(generator, node, values)
    existing = _find_existing(generator, node, conflict, key, entries)
    source.line(f"{done} = False")
    with source.block(f"if {existing} is None:"):
        _put_row(generator, node, values, row, key, entries)
        source.line(f"{changed}.add({key})")
        settle(values)
    with source.block("else:"):
        with source.block(f"if {existing} in {changed}:"):
            source.line("raise second_update()")
        _update_existing(generator, node, conflict, values, (existing, changed), settle)
    with source.block(f"if {done}:"):
        consume({**values, **{slot: Binding(name) for slot, name in finals.items()}})


def _find_existing(
    generator: Generator,
    node: p.InsertNode,
    conflict: p.ConflictAction,
    key: str,
    entries: Entries,
) -> str:
    """Write the search for the row that the arbiters say exists; return the name of its key."""
    source, get = generator.source, generator.runtime("tx_get")
    existing = source.fresh("existing")
    source.line(f"{existing} = None")
    for index in _arbiters(node, conflict):
        with source.block(f"if {existing} is None:"):
            if index.primary:
                with source.block(f"if {get}({key}) is not None:"):
                    source.line(f"{existing} = {key}")
                continue
            entry = next(entry for other, entry in entries if other is index)
            with source.block(f"if {entry.unique}:"):
                source.line(f"{existing} = {get}({entry.key})")
    return existing


def _update_existing(
    generator: Generator,
    node: p.InsertNode,
    conflict: p.ConflictAction,
    values: Env,
    names: tuple[str, str],
    settle: Consume,
) -> None:
    """Write the update of the row that is there. `names`: of its key, and of the set of changed keys."""
    source, (existing, changed) = generator.source, names
    row = source.fresh("row")
    source.line(f"{row} = decode_row({generator.runtime('tx_get')}({existing}))")
    lengthen(generator, node.table, row, len(node.table.columns))
    env: dict[int, Binding] = dict(values)
    bind_columns(generator, row, list(conflict.existing.items()), env)
    for number, slot in conflict.excluded.items():
        env[slot.id] = values[node.new[number].id]
    with ExitStack() as blocks:
        if conflict.where is not None:
            text = generator.expressions.true(conflict.where, env)
            blocks.enter_context(source.block(f"if {text}:"))
        change = _Change(
            old=conflict.existing, assignments=conflict.assignments or (), row=row, key=existing
        )
        new_key = _write_change(generator, node, change, env)
        source.line(f"{changed}.update(({existing}, {new_key})); touched += 1")
        settle(env)


# ---------------------------------------------------------------- UPDATE


class _Change:
    """One row's change: the slots of the old row, and the names of its list and key."""

    def __init__(
        self,
        *,
        old: dict[int, Slot],
        assignments: Sequence[tuple[int, Expression]],
        row: str,
        key: str,
    ) -> None:
        self.old = old
        self.assignments = assignments
        self.row = row
        self.key = key


def produce_update(
    generator: Generator, node: p.UpdateNode, env: Env, required: set[int], consume: Consume
) -> None:
    """Write an UPDATE."""
    refuse_frozen(node.table)
    source = generator.source
    seen = changed_rows(generator, node.table, always=node.once)

    def update(inner: Env) -> None:
        key, row = inner[node.key_slot].code, inner[node.row_slot].code
        with ExitStack() as blocks:
            if seen:
                blocks.enter_context(source.block(f"if {key} not in {seen}:"))
                source.line(f"{seen}.add({key})")
            if node.once:
                fresh = source.fresh("row")
                source.line(f"{fresh} = {row}.copy()")
                row = fresh
            consume(write_update(generator, node, inner, row))

    generator.produce(node.child, env, update_reads(node, required), update)


def write_update(generator: Generator, node: p.UpdateNode, env: Env, row: str) -> Env:
    """Write the update of a row, whose list is called `row`; return the env with the new one."""
    found = dict(env)
    key = env[node.key_slot].code
    change = _Change(old=node.old, assignments=node.assignments, row=row, key=key)
    _write_change(generator, node, change, found)
    generator.source.line("touched += 1")
    return found


def changed_rows(generator: Generator, table: Table, *, always: bool) -> str:
    """Return the name of the set of keys that the statement has changed; "" if it cannot meet one again.

    It can where other parts of the statement change rows of the table as well; `always`: by itself too.
    The second change of a row does not happen: PostgreSQL's TM_SelfModified.
    """
    if not always and table.oid not in generator.shared_tables:
        return ""
    return generator.source.setup("changed", "changed", "set()")


def update_reads(node: p.UpdateNode, required: set[int]) -> set[int]:
    """Return the slots an UPDATE needs: those its expressions read, old values for new included."""
    changed = _changed_columns(node, node.assignments)
    reads = slots_of_all(node_expressions(node)) | required
    for index in secondary_indexes(node.table):
        columns = index_columns(node, index)
        if columns & changed or _moves(node.table, changed):
            reads |= {node.old[number].id for number in columns if number in node.old}
    if _moves(node.table, changed):
        primary = node.table.primary_key
        assert primary is not None
        reads |= {node.old[part.column_number].id for part in primary.columns}
    reads |= {node.old[number].id for number in watched_columns(node, changed)}
    by_new = {slot.id: node.old[number].id for number, slot in node.new.items()}
    reads |= {by_new[slot] for slot in list(reads) if slot in by_new}
    return reads | {node.row_slot, node.key_slot}


def _changed_columns(
    node: p.Modification, assignments: Sequence[tuple[int, Expression]]
) -> set[int]:
    return {number for number, _ in assignments} | {number for number, _ in node.generated}


def _moves(table: Table, changed: set[int]) -> bool:
    """Return True if the change may give the row another key."""
    primary = table.primary_key
    return primary is not None and any(part.column_number in changed for part in primary.columns)


def _write_change(
    generator: Generator, node: p.Modification, change: _Change, env: dict[int, Binding]
) -> str:
    """Write the change of one row; binds the new row's slots in `env`. Returns the key's name."""
    source, table = generator.source, node.table
    old_env = dict(env)
    for number, slot in node.new.items():
        if change.old[number].id in env:
            env[slot.id] = old_env[slot.id] = env[change.old[number].id]
    for number, expression in change.assignments:
        _bind_new(generator, node.new[number], generator.value(expression, old_env), env)
    _compute_generated(generator, node, env)
    changed = _changed_columns(node, change.assignments)
    moves = _moves(table, changed)
    indexes = [
        index for index in secondary_indexes(table) if moves or index_columns(node, index) & changed
    ]
    olds = [index_entry(generator, node, index, old_env, change.key) for index in indexes]
    for number in sorted(changed):
        binding = env[node.new[number].id]
        code = stored(table.columns[number - 1].type_oid, Code(binding.code, binding.nullable))
        source.line(f"{change.row}[{number - 1}] = {code}")
    write_constraints(generator, node, env, change.row, changed)
    encoded = encode_row(generator, table, change.row)
    key = _put_changed(generator, node, change, env, encoded, moves=moves, changed=changed)
    for index, old in zip(indexes, olds, strict=True):
        new = index_entry(generator, node, index, env, key)
        same = f"if {new.key} != {old.key}:"
        if moves:
            same = f"if {new.key} != {old.key} or {key} != {change.key}:"
        with source.block(same):
            delete_entry(generator, index, old)
            put_entry(generator, table, index, new, key)
    note_updated(generator, node, old_env, env, changed)
    return key


def _put_changed(
    generator: Generator,
    node: p.Modification,
    change: _Change,
    env: Env,
    encoded: str,
    *,
    moves: bool,
    changed: set[int],
) -> str:
    """Write the row under its key, which it may have to leave; return the name of the key."""
    source, table = generator.source, node.table
    put = generator.runtime("tx_put")
    mode = "EXCLUSIVE" if unique_key_columns(table) & changed else "NON_KEY"
    if not moves:
        source.line(f"{put}({change.key}, {encoded}, {mode}, row=True)")
        return change.key
    primary = table.primary_key
    assert primary is not None
    key = key_code(generator, node, env)
    with source.block(f"if {key} != {change.key}:"):
        parts = [env[node.new[part.column_number].id].code for part in primary.columns]
        check_duplicate(generator, table, primary, key, parts)
        source.line(f"{generator.runtime('tx_delete')}({change.key}, EXCLUSIVE)")
    source.line(f"{put}({key}, {encoded}, EXCLUSIVE, row=True)")
    return key


# ---------------------------------------------------------------- DELETE


def produce_delete(
    generator: Generator, node: p.DeleteNode, env: Env, required: set[int], consume: Consume
) -> None:
    """Write a DELETE."""
    refuse_frozen(node.table)
    source = generator.source
    seen = changed_rows(generator, node.table, always=node.once)

    def delete(inner: Env) -> None:
        key = inner[node.key_slot].code
        with ExitStack() as blocks:
            if seen:
                blocks.enter_context(source.block(f"if {key} not in {seen}:"))
                source.line(f"{seen}.add({key})")
            write_deletion(generator, node, inner)
            consume(inner)

    generator.produce(node.child, env, delete_reads(node, required), delete)


def delete_reads(node: p.DeleteNode, required: set[int]) -> set[int]:
    """Return the slots a DELETE needs."""
    reads = required | {node.row_slot, node.key_slot}
    for index in secondary_indexes(node.table):
        reads |= {node.new[n].id for n in index_columns(node, index) if n in node.new}
    return reads | {node.new[number].id for number in watched_columns(node)}


def write_deletion(generator: Generator, node: p.DeleteNode, env: Env) -> None:
    """Write the deletion of a row and its index entries."""
    key = env[node.key_slot].code
    for index in secondary_indexes(node.table):
        delete_entry(generator, index, index_entry(generator, node, index, env, key))
    generator.source.line(f"{generator.runtime('tx_delete')}({key}, EXCLUSIVE, row=True)")
    note_deleted(generator, node, env)
    generator.source.line("touched += 1")
