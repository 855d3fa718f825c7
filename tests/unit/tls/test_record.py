import ssl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsql.session.handed import CIPHERS, TlsState
from dsql.tls import record
from dsql.tls.record import RecordLayer, TlsError
from tests.unit.tls.peer import connect

SUITE = CIPHERS[0]


def pair(suite: str = SUITE) -> tuple[RecordLayer, RecordLayer]:
    """Two ends of one connection."""
    return (
        RecordLayer(TlsState(suite, b"c" * 32, b"s" * 32, 0, 0)),
        RecordLayer(TlsState(suite, b"s" * 32, b"c" * 32, 0, 0)),
    )


def raw(layer: RecordLayer, content: bytes, kind: int) -> bytes:
    return layer._seal_record(content, kind)


def alert_seen_by(peer: RecordLayer, layer: RecordLayer) -> None:
    peer.open(layer.take_output())


@pytest.mark.parametrize("suite", CIPHERS)
def test_openssl_understands_every_suite_both_ways(suite):
    client, state = connect(suite)
    server = RecordLayer(state)
    assert server.open(client.seal(b"SELECT 1")) == b"SELECT 1"
    assert client.open(server.seal(b"1")) == b"1"
    big = bytes(range(256)) * 300
    assert client.open(server.seal(big)) == big
    assert server.open(client.seal(big)) == big
    assert client.open(server.seal(b"")) == b""


@pytest.mark.parametrize("suite", CIPHERS)
def test_openssl_follows_our_key_update(suite, monkeypatch):
    monkeypatch.setattr(record, "RECORDS_PER_KEY_MAX", 4)
    client, state = connect(suite)
    server = RecordLayer(state)
    for number in range(20):
        text = b"row %d" % number
        assert client.open(server.seal(text)) == text
    assert server.state().write_secret != state.write_secret


def test_close_notify_ends_the_stream_on_both_sides():
    client, state = connect(SUITE)
    server = RecordLayer(state)
    assert server.open(client.seal(b"x") + client.seal_close()) == b"x"
    assert server.closed
    with pytest.raises(ssl.SSLZeroReturnError):
        client.open(server.seal_close())


def test_another_process_goes_on_from_the_exported_state():
    client, state = connect(SUITE)
    first = RecordLayer(state)
    sealed = client.seal(b"one") + client.seal(b"two")
    assert first.open(sealed[:-3]) == b"one"
    assert client.open(first.seal(b"1")) == b"1"
    second = RecordLayer(first.state())
    assert second.unread
    assert second.open(sealed[-3:]) == b"two"
    assert client.open(second.seal(b"2")) == b"2"


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.binary(max_size=50), min_size=1, max_size=4),
    st.lists(st.integers(0, 300), max_size=6),
)
def test_any_split_of_the_ciphertext_gives_the_same_plaintext(contents, cuts):
    reader, writer = pair()
    stream = b"".join(writer.seal(content) for content in contents)
    got, at = b"", 0
    for cut in [*sorted(cuts), len(stream)]:
        got += reader.open(stream[at:cut])
        at = max(at, cut)
    assert got == b"".join(contents)


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=5, max_size=60))
def test_random_bytes_raise_nothing_but_tls_errors(data):
    reader, _ = pair()
    try:
        reader.open(data)
        reader.open(b"\x17\x03\x03\0\x20" + data * 8)
    except TlsError:
        pass


@pytest.mark.parametrize("suite", CIPHERS)
@pytest.mark.parametrize("requested", [False, True])
def test_key_update_moves_the_keys_on(suite, requested):
    reader, writer = pair(suite)
    update = raw(writer, b"\x18\0\0\x01" + bytes([requested]), record.HANDSHAKE)
    writer._write.update()
    assert reader.open(update + writer.seal(b"new key")) == b"new key"
    assert bool(reader.output) is requested
    before = reader.state().write_secret
    assert writer.open(reader.seal(b"answer")) == b"answer"
    assert reader.output == b""
    assert (before != b"s" * 32) is requested


def test_a_key_update_may_come_in_pieces():
    reader, writer = pair()
    assert reader.open(raw(writer, b"\x18\0\0", record.HANDSHAKE)) == b""
    assert reader.open(raw(writer, b"\x01\0", record.HANDSHAKE)) == b""
    writer._write.update()
    assert reader.open(writer.seal(b"x")) == b"x"


def test_padding_is_removed():
    reader, writer = pair()
    assert reader.open(raw(writer, b"data\x17" + bytes(30), 0)) == b"data"


@pytest.mark.parametrize(
    ("content", "kind", "alert"),
    [
        (b"\x18\0\0\x01\x02", record.HANDSHAKE, record.ILLEGAL_PARAMETER),
        (b"\x18\0\0\x02\0", record.HANDSHAKE, record.DECODE_ERROR),
        (b"\x18\0\0\x01\0\x18", record.HANDSHAKE, record.UNEXPECTED_MESSAGE),
        (b"\x04\0\0\0", record.HANDSHAKE, record.UNEXPECTED_MESSAGE),
        (b"", record.HANDSHAKE, record.UNEXPECTED_MESSAGE),
        (b"x", 20, record.UNEXPECTED_MESSAGE),
        (b"\0\0", 0, record.UNEXPECTED_MESSAGE),
        (b"\1", record.ALERT, record.DECODE_ERROR),
    ],
)
def test_what_the_rfc_forbids_is_answered_with_its_alert(content, kind, alert):
    reader, writer = pair()
    with pytest.raises(TlsError):
        reader.open(raw(writer, content, kind))
    with pytest.raises(TlsError, match=f"alert {alert}$"):
        writer.open(reader.take_output())


def test_a_tampered_record_is_answered_with_bad_record_mac():
    reader, writer = pair()
    sealed = bytearray(writer.seal(b"data"))
    sealed[-1] ^= 1
    with pytest.raises(TlsError, match="does not decrypt"):
        reader.open(bytes(sealed))
    with pytest.raises(TlsError, match=f"alert {record.BAD_RECORD_MAC}$"):
        writer.open(reader.take_output())


def test_a_record_length_is_refused_before_its_bytes_arrive():
    reader, _ = pair()
    with pytest.raises(TlsError, match="record of 16641 bytes"):
        reader.open(b"\x17\x03\x03" + (16_641).to_bytes(2, "big"))


def test_plaintext_records_are_refused():
    reader, _ = pair()
    with pytest.raises(TlsError, match="record of type 22"):
        reader.open(b"\x16\x03\x03\0\x01\0")


def test_a_flood_of_empty_records_ends_the_connection():
    reader, writer = pair()
    flood = b"".join(writer.seal(b"") for _ in range(record.IDLE_RECORDS_MAX + 1))
    with pytest.raises(TlsError, match="too many records without data"):
        reader.open(flood)


def test_a_flood_of_key_updates_ends_the_connection():
    reader, writer = pair()

    def flood() -> None:
        for _ in range(record.IDLE_RECORDS_MAX + 1):
            update = raw(writer, b"\x18\0\0\x01\x01", record.HANDSHAKE)
            writer._write.update()
            reader.open(update)

    with pytest.raises(TlsError, match="too many records without data"):
        flood()


def test_data_resets_the_count_of_idle_records():
    reader, writer = pair()
    for _ in range(record.IDLE_RECORDS_MAX * 2):
        assert reader.open(writer.seal(b"") + writer.seal(b"x")) == b"x"
