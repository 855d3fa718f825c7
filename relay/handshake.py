"""The protocol between a client's first byte and its password, without I/O.

    first byte 0x14 to 0x17         direct TLS: the handshake must negotiate ALPN `postgresql`
    SSLRequest                      answered S, then TLS; bytes sent before that answer are an attack
    GSSENCRequest                   answered N, then one of the others
    CancelRequest                   in the clear or inside TLS, ends the connection
    StartupMessage                  inside TLS only: answered with the request for the password
    PasswordMessage                 the token; what follows it is for the query processor

Whatever else comes is refused with a FatalError. `receive` takes plaintext: bytes of the socket until
`StartTls`, afterwards what TLS decrypted.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from dsql.errors import FatalError, SqlError
from dsql.limits import PASSWORD_BYTES_MAX
from dsql.wire.backend import AUTHENTICATION_CLEARTEXT_PASSWORD, negotiate_protocol_version
from dsql.wire.buffer import startup_packet_length
from dsql.wire.frontend import (
    CancelRequest,
    GssEncRequest,
    SslRequest,
    StartupMessage,
    StartupPacket,
    parse_password,
    parse_startup,
)

ALPN_PROTOCOL = b"postgresql"
# Content types of TLS records: of all of them but a handshake's TLS itself says what is wrong with it. As a
# length of a startup packet they would be absurd.
TLS_RECORD_TYPES = range(0x14, 0x18)
MINOR_VERSION_MAX = 0
_PASSWORD_MESSAGE = ord("p")
_HEADER_BYTES = 5


class Reply(NamedTuple):
    """Send these bytes."""

    data: bytes


class StartTls(NamedTuple):
    """Send `reply` and run the TLS handshake; `ciphertext` is the part of it that came already."""

    reply: bytes
    ciphertext: bytes


class Cancel(NamedTuple):
    """Forward a cancellation and close."""

    process_id: int
    secret_key: int


class Login(NamedTuple):
    """A session is wanted. If it may go on, send `reply`, which asks for the password."""

    parameters: dict[str, str]
    reply: bytes


class Password(NamedTuple):
    """The token, and the plaintext that came behind it."""

    token: str
    pending: bytes


Event = Reply | StartTls | Cancel | Login | Password


class _Phase(enum.Enum):
    FIRST_BYTE = enum.auto()
    PLAIN_PACKET = enum.auto()
    TLS_HANDSHAKE = enum.auto()
    TLS_PACKET = enum.auto()
    PASSWORD = enum.auto()
    DONE = enum.auto()


class Handshake:
    """One connection's progress. Every method may raise FatalError, after which it is over."""

    def __init__(self) -> None:
        self._phase = _Phase.FIRST_BYTE
        self._buffer = b""
        self._direct = False
        self._gss_answered = False

    def receive(self, data: bytes) -> list[Event]:
        """Take plaintext and return what has to be done, in order."""
        self._buffer += data
        events: list[Event] = []
        while (event := self._next_event()) is not None:
            events.append(event)
        return events

    def tls_established(self, protocol: bytes) -> None:
        """Go on after the TLS handshake, which negotiated the application protocol `protocol`."""
        assert self._phase is _Phase.TLS_HANDSHAKE
        self._phase = _Phase.TLS_PACKET
        if self._direct and protocol != ALPN_PROTOCOL:
            raise FatalError(
                "08P01",
                "received direct SSL connection request without ALPN protocol negotiation extension",
            )

    def _next_event(self) -> Event | None:
        match self._phase:
            case _Phase.FIRST_BYTE:
                return self._receive_first_byte()
            case _Phase.PLAIN_PACKET | _Phase.TLS_PACKET:
                return self._receive_packet()
            case _Phase.PASSWORD:
                return self._receive_password()
            case _:
                return None

    def _receive_first_byte(self) -> Event | None:
        if not self._buffer:
            return None
        if self._buffer[0] not in TLS_RECORD_TYPES:
            self._phase = _Phase.PLAIN_PACKET
            return self._receive_packet()
        self._direct = True
        self._phase = _Phase.TLS_HANDSHAKE
        ciphertext, self._buffer = self._buffer, b""
        return StartTls(b"", ciphertext)

    def _receive_packet(self) -> Event | None:
        length = startup_packet_length(self._buffer)
        if length is None or len(self._buffer) < length:
            return None
        packet = parse_startup(self._buffer[4:length])
        self._buffer = self._buffer[length:]
        inside_tls = self._phase is _Phase.TLS_PACKET
        match packet:
            case CancelRequest(process_id, secret_key):
                self._phase = _Phase.DONE
                return Cancel(process_id, secret_key)
            case StartupMessage() if inside_tls:
                return self._login(packet)
            case StartupMessage():
                raise FatalError(
                    "28000",
                    "unable to accept connection, SSL is required",
                    hint="Connect with sslmode=require or stronger.",
                )
            case SslRequest() if not inside_tls:
                return self._answer_ssl_request()
            case GssEncRequest() if not inside_tls and not self._gss_answered:
                self._gss_answered = True
                return Reply(b"N")
        raise _out_of_place(packet)

    def _answer_ssl_request(self) -> Event:
        """Answer S. Whoever sends more before it has the answer may be speaking for somebody else."""
        if self._buffer:
            raise FatalError(
                "08P01",
                "received unencrypted data after SSL request",
                detail="This could be either a client-software bug or evidence of an attempted "
                "man-in-the-middle attack.",
            )
        self._phase = _Phase.TLS_HANDSHAKE
        return StartTls(b"S", b"")

    def _login(self, message: StartupMessage) -> Login:
        if not message.parameters.get("user"):
            raise FatalError("28000", "no PostgreSQL user name specified in startup packet")
        reply = AUTHENTICATION_CLEARTEXT_PASSWORD
        if message.minor > MINOR_VERSION_MAX or message.unrecognized:
            reply = negotiate_protocol_version(MINOR_VERSION_MAX, message.unrecognized) + reply
        self._phase = _Phase.PASSWORD
        return Login(message.parameters, reply)

    def _receive_password(self) -> Event | None:
        """Take the password message and nothing after it: the rest is not the relay's to read."""
        end = _password_message_end(self._buffer)
        if end is None or len(self._buffer) < end:
            return None
        body, pending = self._buffer[_HEADER_BYTES:end], self._buffer[end:]
        self._phase, self._buffer = _Phase.DONE, b""
        try:
            return Password(parse_password(body), pending)
        except SqlError as error:
            raise FatalError(error.sqlstate, error.message) from None


def _password_message_end(data: bytes) -> int | None:
    """Return where the message at the head of `data` ends, None before its header is whole."""
    if data and data[0] != _PASSWORD_MESSAGE:
        raise FatalError("08P01", f"expected password response, got message type {data[0]}")
    if len(data) < _HEADER_BYTES:
        return None
    length = int.from_bytes(data[1:_HEADER_BYTES], "big")
    if not 5 <= length <= PASSWORD_BYTES_MAX + 4:
        raise FatalError("08P01", "invalid password packet size")
    return 1 + length


def _out_of_place(packet: StartupPacket) -> FatalError:
    """Refuse a request for encryption where there can be none, as the unknown protocol that it is then."""
    minor = 5679 if isinstance(packet, SslRequest) else 5680
    return FatalError(
        "0A000", f"unsupported frontend protocol 1234.{minor}: server supports 3.0 to 3.0"
    )
