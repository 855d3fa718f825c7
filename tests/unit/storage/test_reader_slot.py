from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from storage.reader_slot import READERS, ReaderSlot, ReaderSlots, open_slot, open_wake


@pytest.fixture
def slots(tmp_path: Path) -> Iterator[ReaderSlots]:
    with closing(ReaderSlots(tmp_path)) as slots:
        yield slots


def test_oldest_start_is_that_of_a_living_reader(tmp_path: Path, slots: ReaderSlots) -> None:
    first, second = ReaderSlot.claim(tmp_path), ReaderSlot.claim(tmp_path)
    first.words[0], second.words[0] = 50, 40
    assert slots.oldest_start(0) == 40
    assert slots.oldest_start(45) == 50
    second.close()
    assert slots.oldest_start(0) == 50
    first.close()
    assert slots.oldest_start(0) is None


def test_reader_that_died_is_forgotten(tmp_path: Path, slots: ReaderSlots) -> None:
    slot, wake = open_slot(tmp_path)
    os.pwrite(slot, b"\x01" * 8, 0)
    assert slots.oldest_start(0) is not None
    os.close(slot)  # as the kernel does with a dead process's
    os.close(wake)
    assert slots.oldest_start(0) is None
    assert not list((tmp_path / READERS).iterdir())


@pytest.mark.parametrize(
    ("start", "elsewhere", "counts"), [(9, 0, True), (0, 0, False), (9, 1, False)]
)
def test_reader_that_died_in_a_transaction_here_is_told_of_once(
    tmp_path: Path, slots: ReaderSlots, start: int, elsewhere: int, counts: bool
) -> None:
    for looked_at_before in (False, True):
        slot, wake = open_slot(tmp_path)
        os.pwrite(slot, struct.pack("<QQ", start, elsewhere), 0)
        assert not slots.has_lost_reader()  # it lives
        os.close(slot)
        os.close(wake)
        if looked_at_before:
            slots.oldest_start(0)
        assert slots.has_lost_reader() == counts
        assert not slots.has_lost_reader()


def test_slot_lives_as_long_as_whoever_it_was_passed_to(tmp_path: Path, slots: ReaderSlots) -> None:
    opened = open_slot(tmp_path)
    passed_on = (os.dup(opened[0]), os.dup(opened[1]))
    for descriptor in opened:
        os.close(descriptor)
    with closing(ReaderSlot(passed_on)) as slot:
        slot.words[0] = 9
        assert slots.oldest_start(0) == 9


@pytest.mark.parametrize("content", [b"", b"\xff", b"\xff" * 8, bytes(100_000)])
def test_whatever_a_reader_writes_into_its_slot_is_a_number(
    tmp_path: Path, slots: ReaderSlots, content: bytes
) -> None:
    """It can also cut the file where the kernel does not filter system calls."""
    opened = open_slot(tmp_path)
    os.ftruncate(opened[0], 0)
    os.pwrite(opened[0], content, 0)
    assert all(0 < start < 1 << 64 for start in slots.reading().values())
    slots.oldest_start(0)
    for descriptor in opened:
        os.close(descriptor)


def test_waking_never_waits_and_needs_no_writer(tmp_path: Path) -> None:
    with closing(ReaderSlot.claim(tmp_path)) as slot:
        slot.wake_writer()  # nobody listens
        wake = open_wake(tmp_path)
        for _ in range(100_000):  # more than a FIFO holds
            slot.wake_writer()
        assert os.read(wake, 1) == b"w"
        os.close(wake)


def test_reader_cannot_take_the_wake_ups_of_others(tmp_path: Path) -> None:
    opened = open_slot(tmp_path)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.read(opened[1], 1)
    for descriptor in opened:
        os.close(descriptor)
