"""The published clock is shared, only rises, belongs to the newest epoch and to this boot."""

from __future__ import annotations

import random

import pytest

from dsql.rpc.clock import ClockUnavailableError, PublishedClock

BOOT = 7


@pytest.fixture
def path(tmp_path):
    return tmp_path / "clock"


@pytest.fixture
def clock(path):
    opened = PublishedClock(path, BOOT, writable=True)
    yield opened
    opened.close()


def test_reader_sees_what_the_leader_publishes(clock, path):
    clock.claim(3, 5)
    reader = PublishedClock(path, BOOT)
    assert clock.publish(1_700_000_000_000_001, 3)
    assert (reader.latest(), reader.epoch) == (1_700_000_000_000_001, 3)
    assert path.read_bytes()[:8] == (1_700_000_000_000_001).to_bytes(8, "little")
    reader.close()


def test_timestamp_never_falls(clock):
    clock.claim(1, 10)
    clock.publish(9, 1)
    assert clock.latest() == 10


def test_deposed_leader_publishes_nothing(clock):
    clock.claim(1, 5)
    clock.claim(2, 5)
    assert not clock.publish(10, 1)
    clock.claim(1, 10)
    assert clock.latest() == 5


@pytest.mark.parametrize("size", [0, 8, 23])
def test_reader_waits_for_a_clock_that_is_being_made(path, size):
    path.write_bytes(bytes(size))
    with pytest.raises(ClockUnavailableError):
        PublishedClock(path, BOOT)


def test_reader_waits_until_a_leader_has_published(clock, path):
    with pytest.raises(ClockUnavailableError):
        PublishedClock(path, BOOT)
    clock.claim(1, 10)
    PublishedClock(path, BOOT).close()


def test_reader_does_not_trust_what_a_crash_of_the_machine_left(clock, path):
    clock.claim(4, 10)
    next_boot = PublishedClock(path, BOOT + 1, writable=True)
    with pytest.raises(ClockUnavailableError):
        PublishedClock(path, BOOT + 1)
    assert next_boot.epoch == 4
    next_boot.claim(5, 12)
    reader = PublishedClock(path, BOOT + 1)
    assert reader.latest() == 12
    reader.close()
    next_boot.close()


@pytest.mark.parametrize("seed", range(20))
def test_whatever_a_clock_file_holds_is_a_clock_or_unavailable(path, seed):
    """A leader that comes later takes it over."""
    chance = random.Random(seed)
    path.write_bytes(chance.randbytes(chance.randrange(64)))
    try:
        reader = PublishedClock(path, BOOT)
    except ClockUnavailableError:
        pass
    else:
        assert reader.latest() >= 0
        reader.close()
    leader = PublishedClock(path, BOOT, writable=True)
    leader.claim(leader.epoch + 1, leader.latest())
    assert leader.publish(leader.latest(), leader.epoch)
    leader.close()
