"""What the server sends: functions that append one message to a bytearray.

Messages without variable parts are constants. A caller gathers the messages of one round trip in one
bytearray and sends it once.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from dsql.errors import Origin, SqlError

AUTHENTICATION_OK = b"R\0\0\0\x08\0\0\0\0"
AUTHENTICATION_CLEARTEXT_PASSWORD = b"R\0\0\0\x08\0\0\0\x03"
PARSE_COMPLETE = b"1\0\0\0\x04"
BIND_COMPLETE = b"2\0\0\0\x04"
CLOSE_COMPLETE = b"3\0\0\0\x04"
NO_DATA = b"n\0\0\0\x04"
PORTAL_SUSPENDED = b"s\0\0\0\x04"
EMPTY_QUERY_RESPONSE = b"I\0\0\0\x04"
COPY_DONE = b"c\0\0\0\x04"
READY_IDLE = b"Z\0\0\0\x05I"
READY_IN_BLOCK = b"Z\0\0\0\x05T"
READY_FAILED = b"Z\0\0\0\x05E"

Encode = Callable[[str], bytes]  # texts as a client takes them

_pack_header = struct.Struct("!cI").pack
_pack_field = struct.Struct("!IHIhih").pack
_pack_int32 = struct.Struct("!i").pack
_NULL = _pack_int32(-1)


class FieldDescription(Protocol):
    """What RowDescription needs of a result column."""

    @property
    def name(self) -> str:
        """The label."""
        ...

    @property
    def type_oid(self) -> int:
        """The type's OID."""
        ...

    @property
    def typmod(self) -> int:
        """The type modifier, -1 for none."""
        ...

    @property
    def table_oid(self) -> int:
        """The table it is a plain column of, else 0."""
        ...

    @property
    def number(self) -> int:
        """The column's number in that table, else 0."""
        ...


def encode_text(text: str) -> bytes:
    """Return a text in UTF-8, with question marks for what is none."""
    return text.encode(errors="replace")


def _message(kind: bytes, body: bytes) -> bytes:
    return _pack_header(kind, len(body) + 4) + body


def row_description(
    columns: Sequence[FieldDescription],
    type_sizes: Sequence[int],
    formats: Sequence[int],
    encode: Encode = encode_text,
) -> bytes:
    """Return a RowDescription. `type_sizes` are pg_type.typlen, `formats` one code per column."""
    body = bytearray(len(columns).to_bytes(2, "big"))
    for column, size, code in zip(columns, type_sizes, formats, strict=True):
        body += encode(column.name) + b"\0"
        body += _pack_field(
            column.table_oid, column.number, column.type_oid, size, column.typmod, code
        )
    return _message(b"T", bytes(body))


def data_row(out: bytearray, values: Sequence[bytes | None]) -> None:
    """Append a DataRow of encoded values, whole or not at all."""
    row = bytearray(b"D\0\0\0\0")
    row += len(values).to_bytes(2, "big")
    for value in values:
        if value is None:
            row += _NULL
        else:
            row += _pack_int32(len(value))
            row += value
    row[1:5] = (len(row) - 1).to_bytes(4, "big")
    out += row


def command_complete(tag: str) -> bytes:
    """Return a CommandComplete."""
    return _message(b"C", tag.encode() + b"\0")


def parameter_status(name: str, value: str, encode: Encode = encode_text) -> bytes:
    """Return a ParameterStatus."""
    return _message(b"S", encode(f"{name}\0{value}\0"))


def backend_key_data(process_id: int, secret_key: int) -> bytes:
    """Return a BackendKeyData of two unsigned 32-bit numbers."""
    return _message(b"K", struct.pack("!II", process_id, secret_key))


def negotiate_protocol_version(minor: int, unrecognized: Sequence[str]) -> bytes:
    """Return a NegotiateProtocolVersion: the newest version 3.`minor` served, options not known."""
    names = "".join(f"{name}\0" for name in unrecognized).encode()
    return _message(b"v", struct.pack("!HHI", 3, minor, len(unrecognized)) + names)


def parameter_description(types: Sequence[int]) -> bytes:
    """Return a ParameterDescription of type OIDs."""
    return _message(b"t", struct.pack(f"!H{len(types)}I", len(types), *types))


def copy_in_response(overall: int, formats: Sequence[int]) -> bytes:
    """Return a CopyInResponse; formats are 0 text (csv too) or 1 binary."""
    return _message(b"G", struct.pack(f"!BH{len(formats)}H", overall, len(formats), *formats))


def copy_out_response(overall: int, formats: Sequence[int]) -> bytes:
    """Return a CopyOutResponse."""
    return _message(b"H", struct.pack(f"!BH{len(formats)}H", overall, len(formats), *formats))


def copy_data(out: bytearray, data: bytes) -> None:
    """Append a CopyData, whole or not at all."""
    out += _pack_header(b"d", len(data) + 4) + data


def function_call_response(value: bytes | None) -> bytes:
    """Return a FunctionCallResponse with an encoded value."""
    return _message(b"V", _NULL if value is None else _pack_int32(len(value)) + value)


def notification_response(
    process_id: int, channel: str, payload: str, encode: Encode = encode_text
) -> bytes:
    """Return a NotificationResponse: what a session with this process id has told a channel."""
    return _message(b"A", _pack_int32(process_id) + encode(f"{channel}\0{payload}") + b"\0")


def error_response(error: SqlError, encode: Encode = encode_text) -> bytes:
    """Return the ErrorResponse of an error."""
    return _message(b"E", encode(_fields(error.severity, error, error.origin)) + b"\0")


def notice_response(
    severity: str, notice: SqlError, origin: Origin, encode: Encode = encode_text
) -> bytes:
    """Return a NoticeResponse; `severity` is WARNING, NOTICE, INFO, LOG or DEBUG."""
    return _message(b"N", encode(_fields(severity, notice, origin)) + b"\0")


def _fields(severity: str, error: SqlError, origin: Origin | None) -> str:
    file, line, routine = origin or ("", 0, "")
    fields: Iterable[tuple[str, str]] = (
        ("S", severity),
        ("V", severity),
        ("C", error.sqlstate),
        ("M", error.message),
        ("D", error.detail),
        ("H", error.hint),
        ("P", str(error.position) if error.position else ""),
        ("W", error.where),
        ("s", error.schema),
        ("t", error.table),
        ("c", error.column),
        ("d", error.datatype),
        ("n", error.constraint),
        ("F", file),
        ("L", str(line) if file else ""),
        ("R", routine),
    )
    return "".join(f"{code}{_clean(value)}\0" for code, value in fields if value or code == "M")


def _clean(text: str) -> str:
    """A zero byte would end the field early."""
    return text.replace("\0", "\\0") if "\0" in text else text
