"""What a cluster at rest has left behind is collected when nobody waits for it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from adjudicator import collection
from adjudicator.collection import RestCollector, garbage_collector_off


class Cyclic:
    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    with garbage_collector_off():
        yield


def left_behind() -> weakref.ref[Cyclic]:
    return weakref.ref(Cyclic())


def test_a_rest_is_followed_by_a_collection() -> None:
    left = left_behind()
    collector = RestCollector()
    for _ in range(4):
        collector.look(is_busy=False)
    assert left() is not None, "nothing has gone to rest"
    collector.rested()
    for _ in range(4):
        collector.look(is_busy=False)
    assert left() is None


def test_what_is_left_somewhat_later_is_collected_too() -> None:
    collector = RestCollector()
    collector.rested()
    collector.look(is_busy=False)
    collector.look(is_busy=False)
    left = left_behind()
    collector.look(is_busy=False)
    collector.look(is_busy=False)
    assert left() is None


def test_nothing_is_collected_while_somebody_commits() -> None:
    left = left_behind()
    collector = RestCollector()
    collector.rested()
    for _ in range(10):
        collector.look(is_busy=True)
    assert left() is not None
    for _ in range(4):
        collector.look(is_busy=False)
    assert left() is None


def test_nothing_is_collected_where_that_would_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    gc.collect()
    monkeypatch.setattr(collection, "_OBJECTS_MAX", 1_000)
    conflict_set = [[number] for number in range(2_000)]
    left = left_behind()
    collector = RestCollector()
    collector.rested()
    for _ in range(4):
        collector.look(is_busy=False)
    assert left() is not None
    conflict_set.clear()
    for _ in range(4):
        collector.look(is_busy=False)
    assert left() is None
