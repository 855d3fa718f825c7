"""Code that adds the entries of one index for rows that were there before it.

Every row is checked at commit: whoever changes it meanwhile maintains the index himself, and wins. An
entry that is there already is this row's own where a writer, or an earlier try, has been faster.
"""

from __future__ import annotations

from dsql.executor.generator import Generator
from dsql.executor.row_writes import index_columns, index_entry, node_guard
from dsql.executor.source import Consume, Env
from dsql.planner import plan as p


def produce_index_build(
    generator: Generator, node: p.IndexBuildNode, env: Env, required: set[int], consume: Consume
) -> None:
    """Write an index build."""
    source, table, index = generator.source, node.table, node.index
    reads = required | {node.row_slot, node.key_slot}
    reads |= {node.new[number].id for number in index_columns(node, index) if number in node.new}
    put, get = generator.runtime("tx_put"), generator.runtime("tx_get")

    def add(inner: Env) -> None:
        key = inner[node.key_slot].code
        source.line(f"{generator.runtime('tx_check')}({key}, NON_KEY)")
        entry = index_entry(generator, node, index, inner, key)
        with source.block(node_guard(index, entry)):
            if index.unique:
                shown, known = source.constant(table, "table"), source.constant(index, "index")
                values = ", ".join(entry.values)
                with source.block(
                    f"if {entry.unique} and {get}({entry.key}) not in (None, {key}):"
                ):
                    source.line(f"raise unique_violation({shown}, {known}, ({values},), context)")
                source.line(f"{put}({entry.key}, {key}, EXCLUSIVE if {entry.unique} else BLIND)")
            else:
                source.line(f"{put}({entry.key}, {key}, BLIND)")
        source.line("touched += 1")
        consume(inner)

    generator.produce(node.child, env, reads, add)
