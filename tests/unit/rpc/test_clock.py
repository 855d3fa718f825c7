"""The published clock is shared, only rises, and belongs to the newest epoch."""

from __future__ import annotations

import pytest

from dsql.rpc.clock import PublishedClock


@pytest.fixture
def clock(tmp_path):
    opened = PublishedClock(tmp_path / "clock", writable=True)
    yield opened
    opened.close()


def test_reader_sees_what_the_leader_publishes(clock, tmp_path):
    reader = PublishedClock(tmp_path / "clock")
    clock.claim(3)
    assert clock.publish(1_700_000_000_000_001, 3)
    assert (reader.latest(), reader.epoch) == (1_700_000_000_000_001, 3)
    assert (tmp_path / "clock").read_bytes()[:8] == (1_700_000_000_000_001).to_bytes(8, "little")
    reader.close()


def test_timestamp_never_falls(clock):
    clock.claim(1)
    clock.publish(10, 1)
    clock.publish(9, 1)
    assert clock.latest() == 10


def test_deposed_leader_publishes_nothing(clock):
    clock.claim(1)
    clock.claim(2)
    assert not clock.publish(10, 1)
    assert clock.latest() == 0
