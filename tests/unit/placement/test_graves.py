"""Which sessions have ended with their processes lately."""

from __future__ import annotations

from placement.graves import GRAVE_SECONDS, Graves


def test_each_cluster_learns_of_its_own_dead_for_a_while() -> None:
    graves = Graves()
    graves.add("a", (1, 2), 0.0)
    graves.add("b", (3,), 5.0)
    graves.add("a", (4,), 10.0)
    assert graves.of("a", GRAVE_SECONDS) == (1, 2, 4)
    assert graves.of("b", GRAVE_SECONDS) == (3,)
    assert graves.of("a", GRAVE_SECONDS + 1) == (4,)
    assert graves.of("a", GRAVE_SECONDS + 11) == ()
