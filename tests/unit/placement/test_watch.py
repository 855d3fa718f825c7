"""Query processors with work are asked whether their hubs turn; who does not answer hangs."""

from __future__ import annotations

from dsql.rpc.process import Condition
from dsql.rpc.watchdog import HANG_SECONDS, LOOK_SECONDS
from placement.watch import Watch

LOOKS = int(HANG_SECONDS / LOOK_SECONDS)


class FakeWorker:
    ready = True

    def __init__(self, watch: Watch, process_id: int, *, answers: bool) -> None:
        self.process_id = process_id
        self.work = {1: None}
        self.pings = 0
        self._watch = watch
        self._answers = answers

    def ping(self) -> None:
        self.pings += 1
        if self._answers:
            self._watch.answered(self.process_id)


def looked(watch: Watch, times: int, *workers: FakeWorker) -> list[list[int]]:
    """Return the process ids that each of so many looks finds hanging."""
    return [
        [found.process_id for found in watch.look(workers, number * LOOK_SECONDS)]  # type: ignore[arg-type]
        for number in range(1, times + 1)
    ]


def running(_process_id: int) -> Condition:
    return Condition("R", 0.0, 0.0)


def test_who_gives_no_sign_hangs_and_who_does_not() -> None:
    watch = Watch(running)
    silent, well = FakeWorker(watch, 1, answers=False), FakeWorker(watch, 2, answers=True)
    assert looked(watch, LOOKS + 1, silent, well) == [[]] * LOOKS + [[1]]
    assert (silent.pings, well.pings) == (1, LOOKS + 1)


def test_nobody_is_asked_more_often_than_it_is_looked() -> None:
    watch = Watch(running)
    worker = FakeWorker(watch, 1, answers=True)
    for hundredth in range(100, 301):
        assert not list(watch.look([worker], hundredth / 100))  # type: ignore[list-item]
    assert worker.pings == 3


def test_who_has_nothing_to_do_is_left_alone() -> None:
    watch = Watch(running)
    idle, new = FakeWorker(watch, 1, answers=False), FakeWorker(watch, 2, answers=False)
    idle.work, new.ready = {}, False
    assert looked(watch, 3 * LOOKS, idle, new) == [[]] * 3 * LOOKS
    assert (idle.pings, new.pings) == (0, 0)


def test_work_that_came_to_its_end_leaves_no_debt() -> None:
    watch = Watch(running)
    worker = FakeWorker(watch, 1, answers=False)
    for second in range(1, 5 * LOOKS):
        worker.work = {} if second % LOOKS == 0 else {2: None}
        assert not watch.look([worker], second * LOOK_SECONDS)  # type: ignore[list-item]


def test_a_process_that_does_not_get_the_processor_does_not_hang() -> None:
    waited = iter(range(1_000))
    watch = Watch(lambda _: Condition("R", 0.0, next(waited) * LOOK_SECONDS))
    assert not any(looked(watch, 3 * LOOKS, FakeWorker(watch, 1, answers=False)))
