"""Who learns which sessions have ended with their processes."""

from __future__ import annotations

from collections.abc import Callable

from placement.graves import GRAVE_SECONDS, Graves
from placement.sessions import Keys


class Worker:
    """One whose end a test brings about: `ends` is called then."""

    def __init__(self, cluster: str, *sessions: int) -> None:
        self.cluster = cluster
        self.work: dict[int, Keys | None] = {10 * key: Keys(key, 0) for key in sessions}
        self.mourned: list[tuple[int, ...]] = []

    def mourn(self, process_ids: tuple[int, ...]) -> None:
        self.mourned.append(process_ids)

    def at_end(self, ends: Callable[[], None]) -> None:
        self.ends = ends


def test_those_of_a_cluster_learn_of_its_dead_once_they_are_and_later_ones_for_a_while() -> None:
    now = 0.0
    dying, other, stranger = Worker("a", 1, 2, 3), Worker("a"), Worker("b")
    graves = Graves({1: other, 2: stranger}, lambda: now)  # type: ignore[dict-item]
    graves.lost(dying, {20})  # type: ignore[arg-type]
    assert not other.mourned
    dying.ends()
    assert (other.mourned, stranger.mourned) == ([(1, 3)], [])
    for now, told in ((GRAVE_SECONDS, [(1, 3)]), (GRAVE_SECONDS + 1, [])):  # noqa: B007
        new = Worker("a")
        graves.assigned(new, "a")  # type: ignore[arg-type]
        assert new.mourned == told


def test_nobody_learns_of_a_process_that_had_no_session() -> None:
    dying = Worker("a")
    dying.work[5] = None  # a run of jobs
    Graves({}).lost(dying, ())  # type: ignore[arg-type]
    assert not hasattr(dying, "ends")
