"""Bob Jenkins' lookup3 as PostgreSQL has it (src/common/hashfn.c), over bytes and over one number."""

from __future__ import annotations

import struct

HALF = 2**32 - 1
_START = 0x9E3779B9 + 3_923_095
_BLOCK = struct.Struct("<III")
_BLOCK_BYTES = _BLOCK.size


def rotated(value: int, places: int) -> int:
    """Return 32 bits rotated to the left."""
    return (value << places | value >> 32 - places) & HALF


def rotated_halves(value: int) -> int:
    """Return 64 bits with each half rotated to the left by one place."""
    return rotated(value >> 32, 1) << 32 | rotated(value & HALF, 1)


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    a = (a - c & HALF) ^ rotated(c, 4)
    c = c + b & HALF
    b = (b - a & HALF) ^ rotated(a, 6)
    a = a + c & HALF
    c = (c - b & HALF) ^ rotated(b, 8)
    b = b + a & HALF
    a = (a - c & HALF) ^ rotated(c, 16)
    c = c + b & HALF
    b = (b - a & HALF) ^ rotated(a, 19)
    a = a + c & HALF
    c = (c - b & HALF) ^ rotated(b, 4)
    return a, b + a & HALF, c


def _final(a: int, b: int, c: int) -> tuple[int, int]:
    c = (c ^ b) - rotated(b, 14) & HALF
    a = (a ^ c) - rotated(c, 11) & HALF
    b = (b ^ a) - rotated(a, 25) & HALF
    c = (c ^ b) - rotated(b, 16) & HALF
    a = (a ^ c) - rotated(c, 4) & HALF
    b = (b ^ a) - rotated(a, 14) & HALF
    return b, (c ^ b) - rotated(b, 24) & HALF


def _started(length: int, seed: int) -> tuple[int, int, int]:
    start = _START + length & HALF
    if not seed:
        return start, start, start
    return _mix(start + (seed >> 32) & HALF, start + (seed & HALF) & HALF, start)


def _of_bytes(data: bytes, seed: int) -> tuple[int, int]:
    a, b, c = _started(len(data), seed)
    whole = len(data) // _BLOCK_BYTES * _BLOCK_BYTES
    for one, two, three in _BLOCK.iter_unpack(data[:whole]):
        a, b, c = _mix(a + one & HALF, b + two & HALF, c + three & HALF)
    rest = data[whole:].ljust(_BLOCK_BYTES, b"\0")
    # The lowest byte of c has the length already, so the last bytes are one place further.
    one, two, three = _BLOCK.unpack(rest)
    return _final(a + one & HALF, b + two & HALF, c + (three << 8) & HALF)


def hash_bytes(data: bytes) -> int:
    """Return hash_any's 32 bits."""
    return _of_bytes(data, 0)[1]


def hash_bytes_extended(data: bytes, seed: int) -> int:
    """Return hash_any_extended's 64 bits; `seed` is 64 bits without a sign."""
    high, low = _of_bytes(data, seed)
    return high << 32 | low


def hash_number(value: int) -> int:
    """Return hash_uint32's 32 bits."""
    a, b, c = _started(4, 0)
    return _final(a + (value & HALF) & HALF, b, c)[1]


def hash_number_extended(value: int, seed: int) -> int:
    """Return hash_uint32_extended's 64 bits."""
    a, b, c = _started(4, seed)
    high, low = _final(a + (value & HALF) & HALF, b, c)
    return high << 32 | low
