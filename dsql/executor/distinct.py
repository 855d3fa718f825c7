"""Code of DISTINCT, and of whatever else looks for rows that were not there before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dsql.executor.code import Code
from dsql.executor.generator import Generator, tuple_code, unpack_code
from dsql.executor.source import Consume, Env
from dsql.planner import plan as p
from dsql.planner.expressions import slots_of_all
from dsql.sql.bound import Expression
from dsql.types import registry


def distinct_key(generator: Generator, nodes: Sequence[Expression], codes: Sequence[Code]) -> str:
    """Return code of a hashable key under which NULLs are equal, as in GROUP BY."""
    parts = key_parts(generator, nodes, codes)
    return parts[0] if len(parts) == 1 else tuple_code(parts)


def key_parts(
    generator: Generator, nodes: Sequence[Expression], codes: Sequence[Code]
) -> list[str]:
    """Return code of the values of such a key."""
    parts = []
    for node, code in zip(nodes, codes, strict=True):
        hash_key = registry.get(node.type_oid).hash_key
        if hash_key is None:
            parts.append(code.text)
            continue
        name = generator.source.constant(hash_key, "hash")
        guard = f"None if {code.text} is None else " if code.nullable else ""
        parts.append(f"({guard}{name}({code.text}))")
    return parts


def produce_distinct(
    generator: Generator, node: p.Distinct, env: Env, required: set[int], consume: Consume
) -> None:
    """Write DISTINCT [ON]: the first of equal rows passes. A function also gives what was spilled."""
    generator.boundary(node, env, required, consume, _distinct)


def _distinct(
    generator: Generator, node: p.Distinct, env: Env, required: set[int], consume: Consume
) -> None:
    source = generator.source
    distinct = DistinctCode(generator, "DistinctInOrder")
    slots = sorted(required & generator.made.slots(node.child))
    known = generator.made.types(node.child)
    types = [known.get(slot, 0) for slot in slots]
    nullable = [False] * len(slots)

    def give(inner: Env) -> None:
        for position, slot in enumerate(slots):
            nullable[position] = nullable[position] or inner[slot].nullable
        codes = [generator.expressions.atom(item, inner) for item in node.expressions]
        key = distinct_key(generator, node.expressions, codes) if codes else "()"
        fields = [inner[slot].code for slot in slots]
        with distinct.first(key, tuple_code(fields), node.expressions, codes, (fields, types)):
            consume(inner)

    generator.produce(node.child, env, required | slots_of_all(node.expressions), give)
    inner, names = generator.bind(env, slots, nullable)
    with source.block(f"for {unpack_code(names)} in {distinct.name}.rest():"):
        consume(inner)


class DistinctCode:
    """Writes the search for rows that were not there before; see `dsql.executor.partition`."""

    def __init__(self, generator: Generator, kind: str = "DistinctRows") -> None:
        source = generator.source
        self._generator = generator
        self.name, self._seen = source.fresh("distinct"), source.fresh("seen")
        memory = generator.runtime("memory")
        source.line(f"{self.name} = {kind}({memory}); {self._seen} = {self.name}.seen")

    @contextmanager
    def first(
        self,
        key: str,
        row: str,
        nodes: Sequence[Expression],
        codes: Sequence[Code],
        kept: tuple[Sequence[str], Sequence[int]] | None = None,
    ) -> Iterator[None]:
        """Write the block of rows that are the first with their key; later ones come from `rest()`.

        `codes` are the values of the key, of which some may be large; `kept` the row's fields and their
        types, where these are others.
        """
        generator, source = self._generator, self._generator.source
        values = [code.text for code in codes], [node.type_oid for node in nodes]
        name = source.fresh("key")
        source.line(f"{name} = {key}")
        with source.block(f"if {name} not in {self._seen}:"):
            with source.block(f"if {self.name}.full:"):
                source.line(f"{self.name}.defer({name}, {row})")
                generator.note_large(f"{self.name}.deferred", *(kept or values))
            with source.block("else:"):
                source.line(f"{self._seen}.add({name})")
                generator.note_large(self.name, *values)
                with source.block(f"if not len({self._seen}) & 63:"):
                    source.line(f"{self.name}.sample({name})")
                yield
