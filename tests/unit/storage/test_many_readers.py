"""Many activities of one process read at once, each at its own timestamp."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dsql.hub.hub import Hub
from storage.client import LocalReplica
from storage.reader_slot import ReaderSlots

ROWS = [(b"k%04d" % number, b"value") for number in range(200)]


class Two:
    """Two replicas of the same rows, of which the first stays behind, and what reads them."""

    def __init__(self, first: Any, second: Any) -> None:
        self.first, self.second = first, second
        for replica in (first, second):
            self.early = replica.apply(ROWS)
        self.late = second.apply([(ROWS[0][0], b"newer")])
        self.reader = LocalReplica(
            [first.directory, second.directory], stall_seconds=0.001, deadline_seconds=0.2
        )

    def shown(self) -> list[int | None]:
        return [oldest_shown(replica.directory) for replica in (self.first, self.second)]


def oldest_shown(directory: Path) -> int | None:
    slots = ReaderSlots(directory)
    oldest = slots.oldest_start(1)
    slots.close()
    return oldest


def mapped(directory: Path) -> int:
    return Path("/proc/self/maps").read_text().count(f"{directory}/environment/board")


@pytest.fixture
def two(make_replica: Callable[..., Any]) -> Iterator[Two]:
    two = Two(make_replica(), make_replica())
    yield two
    two.reader.close()


@pytest.mark.parametrize("order", [(10, 20, 20, 30), (30, 20, 10, 20)])
def test_the_oldest_timestamp_in_use_is_shown(replica: Any, order: tuple[int, ...]) -> None:
    replica.apply(ROWS)
    local = LocalReplica([replica.directory])
    using: dict[str, int] = {}
    for reader, timestamp in zip("abcd", order, strict=True):
        local.snapshot(timestamp, reader)
        using[reader] = timestamp
        assert oldest_shown(replica.directory) == min(using.values())
    for reader in "bacd":
        local.release(reader)
        local.release(reader)  # who has none gives nothing up
        del using[reader]
        assert oldest_shown(replica.directory) == min(using.values(), default=None)
    local.close()


def test_who_needs_another_replica_leaves_the_others_where_they_are(two: Two) -> None:
    early = two.reader.snapshot(two.early, "early")
    rows = early.scan(b"", b"\xff")
    seen = [next(rows) for _ in range(50)]
    assert two.reader.snapshot(two.late, "late").get(ROWS[0][0]) == b"newer"
    assert two.reader.directory == two.second.directory
    assert early.get(ROWS[0][0]) == b"value"
    assert seen + list(rows) == ROWS
    assert two.shown() == [two.early, two.early]
    two.reader.release("early")
    assert two.shown() == [two.late, two.late]


def test_what_is_given_up_stays_mapped_until_its_last_reader_has_left(two: Two) -> None:
    early = two.reader.snapshot(two.early, "early")
    rows = early.scan(b"", b"\xff")
    seen = [next(rows) for _ in range(50)]
    before = mapped(two.first.directory)
    two.first.environment.board.retire()
    two.reader.snapshot(two.late, "late")  # finds it given up
    assert mapped(two.first.directory) == before
    assert seen + list(rows) == ROWS  # elsewhere
    assert mapped(two.first.directory) == before - 1
    assert two.shown() == [two.early, two.early]  # for the loss of a replica ends no transaction


def test_damage_is_laid_to_the_replica_where_it_was_met(two: Two) -> None:
    early = two.reader.snapshot(two.early, "early")
    two.reader.snapshot(two.late, "late")
    two.first.environment.board.retire()  # after the process has gone on to the second
    assert early.get(ROWS[1][0]) == b"value"
    assert two.reader.directory == two.second.directory
    assert two.reader.snapshot(two.late, "another").get(ROWS[0][0]) == b"newer"


def test_others_read_while_one_waits_for_its_replica(replica: Any) -> None:
    hub = Hub()
    last = replica.apply([(b"a", b"1")])
    local = LocalReplica(
        [replica.directory],
        stall_seconds=60,
        waiter=hub,
        pause=lambda seconds: hub.wait(hub.monotonic() + seconds),
    )
    read: list[bytes | None] = []

    def wait() -> None:
        read.append(local.snapshot(last + 10, "waits").get(b"a"))

    def go_on() -> None:
        read.append(local.snapshot(last, "goes on").get(b"a"))
        replica.apply([(b"a", b"2")])

    hub.spawn(wait)
    hub.spawn(go_on)
    hub.run(lambda: not hub.tasks)
    assert read == [b"1", b"2"]
    local.close()
    hub.close()


def test_a_wait_that_is_ended_ends_for_its_own_reader_only(replica: Any) -> None:
    hub = Hub()
    last = replica.apply([(b"a", b"1")])
    cancelled: set[object] = set()

    def pause(seconds: float) -> None:
        hub.wait(hub.monotonic() + seconds)
        if hub.current in cancelled:
            raise InterruptedError

    local = LocalReplica([replica.directory], stall_seconds=60, waiter=hub, pause=pause)
    ends: list[str] = []

    def wait(name: str) -> None:
        try:
            local.snapshot(last + 10, name)
        except InterruptedError:
            ends.append(f"{name} is cancelled")
        else:
            ends.append(f"{name} reads")

    first = hub.spawn(lambda: wait("first"))
    hub.spawn(lambda: wait("second"))

    def cancel() -> None:
        cancelled.add(first)
        while not ends:
            hub.wait(hub.monotonic() + 0.001)
        assert oldest_shown(replica.directory) is None
        replica.apply([(b"a", b"2")])

    hub.spawn(cancel)
    hub.run(lambda: not hub.tasks)
    assert ends == ["first is cancelled", "second reads"]
    assert oldest_shown(replica.directory) == last + 10
    local.close()
    hub.close()
