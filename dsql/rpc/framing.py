"""Frames of the internal protocol: a u32 big-endian length, then the body.

The body is one message. Nothing here knows about sockets: bytes go in, bodies come out.
"""

from __future__ import annotations

import struct

FRAME_BYTES_MAX = 32 * 1024 * 1024

_LENGTH = struct.Struct(">I")
_PREFIX_BYTES = _LENGTH.size


class FrameError(Exception):
    """The peer announced a frame beyond the cap; the connection cannot be followed any more."""


def frame(body: bytes) -> bytes:
    """Return `body` with its length in front."""
    return _LENGTH.pack(len(body)) + body


class FrameDecoder:
    """Cuts a byte stream into bodies.

    >>> FrameDecoder().feed(frame(b"one") + frame(b"two"))
    [b'one', b'two']
    """

    __slots__ = ("_cap", "_pending")

    def __init__(self, cap: int = FRAME_BYTES_MAX) -> None:
        self._cap = cap
        self._pending: bytearray | None = None

    @property
    def part_bytes(self) -> int:
        """How much has come of a frame that is not complete."""
        return 0 if self._pending is None else len(self._pending)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the bodies that `data` completes, in order. Raises FrameError above the cap."""
        pending = self._pending
        if pending is None:
            # The usual case: a read holds whole frames, and each body is copied exactly once.
            bodies, consumed = self._split(data)
            if consumed < len(data):
                self._pending = bytearray(data[consumed:])
            return bodies
        pending += data
        bodies, consumed = self._split(pending)
        if consumed == len(pending):
            self._pending = None
        elif consumed:
            del pending[:consumed]
        return bodies

    def _split(self, data: bytes | bytearray) -> tuple[list[bytes], int]:
        bodies = []
        position = 0
        available = len(data)
        while available - position >= _PREFIX_BYTES:
            (length,) = _LENGTH.unpack_from(data, position)
            if length > self._cap:
                raise FrameError(f"a frame of {length} bytes is above the cap of {self._cap}")
            start = position + _PREFIX_BYTES
            if available - start < length:
                break
            position = start + length
            bodies.append(bytes(data[start:position]))
        return bodies, position
