"""Frames survive; damage is told from a torn end."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal.messages import Record
from journal.segment import (
    HEADER_BYTES,
    make_frame,
    parse_frames,
    recover_segment,
    segment_header,
    sync_mark,
)

SECRET = 7


def records(first: int, count: int, epoch: int = 1) -> list[Record]:
    return [Record(n, epoch, 1_000 + n, 0, b"payload %d" % n) for n in range(first, first + count)]


def segment(*counts: int) -> tuple[bytes, list[int]]:
    """A segment with frames of so many records, a mark before each; and where each frame ends."""
    data = segment_header(1)
    sequence = 1
    ends = []
    for count in counts:
        data += sync_mark(sequence - 1, 1, SECRET) + make_frame(records(sequence, count)).data
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
        recovered = recover_segment(data[:length], 1, SECRET)
        assert [frame.last for _, frame in recovered.frames] == [2, 3]
        assert recovered.end <= length


def recovered_spans(data: bytes) -> list[tuple[int, int]]:
    return [(f.first, f.last) for _, f in recover_segment(data, 1, SECRET).frames]


def test_garbled_last_frame_is_torn_and_no_damage():
    data, ends = segment(2, 1)
    recovered = recover_segment(data[: ends[1] - 1] + bytes([data[-1] ^ 1]), 1, SECRET)
    assert [frame.last for _, frame in recovered.frames] == [2]
    assert (recovered.torn, recovered.damaged) == (True, False)


@pytest.mark.parametrize("position", range(HEADER_BYTES, 200, 7))
def test_damage_before_a_mark_is_told_and_reading_goes_on_at_the_mark(position):
    data, ends = segment(2, 1, 1)
    assert ends[1] > 200
    garbled = bytearray(data)
    garbled[position] ^= 1
    recovered = recover_segment(bytes(garbled), 1, SECRET)
    assert recovered.damaged
    assert recovered_spans(bytes(garbled))[-1] == (4, 4)
    assert len(recovered.frames) >= 1


def test_zeros_at_the_end_are_no_damage_and_hide_none():
    data, ends = segment(2, 1, 1)
    zeros = bytes(100_000)
    recovered = recover_segment(data + zeros, 1, SECRET)
    assert (recovered.end, recovered.torn, recovered.damaged) == (len(data), False, False)
    torn = recover_segment(data[:-1] + zeros, 1, SECRET)
    assert torn.end == ends[1] + len(sync_mark(3, 1, SECRET))
    garbled = bytearray(data)
    garbled[ends[0] - 1] ^= 1
    assert recover_segment(bytes(garbled) + zeros, 1, SECRET).damaged


def test_payload_of_zeros_is_no_space_written_ahead():
    data = segment_header(1) + make_frame([Record(1, 1, 1_001, 0, bytes(5_000))]).data
    recovered = recover_segment(data + bytes(9_000), 1, SECRET)
    assert recovered.end == len(data)


def test_client_cannot_have_its_own_bytes_read_as_records():
    inner = sync_mark(6, 1, SECRET + 1) + make_frame(records(7, 1)).data + b"and more"
    data = segment_header(1) + sync_mark(0, 1, SECRET)
    data += make_frame([Record(1, 1, 1_001, 0, inner)]).data
    assert recovered_spans(data[:-1]) == []
    forged = data.replace(sync_mark(6, 1, SECRET + 1), sync_mark(6, 1, SECRET))
    assert recovered_spans(forged) == [(7, 7)]  # had it known the secret


def test_frame_that_belongs_elsewhere_is_not_read():
    data, _ = segment(1, 1)
    strayed = data + sync_mark(2, 1, SECRET) + make_frame(records(9, 1)).data
    assert recovered_spans(strayed) == [(1, 1), (2, 2)]
    repeated = data + sync_mark(1, 1, SECRET) + make_frame(records(2, 1)).data
    repeated += sync_mark(2, 1, SECRET) + make_frame(records(3, 1)).data
    assert recovered_spans(repeated) == [(1, 1), (2, 2), (3, 3)]
