from __future__ import annotations

import gc
import weakref

import pytest

from dsql.sql import collection


class Node:
    """Part of a tree: it knows its parent, itself."""

    def __init__(self) -> None:
        self.parent = self


@collection.uncollected
def compile_statement(nodes: int) -> weakref.ref[Node]:
    return [weakref.ref(Node()) for _ in range(nodes)][-1]


def test_what_a_long_statement_leaves_waits_until_the_client_has_its_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(collection, "_OBJECTS_MAX", 500)
    left = compile_statement(2_000)
    assert gc.isenabled()
    gc.collect()
    assert collection.postponed
    assert left() is not None
    collection.collect()
    assert left() is None
    assert not collection.postponed


def test_what_a_short_statement_leaves_is_garbage_like_any_other() -> None:
    left = compile_statement(10)
    gc.collect()
    assert left() is None
    assert not collection.postponed
