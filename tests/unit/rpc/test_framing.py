"""Any cutting of a stream gives the same frames."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsql.rpc.framing import FrameDecoder, FrameError, frame


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=8), st.lists(st.integers(1, 30), max_size=20))
def test_bodies_do_not_depend_on_how_the_stream_is_cut(bodies, cuts):
    stream = b"".join(map(frame, bodies))
    decoder = FrameDecoder()
    received = []
    for size in cuts:
        received += decoder.feed(stream[:size])
        stream = stream[size:]
    received += decoder.feed(stream)
    assert received == bodies


def test_announced_length_above_the_cap_is_refused_before_the_body_comes():
    with pytest.raises(FrameError):
        FrameDecoder(cap=10).feed(b"\0\0\0\x0b")


def test_body_of_exactly_the_cap_passes():
    assert FrameDecoder(cap=3).feed(frame(b"abc")) == [b"abc"]
