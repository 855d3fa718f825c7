"""Code that notes which values of foreign keys a statement brings, changes or takes away.

What is noted are values, each once, not rows: (OID of the foreign key, whether the table is the one
referred to, *values of its columns). A new value of a parent's key is noted beside the old one. What
follows from them is found out at the statement's end (`dsql.session.constraints`). A statement's notes
are bounded as its writes are: there is at most one for each key of a written row.
"""

from __future__ import annotations

from collections.abc import Iterable

from dsql.catalog.foreign_keys import WatchedKey
from dsql.executor.generator import Generator, tuple_code
from dsql.executor.source import Env
from dsql.planner import plan as p


def watched_columns(node: p.Modification, changed: set[int] | None = None) -> set[int]:
    """Return the columns whose old values have to be known; `changed`: of an UPDATE, else a DELETE."""
    return {
        number
        for key in node.watched
        if (key.is_parent if changed is None else changed.intersection(key.columns))
        for number in key.columns
    }


def note_inserted(generator: Generator, node: p.Modification, env: Env) -> None:
    """Write the noting of a new row's values."""
    for key in node.watched:
        if not key.is_parent:
            values = _values(node, key, env)
            _note(generator, key, values, _counts(node, key, env))


def note_deleted(generator: Generator, node: p.Modification, env: Env) -> None:
    """Write the noting of the values that go with a row."""
    for key in node.watched:
        if key.is_parent:
            _note(generator, key, _values(node, key, env), _counts(node, key, env))


def note_updated(
    generator: Generator, node: p.Modification, old: Env, new: Env, changed: set[int]
) -> None:
    """Write the noting of what a change of some columns takes away and brings."""
    for key in node.watched:
        if not changed.intersection(key.columns):
            continue
        before, after = _values(node, key, old), _values(node, key, new)
        differs = f"{tuple_code(before)} != {tuple_code(after)}"
        counts = _counts(node, key, old if key.is_parent else new)
        with generator.source.block(f"if {differs}:"):
            if key.is_parent:
                _note(generator, key, before, counts, tuple_code(after))
            else:
                _note(generator, key, after, counts)


def _values(node: p.Modification, key: WatchedKey, env: Env) -> list[str]:
    return [env[node.new[number].id].code for number in key.columns]


def _counts(node: p.Modification, key: WatchedKey, env: Env) -> str:
    """Return the condition under which a key's value counts; "" for always."""
    bindings = [env[node.new[number].id] for number in key.columns]
    if key.full:
        if not all(binding.nullable for binding in bindings):
            return ""
        return " or ".join(_present(binding.code for binding in bindings))
    return " and ".join(_present(binding.code for binding in bindings if binding.nullable))


def _present(codes: Iterable[str]) -> list[str]:
    return [f"{code} is not None" for code in codes]


def _note(
    generator: Generator, key: WatchedKey, values: list[str], counts: str, new: str = "None"
) -> None:
    noted = f"{generator.runtime('key_changes')}[{key.oid}, {key.is_parent}, {', '.join(values)}]"
    with generator.source.block(f"if {counts or 'True'}:"):
        generator.source.line(f"{noted} = {new}")
