"""Frames survive; damage is told from a torn end."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal.messages import Record
from journal.segment import (
    HEADER_BYTES,
    CorruptionError,
    make_frame,
    parse_frames,
    parse_header,
    recover_segment,
    segment_header,
    sync_mark,
)


def records(first: int, count: int, epoch: int = 1) -> list[Record]:
    return [Record(n, epoch, 1_000 + n, 0, b"payload %d" % n) for n in range(first, first + count)]


def segment(*counts: int) -> tuple[bytes, list[int]]:
    """A segment with frames of so many records, a mark before each; and where each frame ends."""
    data = segment_header(1)
    sequence = 1
    ends = []
    for count in counts:
        data += sync_mark(sequence - 1) + make_frame(records(sequence, count)).data
        sequence += count
        ends.append(len(data))
    return data, ends


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=100), min_size=1, max_size=5))
def test_frame_gives_its_records_back(payloads):
    written = [Record(n, 2, 100 + n, 1, payload) for n, payload in enumerate(payloads, 7)]
    (frame,) = parse_frames(make_frame(written).data)
    assert frame.records == written
    assert (frame.first, frame.last, frame.epoch) == (7, 6 + len(payloads), 2)
    assert frame.timestamp == written[-1].timestamp


def test_every_tear_of_the_last_frame_leaves_the_frames_before_it():
    data, ends = segment(2, 1, 3)
    for length in range(ends[1], ends[2]):
        recovered = recover_segment(data[:length], "s", last=True)
        assert [frame.last for _, frame in recovered.frames] == [2, 3]
        assert recovered.end <= length


def test_garbled_last_frame_is_cut_off():
    data, ends = segment(2, 1)
    garbled = data[: ends[1] - 1] + bytes([data[-1] ^ 1])
    assert [f.last for _, f in recover_segment(garbled, "s", last=True).frames] == [2]


def test_garbled_frame_before_a_mark_that_says_synced_is_corruption():
    data, ends = segment(2, 1, 1)
    garbled = bytearray(data)
    garbled[ends[0] - 1] ^= 1
    with pytest.raises(CorruptionError, match="before synced ones"):
        recover_segment(bytes(garbled), "s", last=True)


def test_zeros_at_the_end_are_no_damage_and_hide_none():
    data, ends = segment(2, 1, 1)
    zeros = bytes(100_000)
    assert recover_segment(data + zeros, "s", last=False).end == len(data)
    assert recover_segment(data[:-1] + zeros, "s", last=True).end == ends[1] + len(sync_mark(3))
    garbled = bytearray(data)
    garbled[ends[0] - 1] ^= 1
    with pytest.raises(CorruptionError, match="before synced ones"):
        recover_segment(bytes(garbled) + zeros, "s", last=True)


def test_payload_of_zeros_is_no_space_written_ahead():
    data = segment_header(1) + make_frame([Record(1, 1, 1_001, 0, bytes(5_000))]).data
    recovered = recover_segment(data + bytes(9_000), "s", last=True)
    assert recovered.end == len(data)


def test_bad_frame_in_a_segment_that_has_a_successor_is_corruption():
    data, _ = segment(2, 1)
    with pytest.raises(CorruptionError):
        recover_segment(data[:-1], "s", last=False)


def test_gap_between_frames_is_corruption():
    data = segment_header(1) + make_frame(records(1, 1)).data + make_frame(records(3, 1)).data
    with pytest.raises(CorruptionError, match="where 2 belongs"):
        recover_segment(data, "s", last=True)


def test_header_of_another_version_is_refused_and_a_torn_one_is_none():
    header = segment_header(5)
    assert parse_header(header) == 5
    assert parse_header(header[:-1]) is None
    assert len(header) == HEADER_BYTES
