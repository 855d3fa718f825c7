"""What a client sends: the bodies of its messages, parsed.

Each parser takes a body and raises SqlError 08P01 for a malformed one (22021 for text that is not
UTF-8), and never anything else.
"""

from __future__ import annotations

import struct

import msgspec

from dsql.errors import FatalError, SqlError
from dsql.limits import truncate_identifier
from dsql.wire.buffer import (
    BodyReader,
    decode_text,
    insufficient_data,
    invalid_encoding,
    invalid_format,
)

PROTOCOL_MAJOR = 3
_CANCEL_REQUEST = 80877102
_SSL_REQUEST = 80877103
_GSSENC_REQUEST = 80877104


class SslRequest(msgspec.Struct, frozen=True):
    """The client asks for TLS on this connection; the answer is one byte, S or N."""


class GssEncRequest(msgspec.Struct, frozen=True):
    """The client asks for GSSAPI encryption; the answer is one byte, G or N."""


class CancelRequest(msgspec.Struct, frozen=True):
    """The client asks to cancel what the session with this BackendKeyData is running."""

    process_id: int
    secret_key: int


class StartupMessage(msgspec.Struct, frozen=True):
    """The start of a session.

    `minor` is the protocol's minor version and `unrecognized` the `_pq_.` options asked for: if the one
    is above 0 or the other not empty, NegotiateProtocolVersion has to be sent.
    """

    minor: int
    parameters: dict[str, str]
    unrecognized: tuple[str, ...] = ()


StartupPacket = SslRequest | GssEncRequest | CancelRequest | StartupMessage


def parse_startup(body: bytes) -> StartupPacket:
    """Parse a startup packet without its length. Refusals are FatalError."""
    reader = BodyReader(body)
    try:
        code = reader.uint32()
        if code == _SSL_REQUEST:
            return SslRequest()
        if code == _GSSENC_REQUEST:
            return GssEncRequest()
        if code == _CANCEL_REQUEST:
            return CancelRequest(reader.uint32(), reader.uint32())
        return _parse_session_start(code, body)
    except FatalError:
        raise
    except SqlError as error:
        raise FatalError(error.sqlstate, error.message) from None


def _parse_session_start(code: int, body: bytes) -> StartupMessage:
    """Read the parameters. Names of a user and a database are cut where any identifier is."""
    major, minor = code >> 16, code & 0xFFFF
    if major != PROTOCOL_MAJOR:
        raise FatalError(
            "0A000",
            f"unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.0",
        )
    if len(body) < 5 or not body.endswith(b"\0"):
        raise _missing_terminator()
    texts = body[4:-1].split(b"\0")
    if len(texts) % 2 == 0 or texts.pop() != b"":
        raise _missing_terminator()
    parameters: dict[str, str] = {}
    unrecognized = []
    for name, value in zip(texts[::2], texts[1::2], strict=True):
        if not name:  # an empty name ends the list, and the packet has to end there too
            raise _missing_terminator()
        if name.startswith(b"_pq_."):
            unrecognized.append(decode_text(name))
        else:
            parameters[decode_text(name)] = decode_text(value)
    for named in parameters.keys() & {"user", "database"}:
        parameters[named] = truncate_identifier(parameters[named])
    return StartupMessage(minor, parameters, tuple(unrecognized))


def _missing_terminator() -> FatalError:
    return FatalError("08P01", "invalid startup packet layout: expected terminator as last byte")


class Parse(msgspec.Struct, frozen=True, gc=False):
    """Prepare `query` under `statement` ("" is the unnamed one). Type OID 0: to be inferred."""

    statement: str
    query: str
    parameter_types: tuple[int, ...]


class Bind(msgspec.Struct, frozen=True):
    """Open `portal` on `statement`. Formats: none (all text), one for all, or one for each."""

    portal: bytes
    statement: bytes
    formats: tuple[int, ...]
    values: list[bytes | None]
    result_formats: tuple[int, ...]


class Target(msgspec.Struct, frozen=True, gc=False):
    """What Describe and Close name: `kind` is b"S" for a statement, b"P" for a portal."""

    kind: bytes
    name: bytes


class Execute(msgspec.Struct, frozen=True, gc=False):
    """Run a portal; `row_limit` 0 means to the end."""

    portal: bytes
    row_limit: int


def _parse_text(body: bytes) -> str:
    end = len(body) - 1
    if body.find(0) != end:
        raise SqlError("08P01", "invalid string in message") if 0 not in body else invalid_format()
    try:
        return body[:end].decode()
    except UnicodeDecodeError as error:
        raise invalid_encoding(body[:end], error.start) from None


def parse_query(body: bytes) -> str:
    """Return the text of a simple Query."""
    return _parse_text(body)


def parse_copy_fail(body: bytes) -> str:
    """Return the reason of a CopyFail."""
    return _parse_text(body)


def parse_password(body: bytes) -> str:
    """Return the password of a PasswordMessage."""
    return _parse_text(body)


def parse_parse(body: bytes) -> Parse:
    """Parse a Parse message."""
    reader = BodyReader(body)
    statement, query = reader.string(), reader.string()
    count = reader.int16()
    types = struct.unpack(f"!{count}I", reader.take(4 * count))
    reader.finish()
    return Parse(statement, query, types)


_unpack_count = struct.Struct("!H").unpack_from
_unpack_length = struct.Struct("!i").unpack_from


def parse_bind(body: bytes) -> Bind:
    """Parse a Bind message; names stay bytes, because they are only looked up."""
    try:
        portal_end = body.index(0)
        statement_end = body.index(0, portal_end + 1)
        formats, at = _parse_formats(body, statement_end + 1)
        (count,) = _unpack_count(body, at)
        at += 2
        values: list[bytes | None] = []
        for _ in range(count):
            (length,) = _unpack_length(body, at)
            at += 4
            if length >= 0:
                values.append(body[at : at + length])
                at += length
            elif length == -1:
                values.append(None)
            else:
                raise insufficient_data()
        result_formats, at = _parse_formats(body, at)
    except struct.error:
        raise insufficient_data() from None
    except ValueError:
        raise SqlError("08P01", "invalid string in message") from None
    if at != len(body):
        raise invalid_format()
    return Bind(
        body[:portal_end],
        body[portal_end + 1 : statement_end],
        formats,
        values,
        result_formats,
    )


def _parse_formats(body: bytes, at: int) -> tuple[tuple[int, ...], int]:
    (count,) = _unpack_count(body, at)
    at += 2
    if not count:
        return (), at
    formats = struct.unpack_from(f"!{count}H", body, at)
    return formats, at + 2 * count


def parse_target(body: bytes) -> Target:
    """Parse the body of Describe or Close."""
    if len(body) < 2:
        raise insufficient_data()
    kind, end = body[:1], len(body) - 1
    if body.find(0, 1) != end:
        raise invalid_format()
    if kind not in (b"S", b"P"):
        raise SqlError("08P01", f"invalid message subtype {body[0]}")
    return Target(kind, body[1:end])


def parse_execute(body: bytes) -> Execute:
    """Parse an Execute message. A negative row limit means none, as in PostgreSQL."""
    end = len(body) - 5
    if end < 0:
        raise insufficient_data()
    if body.find(0) != end:
        raise invalid_format()
    (row_limit,) = _unpack_length(body, end + 1)
    return Execute(body[:end], max(row_limit, 0))


class FunctionCall(msgspec.Struct, frozen=True):
    """Call the function `function` (its OID). Formats as in Bind, the result's a single one."""

    function: int
    formats: tuple[int, ...]
    values: list[bytes | None]
    result_format: int


def parse_function_call(body: bytes) -> FunctionCall:
    """Parse a FunctionCall message."""
    reader = BodyReader(body)
    function = reader.uint32()
    formats = tuple(reader.int16() for _ in range(reader.int16()))
    values: list[bytes | None] = []
    for _ in range(reader.int16()):
        length = reader.int32()
        if length < -1:
            raise SqlError("08P01", f"invalid argument size {length} in function call message")
        values.append(None if length == -1 else reader.take(length))
    result_format = reader.int16()
    reader.finish()
    return FunctionCall(function, formats, values, result_format)


def parse_empty(body: bytes) -> None:
    """Check the body of Sync, Flush, Terminate and CopyDone: there is none."""
    if body:
        raise invalid_format()
