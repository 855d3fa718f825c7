"""client_encoding: what a client says and hears in another encoding than UTF-8.

    messages in     texts are converted before a message's handler sees it
    parameters      text formats as a whole, binary ones where they hold texts, as PostgreSQL has it
    rows            the same; a character that the client's encoding lacks fails the statement (22P05)
    other messages  as they are made: see `Settings.encode`

For a client that speaks UTF-8 nothing of this is on the way: it has other handlers, decoders and encoders.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from dsql.errors import SqlError
from dsql.executor.datarow import FLUSH_BYTES
from dsql.executor.program import Emit, ExecutionContext, Program
from dsql.types import oids, registry
from dsql.types.text_encodings import TextEncoding, encoding_name, find_encoding
from dsql.types.type import Decode, Encode
from dsql.wire import backend

Handler = Callable[[bytes], None]
Change = Callable[[bytes], bytes]

_BINARY, _JSONPATH = 1, 4072
# Where the texts of a message are: behind so many bytes, so many of them, each with its zero byte.
_TEXTS = {"Q": (0, 1), "P": (0, 2), "B": (0, 2), "D": (1, 1), "C": (1, 1), "E": (0, 1)}
_TEXT_TYPES = frozenset(
    (oids.JSON, oids.JSONB, _JSONPATH, oids.UNKNOWN, oids.CSTRING)
)  # besides those of the category S
_array_header = struct.Struct("!iiI")
_int32 = struct.Struct("!i")
_record_field = struct.Struct("!Ii")


def client_encoding(text: str) -> str:
    """Return PostgreSQL's own name of an encoding that a client may have.

    Raises SqlError 22023 for a name that PostgreSQL does not know, 0A000 for one without a conversion.
    """
    name = encoding_name(text)
    message = f'invalid value for parameter "client_encoding": "{text}"'
    if name is None:
        raise SqlError("22023", message)
    try:
        find_encoding(name)
    except SqlError:
        detail = f"Conversion between {name} and UTF8 is not supported."
        raise SqlError("0A000", message, detail=detail) from None
    return name


def understanding(encoding: TextEncoding, handlers: Mapping[int, Handler]) -> dict[int, Handler]:
    """Return handlers of the messages with texts in an encoding, by those of messages in UTF-8."""
    kinds = {ord(letter): place for letter, place in _TEXTS.items()}
    return {kind: _handler(encoding, handlers[kind], *kinds[kind]) for kind in kinds}


def _handler(encoding: TextEncoding, handler: Handler, skipped: int, count: int) -> Handler:
    def handle(body: bytes) -> None:
        end = skipped
        for _ in range(count):
            end = body.find(0, end) + 1
            if not end:
                break  # malformed, as the handler will find
        handler(body[:skipped] + encoding.to_utf8(body[skipped:end]) + body[max(end, skipped) :])

    return handle


def reading(encoding: TextEncoding, oid: int, code: int, decode: Decode) -> Decode:
    """Return the decoder of a parameter whose texts are in an encoding."""
    change = _changing(encoding.to_utf8, oid, code)
    return decode if change is None else lambda data: decode(change(data))


def writing(encoding: TextEncoding, oid: int, code: int, encode: Encode) -> Encode:
    """Return the encoder of a value whose texts are to be in an encoding."""
    change = _changing(encoding.from_utf8, oid, code)
    return encode if change is None else lambda value: change(encode(value))


def emitter(program: Program, encode: Sequence[Encode]) -> Emit:
    """Return what appends the rows of a program, encoded in this way."""

    def emit(context: ExecutionContext, parameters: Sequence[Any], out: bytearray) -> int:
        count = 0
        for row in program.rows(context, parameters):
            pairs = zip(row, encode, strict=True)
            backend.data_row(out, [None if value is None else one(value) for value, one in pairs])
            count += 1
            if len(out) > FLUSH_BYTES:
                context.flush(out)
        return count

    return emit


def _changing(change: Change, oid: int, code: int) -> Change | None:
    """Return what changes the texts in a value of a type and format; None where there are none."""
    if code != _BINARY:
        return change
    known = registry.get(oid)
    if known.category == "A":
        return _of_array(change, known.element_oid)
    if oid == oids.RECORD or known.kind == "c":
        return lambda data: b"".join(_record_parts(change, data))
    is_text = (known.category == "S" and oid != oids.CHAR) or known.kind == "e"
    return change if is_text or oid in _TEXT_TYPES else None


def _of_array(change: Change, element_oid: int) -> Change | None:
    element = _changing(change, element_oid, _BINARY)
    if element is None:
        return None
    return lambda data: b"".join(_array_parts(element, data))


def _array_parts(element: Change, data: bytes) -> Iterator[bytes]:
    """Yield an array's header and elements. Raises struct.error for what ends too early."""
    dimensions = _array_header.unpack_from(data)[0]
    at = _array_header.size + 8 * dimensions
    yield data[:at]
    while at < len(data):
        (length,) = _int32.unpack_from(data, at)
        at += 4
        yield _field(None if length < 0 else element(data[at : at + length]))
        at += max(length, 0)


def _record_parts(change: Change, data: bytes) -> Iterator[bytes]:
    """Yield a row's number of fields and the fields. Raises struct.error for what ends too early."""
    at = 4
    yield data[:at]
    while at < len(data):
        oid, length = _record_field.unpack_from(data, at)
        at += _record_field.size
        value, change_it = data[at : at + max(length, 0)], _changing(change, oid, _BINARY)
        yield oid.to_bytes(4, "big")
        yield _field(None if length < 0 else change_it(value) if change_it else value)
        at += max(length, 0)


def _field(value: bytes | None) -> bytes:
    return _int32.pack(-1) if value is None else _int32.pack(len(value)) + value
