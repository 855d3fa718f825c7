"""The client's side of the protocol: messages to send, and the answers taken apart.

For health checks, load generators and tests. Answers come as (type letter, body).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence


def message(kind: bytes, body: bytes = b"") -> bytes:
    """Return a message with its type and length."""
    return kind + struct.pack("!I", len(body) + 4) + body


def startup(parameters: Mapping[str, str], minor: int = 0) -> bytes:
    """Return a StartupMessage."""
    texts = "".join(f"{name}\0{value}\0" for name, value in parameters.items())
    body = struct.pack("!HH", 3, minor) + texts.encode() + b"\0"
    return struct.pack("!I", len(body) + 4) + body


def ssl_request() -> bytes:
    """Return an SSLRequest."""
    return struct.pack("!II", 8, 80877103)


def gssenc_request() -> bytes:
    """Return a GSSENCRequest."""
    return struct.pack("!II", 8, 80877104)


def cancel_request(process_id: int, secret_key: int) -> bytes:
    """Return a CancelRequest."""
    return struct.pack("!IIII", 16, 80877102, process_id, secret_key)


def password(text: str) -> bytes:
    """Return a PasswordMessage."""
    return message(b"p", text.encode() + b"\0")


def query(text: str) -> bytes:
    """Return a simple Query."""
    return message(b"Q", text.encode() + b"\0")


def parse(text: str, statement: str = "", types: Sequence[int] = ()) -> bytes:
    """Return a Parse."""
    names = f"{statement}\0{text}\0".encode()
    return message(b"P", names + struct.pack(f"!H{len(types)}I", len(types), *types))


def bind(
    values: Sequence[bytes | None] = (),
    *,
    statement: str = "",
    portal: str = "",
    formats: Sequence[int] = (),
    result_formats: Sequence[int] = (),
) -> bytes:
    """Return a Bind of encoded values."""
    body = bytearray(f"{portal}\0{statement}\0".encode())
    body += struct.pack(f"!H{len(formats)}H", len(formats), *formats)
    body += struct.pack("!H", len(values))
    for value in values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    body += struct.pack(f"!H{len(result_formats)}H", len(result_formats), *result_formats)
    return message(b"B", bytes(body))


def describe(kind: bytes, name: str = "") -> bytes:
    """Return a Describe of a statement (b"S") or a portal (b"P")."""
    return message(b"D", kind + name.encode() + b"\0")


def close(kind: bytes, name: str = "") -> bytes:
    """Return a Close of a statement (b"S") or a portal (b"P")."""
    return message(b"C", kind + name.encode() + b"\0")


def execute(portal: str = "", row_limit: int = 0) -> bytes:
    """Return an Execute."""
    return message(b"E", portal.encode() + b"\0" + struct.pack("!i", row_limit))


def sync() -> bytes:
    """Return a Sync."""
    return message(b"S")


def flush() -> bytes:
    """Return a Flush."""
    return message(b"H")


def terminate() -> bytes:
    """Return a Terminate."""
    return message(b"X")


def copy_data(data: bytes) -> bytes:
    """Return a CopyData."""
    return message(b"d", data)


def copy_done() -> bytes:
    """Return a CopyDone."""
    return message(b"c")


def copy_fail(reason: str) -> bytes:
    """Return a CopyFail."""
    return message(b"f", reason.encode() + b"\0")


def split_answers(data: bytes) -> tuple[list[tuple[str, bytes]], bytes]:
    """Return the whole messages at the head of `data` and what is left over."""
    answers, at = [], 0
    while len(data) - at >= 5:
        end = at + 1 + int.from_bytes(data[at + 1 : at + 5], "big")
        if end > len(data):
            break
        answers.append((chr(data[at]), data[at + 5 : end]))
        at = end
    return answers, data[at:]


def error_fields(body: bytes) -> dict[str, str]:
    """Return the fields of an ErrorResponse or NoticeResponse by their letter."""
    return {part[:1].decode(): part[1:].decode() for part in body.split(b"\0") if part}


def row_values(body: bytes) -> list[bytes | None]:
    """Return the values of a DataRow."""
    (count,) = struct.unpack_from("!H", body)
    values: list[bytes | None] = []
    at = 2
    for _ in range(count):
        (length,) = struct.unpack_from("!i", body, at)
        at += 4
        values.append(None if length < 0 else body[at : at + length])
        at += max(length, 0)
    return values


def column_names(body: bytes) -> list[str]:
    """Return the labels of a RowDescription."""
    (count,) = struct.unpack_from("!H", body)
    names, at = [], 2
    for _ in range(count):
        end = body.index(0, at)
        names.append(body[at:end].decode())
        at = end + 19
    return names
