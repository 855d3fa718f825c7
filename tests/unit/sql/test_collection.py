from __future__ import annotations

import gc
import weakref

import pytest
from greenlet import getcurrent, greenlet

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


def test_the_collector_stays_off_until_the_last_of_several_tasks_has_compiled() -> None:
    """They take turns within it, and end in either order."""
    main = getcurrent()

    @collection.uncollected
    def compile_in_turns() -> None:
        assert not gc.isenabled()
        main.switch()
        assert not gc.isenabled()

    for order in ((0, 1), (1, 0)):
        tasks = [greenlet(compile_in_turns, main) for _ in range(2)]
        for task in tasks:
            task.switch()
        tasks[order[0]].switch()
        assert not gc.isenabled()
        tasks[order[1]].switch()
        assert gc.isenabled()


def test_an_interrupt_of_one_task_does_not_turn_the_collector_on_under_another() -> None:
    main = getcurrent()

    @collection.uncollected
    def compile_in_turns() -> None:
        main.switch()

    compiling = greenlet(compile_in_turns, main)
    compiling.switch()
    collection.resume()  # as the interrupted session's task does
    assert not gc.isenabled()
    compiling.switch()
    assert gc.isenabled()
