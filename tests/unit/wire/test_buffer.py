import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsql.errors import FatalError, SqlError
from dsql.limits import WIRE_MESSAGE_BYTES_MAX
from dsql.wire import client
from dsql.wire.buffer import MessageReader, startup_packet_length

MESSAGES = st.lists(
    st.tuples(st.sampled_from(list(b"QPBDECSHXdcf")), st.binary(max_size=40)), max_size=6
)


def encode(messages: list[tuple[int, bytes]]) -> bytes:
    return b"".join(client.message(bytes([kind]), body) for kind, body in messages)


@settings(max_examples=60, deadline=None)
@given(MESSAGES, st.lists(st.integers(0, 200), max_size=8))
def test_any_split_of_the_stream_gives_the_same_messages(messages, cuts):
    stream = encode(messages)
    reader, got, at = MessageReader(), [], 0
    for cut in [*sorted(cuts), len(stream)]:
        got += reader.feed(stream[at:cut])
        at = max(at, cut)
    assert got == messages
    assert not reader.partial


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=30), max_size=4))
def test_random_bytes_raise_nothing_but_sql_errors(chunks):
    reader = MessageReader()
    try:
        for chunk in chunks:
            reader.feed(chunk)
    except SqlError as error:
        if error.sqlstate not in ("08P01",):
            raise


def test_one_byte_at_a_time_gives_the_message_with_its_last_byte():
    reader, stream = MessageReader(), client.query("SELECT 1")
    for byte in stream[:-1]:
        assert reader.feed(bytes([byte])) == []
    assert reader.feed(stream[-1:]) == [(ord("Q"), b"SELECT 1\0")]


@pytest.mark.parametrize("length", [0, 3, WIRE_MESSAGE_BYTES_MAX + 5, 0xFFFFFFFF])
def test_a_length_out_of_bounds_is_refused_before_the_body_arrives(length):
    with pytest.raises(FatalError, match="invalid message length") as caught:
        MessageReader().feed(b"Q" + length.to_bytes(4, "big"))
    assert caught.value.sqlstate == "08P01"


def test_small_message_types_have_a_small_cap():
    with pytest.raises(FatalError, match="invalid message length"):
        MessageReader().feed(b"S" + (1_000_000).to_bytes(4, "big"))


def test_an_unknown_message_type_is_refused():
    with pytest.raises(FatalError, match="invalid frontend message type 112"):
        MessageReader().feed(client.password("secret"))


def test_startup_packet_length_is_capped():
    assert startup_packet_length(b"\0\0\0") is None
    assert startup_packet_length(client.ssl_request()) == 8
    with pytest.raises(FatalError, match="invalid length of startup packet"):
        startup_packet_length((10_001).to_bytes(4, "big"))
