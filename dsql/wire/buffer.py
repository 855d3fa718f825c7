"""Cutting a byte stream into protocol messages.

A message is a type byte, a big-endian length that counts itself, and a body. The length is checked
against the cap of its type before anything is kept for it, so that a client cannot make the server
collect more than one message of `WIRE_MESSAGE_BYTES_MAX`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from dsql.errors import FatalError, SqlError
from dsql.limits import STARTUP_PACKET_BYTES_MAX, WIRE_MESSAGE_BYTES_MAX

SMALL_MESSAGE_BYTES_MAX = 10_000  # PostgreSQL's PQ_SMALL_MESSAGE_LIMIT

# Body caps by message type. A type that is not listed is not a frontend message.
SESSION_MESSAGES: Mapping[int, int] = {
    **dict.fromkeys(b"QPBFd", WIRE_MESSAGE_BYTES_MAX),
    **dict.fromkeys(b"CDEHSXcf", SMALL_MESSAGE_BYTES_MAX),
}

_HEADER_BYTES = 5
_read_header = struct.Struct("!BI").unpack_from


class MessageReader:
    """Collects bytes and gives back whole messages.

    `caps` maps each allowed message type to the most bytes its body may have. `partial` is what has come
    of the next message, the same object all the time.
    """

    def __init__(self, caps: Mapping[int, int] = SESSION_MESSAGES) -> None:
        self._caps = caps
        self.partial = bytearray()
        self._needed = _HEADER_BYTES

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take what was received and return the messages it completes, as (type, body).

        Raises FatalError 08P01 for an unknown type or a length out of bounds.
        """
        if self.partial:
            self.partial += data
            if len(self.partial) < self._needed:
                return []
            data = bytes(self.partial)
            self.partial.clear()
        messages = []
        at, size = 0, len(data)
        while size - at >= _HEADER_BYTES:
            kind, length = _read_header(data, at)
            cap = self._caps.get(kind)
            if cap is None:
                raise FatalError("08P01", f"invalid frontend message type {kind}")
            if not 4 <= length <= cap + 4:
                raise FatalError("08P01", "invalid message length")
            end = at + 1 + length
            if end > size:
                self._needed = end - at
                break
            messages.append((kind, data[at + _HEADER_BYTES : end]))
            at = end
        else:
            self._needed = _HEADER_BYTES
        if at < size:
            self.partial += data[at:] if at else data
        return messages

    @property
    def pending(self) -> bytes:
        """What was fed and belongs to no whole message yet."""
        return bytes(self.partial)


def startup_packet_length(data: bytes) -> int | None:
    """Return how many bytes the startup packet at the head of `data` has, None if that is not known yet.

    Startup packets have no type byte. Raises FatalError 08P01 for a length out of bounds.
    """
    if len(data) < 4:
        return None
    length = int.from_bytes(data[:4], "big")
    if not 8 <= length <= STARTUP_PACKET_BYTES_MAX:
        raise FatalError("08P01", "invalid length of startup packet")
    return length


class BodyReader:
    """Reads the fields of one message body. Every overrun is SqlError 08P01."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        end = self._at + size
        if size < 0 or end > len(self._body):
            raise insufficient_data()
        data = self._body[self._at : end]
        self._at = end
        return data

    def byte(self) -> int:
        """Return the next byte."""
        return self.take(1)[0]

    def int16(self) -> int:
        """Return the next two bytes as an unsigned number."""
        return int.from_bytes(self.take(2), "big")

    def int32(self) -> int:
        """Return the next four bytes as a signed number."""
        return int.from_bytes(self.take(4), "big", signed=True)

    def uint32(self) -> int:
        """Return the next four bytes as an unsigned number."""
        return int.from_bytes(self.take(4), "big")

    def string(self) -> str:
        """Return the text up to the next zero byte."""
        end = self._body.find(0, self._at)
        if end < 0:
            raise SqlError("08P01", "invalid string in message")
        data = self._body[self._at : end]
        self._at = end + 1
        return decode_text(data)

    def finish(self) -> None:
        """Check that nothing is left."""
        if self._at != len(self._body):
            raise invalid_format()


def decode_text(data: bytes) -> str:
    """Decode UTF-8 from the client. Raises SqlError 22021 as PostgreSQL words it."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise invalid_encoding(data, error.start) from None


def invalid_encoding(data: bytes, start: int) -> SqlError:
    """Return the error for bytes that are not UTF-8 from `start` on."""
    first = data[start]
    length = 1 if first < 0xC0 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4
    shown = " ".join(f"0x{byte:02x}" for byte in data[start : start + length])
    return SqlError("22021", f'invalid byte sequence for encoding "UTF8": {shown}')


def insufficient_data() -> SqlError:
    """Return the error for a body that ends too early."""
    return SqlError("08P01", "insufficient data left in message")


def invalid_format() -> SqlError:
    """Return the error for a body with something left over."""
    return SqlError("08P01", "invalid message format")
