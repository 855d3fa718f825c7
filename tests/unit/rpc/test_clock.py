"""The published clock is shared, never falls, whoever publishes when, and belongs to this boot."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dsql.rpc.clock import ClockPublisher, ClockUnavailableError, PublishedClock, _slot_of

BOOT, ZONES = 7, 3
NOW = 1_700_000_000_000_000
Open = Callable[[int], ClockPublisher]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "clock"


@pytest.fixture
def publisher(path: Path) -> Iterator[Open]:
    """Opens zones' publishers, closed at the test's end."""
    opened: list[ClockPublisher] = []

    def open_it(zone: int, boot: int = BOOT) -> ClockPublisher:
        opened.append(ClockPublisher(path, boot, zone, ZONES))
        return opened[-1]

    yield open_it
    for one in opened:
        one.close()


def latest(path: Path, boot: int = BOOT) -> int:
    with closing(PublishedClock(path, boot)) as reader:
        return reader.latest()


def test_reader_sees_what_the_leader_publishes_and_which_zone_it_is(path: Path, publisher: Open):
    leader = publisher(1)
    leader.open(NOW)
    with closing(PublishedClock(path, BOOT)) as reader:
        leader.publish(NOW + 1)
        assert (reader.latest(), reader.zone) == (NOW + 1, 1)


def test_leader_that_was_replaced_cannot_set_the_clock_back(path: Path, publisher: Open):
    old, new = publisher(0), publisher(2)
    old.open(NOW)
    new.open(NOW + 100)
    old.publish(NOW + 50)  # committed before, and published late
    assert latest(path) == NOW + 100
    new.publish(NOW + 101)
    old.publish(NOW + 60)
    assert latest(path) == NOW + 101


def test_late_leader_of_this_boot_hides_nothing_that_a_newer_one_has_published(
    path: Path, publisher: Open
):
    publisher(0, BOOT - 1).open(NOW)
    late, new = publisher(0), publisher(1)
    new.open(NOW + 100)
    late.open(NOW + 50)
    assert latest(path) == NOW + 100


@pytest.mark.parametrize("size", [0, 8, 16, 23, 39])
def test_reader_waits_for_a_clock_that_is_being_made(path: Path, size: int):
    path.write_bytes(bytes(size))
    with pytest.raises(ClockUnavailableError):
        PublishedClock(path, BOOT)


def test_reader_waits_until_a_leader_has_published(path: Path, publisher: Open):
    with pytest.raises(ClockUnavailableError):
        PublishedClock(path, BOOT)
    leader = publisher(0)
    with pytest.raises(ClockUnavailableError):
        PublishedClock(path, BOOT)
    leader.open(10)
    assert latest(path) == 10


def test_reader_does_not_trust_what_a_crash_of_the_machine_left(path: Path, publisher: Open):
    publisher(0).open(NOW)
    next_boot = publisher(1, BOOT + 1)
    with pytest.raises(ClockUnavailableError):
        PublishedClock(path, BOOT + 1)
    next_boot.open(NOW + 2)
    assert latest(path, BOOT + 1) == NOW + 2


@pytest.mark.parametrize("seed", range(20))
def test_whatever_a_clock_file_holds_the_next_leader_makes_it_its_own(
    path: Path, publisher: Open, seed: int
):
    chance = random.Random(seed)
    path.write_bytes(chance.randbytes(chance.randrange(64)))
    with pytest.raises(ClockUnavailableError):
        PublishedClock(path, BOOT)
    publisher(1).open(NOW)
    assert latest(path) == NOW


@pytest.mark.parametrize("position", range((2 + ZONES) * 8))
def test_flipped_bit_anywhere_is_noticed_and_mended(path: Path, publisher: Open, position: int):
    old, leader = publisher(0), publisher(1)
    old.open(NOW - 5)
    leader.open(NOW)
    assert not leader.mend()
    with path.open("r+b") as file:
        file.seek(position)
        (byte,) = file.read(1)
        file.seek(position)
        file.write(bytes([byte ^ 1 << position % 8]))
    with pytest.raises(ClockUnavailableError):
        PublishedClock(path, BOOT)
    assert leader.mend()
    assert latest(path) == NOW


def test_reader_starts_at_no_damaged_slot_and_goes_on_once_it_is_mended(
    path: Path, publisher: Open
):
    leader = publisher(1)
    leader.open(NOW)
    with closing(PublishedClock(path, BOOT)) as reader:
        with path.open("r+b") as file:
            file.seek(2 * 8 + 6)
            file.write(b"\x7f")  # of another zone's slot: years ahead
        mending = threading.Timer(0.05, leader.mend)
        mending.start()
        assert reader.latest() == NOW
        mending.join()


@pytest.mark.parametrize("damaged", [NOW - 1, 5, 0], ids=["just below", "far below", "empty"])
@pytest.mark.parametrize("is_sound", [True, False])
def test_reader_never_goes_back_to_where_the_clock_was_before(
    path: Path, publisher: Open, damaged: int, *, is_sound: bool
):
    """The leader's slot has fallen, to what may or may not be a timestamp; a former leader's stands."""
    old, leader = publisher(0), publisher(1)
    old.open(NOW - 5)
    with closing(PublishedClock(path, BOOT)) as reader:
        leader.open(NOW)
        assert reader.latest() == NOW
        slot = _slot_of(damaged) ^ (0 if is_sound else 1)
        with path.open("r+b") as file:
            file.seek((2 + 1) * 8)
            file.write(slot.to_bytes(8, "little"))
        mending = threading.Timer(0.05, leader.mend)
        mending.start()
        assert reader.latest() == NOW
        mending.join()
        leader.publish(NOW + 1)
        assert reader.latest() == NOW + 1


def test_former_leaders_slot_that_was_damaged_and_emptied_keeps_nobody_waiting(
    path: Path, publisher: Open
):
    old, leader = publisher(0), publisher(1)
    old.open(NOW - 5)
    with closing(PublishedClock(path, BOOT)) as reader:
        assert reader.latest() == NOW - 5
        leader.open(NOW)
        with path.open("r+b") as file:
            file.seek(2 * 8)
            file.write(b"\x01" * 8)
        assert leader.mend()
        assert reader.latest() == NOW


def test_damaged_slot_of_a_new_leader_does_not_leave_readers_where_the_old_one_was(
    path: Path, publisher: Open
):
    old, leader = publisher(0), publisher(1)
    old.open(NOW)
    with closing(PublishedClock(path, BOOT)) as reader:
        assert reader.latest() == NOW
        leader.open(NOW + 1)
        with path.open("r+b") as file:
            file.seek(3 * 8)
            file.write(b"\x01" * 8)  # far below, and this reader has not seen it before
        mending = threading.Timer(0.05, leader.mend)
        mending.start()
        assert reader.latest() == NOW + 1
        mending.join()
