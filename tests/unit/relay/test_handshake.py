import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsql.errors import FatalError
from dsql.limits import PASSWORD_BYTES_MAX
from relay.handshake import Cancel, Handshake, Login, Password, Reply, StartTls

SSL_REQUEST = struct.pack("!II", 8, 80877103)
GSS_REQUEST = struct.pack("!II", 8, 80877104)
CANCEL = struct.pack("!IIII", 16, 80877102, 7, 9)
ASK_PASSWORD = b"R\0\0\0\x08\0\0\0\x03"


def startup(*texts: str, version: int = 196608) -> bytes:
    body = struct.pack("!I", version) + "".join(f"{text}\0" for text in texts).encode() + b"\0"
    return struct.pack("!I", len(body) + 4) + body


def password(text: bytes) -> bytes:
    return b"p" + struct.pack("!I", len(text) + 5) + text + b"\0"


def inside_tls() -> Handshake:
    handshake = Handshake()
    assert handshake.receive(SSL_REQUEST) == [StartTls(b"S", b"")]
    handshake.tls_established(b"")
    return handshake


def refused(handshake: Handshake, data: bytes) -> FatalError:
    with pytest.raises(FatalError) as caught:
        handshake.receive(data)
    return caught.value


def test_direct_tls_keeps_the_first_bytes_for_tls() -> None:
    handshake = Handshake()
    assert handshake.receive(b"\x16\x03\x01") == [StartTls(b"", b"\x16\x03\x01")]
    handshake.tls_established(b"postgresql")
    (login,) = handshake.receive(startup("user", "admin"))
    assert isinstance(login, Login)


@pytest.mark.parametrize("first", [b"\x14", b"\x15", b"\x17"])
def test_any_tls_record_is_left_to_tls_to_refuse(first: bytes) -> None:
    assert Handshake().receive(first + b"\x03\x01") == [StartTls(b"", first + b"\x03\x01")]


def test_direct_tls_without_alpn_is_refused() -> None:
    handshake = Handshake()
    handshake.receive(b"\x16")
    with pytest.raises(FatalError, match="without ALPN"):
        handshake.tls_established(b"")


def test_password_is_cut_from_what_follows_it() -> None:
    handshake = inside_tls()
    assert handshake.receive(startup("user", "admin") + password(b"token") + b"Qrest") == [
        Login({"user": "admin"}, ASK_PASSWORD),
        Password("token", b"Qrest"),
    ]
    assert handshake.receive(b"more") == []


@given(st.lists(st.integers(1, 30), max_size=8))
@settings(max_examples=50, deadline=None)
def test_login_does_not_depend_on_how_bytes_are_cut(cuts: list[int]) -> None:
    data = startup("user", "admin", "database", "postgres") + password(b"token")
    handshake, events = inside_tls(), []
    for cut in cuts:
        events += handshake.receive(data[:cut])
        data = data[cut:]
    events += handshake.receive(data)
    assert [type(event) for event in events] == [Login, Password]


@given(st.binary(max_size=64))
@settings(max_examples=300, deadline=None)
def test_arbitrary_bytes_never_do_more_than_be_refused(data: bytes) -> None:
    for handshake in (Handshake(), inside_tls()):
        try:
            handshake.receive(data)
        except FatalError:
            continue


def test_gss_request_is_declined_once() -> None:
    handshake = Handshake()
    assert handshake.receive(GSS_REQUEST) == [Reply(b"N")]
    assert refused(handshake, GSS_REQUEST).sqlstate == "0A000"
    handshake = Handshake()
    handshake.receive(GSS_REQUEST)
    assert handshake.receive(SSL_REQUEST) == [StartTls(b"S", b"")]


def test_second_ssl_request_is_an_unknown_protocol() -> None:
    error = refused(inside_tls(), SSL_REQUEST)
    assert error.message.startswith("unsupported frontend protocol 1234.5679")


def test_early_data_is_refused() -> None:
    error = refused(Handshake(), SSL_REQUEST + b"\x16")
    assert error.message == "received unencrypted data after SSL request"


def test_session_without_tls_is_refused() -> None:
    assert refused(Handshake(), startup("user", "admin")).sqlstate == "28000"


def test_cancellation_needs_no_tls() -> None:
    assert Handshake().receive(CANCEL) == [Cancel(7, 9)]
    assert inside_tls().receive(CANCEL) == [Cancel(7, 9)]


def test_newer_minor_versions_are_answered_with_ours() -> None:
    (login,) = inside_tls().receive(startup("user", "a", "_pq_.x", "1", version=196610))
    assert login.reply == b"v\0\0\0\x13\0\3\0\0\0\0\0\x01_pq_.x\0" + ASK_PASSWORD


def test_user_is_required() -> None:
    error = refused(inside_tls(), startup("database", "postgres"))
    assert error.message == "no PostgreSQL user name specified in startup packet"


@pytest.mark.parametrize("length", [0, 7, 10_001, 0x7FFFFFFF])
def test_length_of_a_packet_is_checked_before_it_is_awaited(length: int) -> None:
    assert refused(Handshake(), struct.pack("!I", length)).sqlstate == "08P01"


def test_length_of_the_password_is_checked_before_it_is_awaited() -> None:
    handshake = inside_tls()
    handshake.receive(startup("user", "admin"))
    error = refused(handshake, b"p" + struct.pack("!I", PASSWORD_BYTES_MAX + 5))
    assert error.message == "invalid password packet size"


def test_other_message_than_the_password_is_refused() -> None:
    handshake = inside_tls()
    handshake.receive(startup("user", "admin"))
    error = refused(handshake, b"Q")
    assert error.message == "expected password response, got message type 81"
