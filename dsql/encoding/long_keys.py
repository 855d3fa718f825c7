"""Keys longer than LMDB takes (511 bytes), without callers noticing.

A key of up to `INLINE_BYTES` is stored as it is. A longer one is stored under its first INLINE_BYTES bytes
and a 16-byte hash, with the whole key in front of the value. Stored length tells the two apart.

    key                                   stored under             stored value
    short                                 key                      value
    first 487 bytes | rest                first 487 bytes | hash   u32 length | key | value

Order: a stored long key compares with every short key, and with long keys of other first bytes, as the
key itself does. Only the long keys that share their first 487 bytes (a *group*, always neighbours)
stand in the order of their hashes; who reads a group reads all of it and sorts it.

INLINE_BYTES leaves room for the 8 bytes of timestamp that the undo database puts in front.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator

LMDB_KEY_BYTES_MAX = 511
HASH_BYTES = 16
INLINE_BYTES = LMDB_KEY_BYTES_MAX - HASH_BYTES - 8
STORED_LONG_BYTES = INLINE_BYTES + HASH_BYTES

_LENGTH = struct.Struct(">I")
_ABOVE_ANY_HASH = b"\xff" * (HASH_BYTES + 1)


def stored_key(key: bytes) -> bytes:
    """Return what a key is stored under."""
    if len(key) <= INLINE_BYTES:
        return key
    return key[:INLINE_BYTES] + hashlib.blake2b(key, digest_size=HASH_BYTES).digest()


def stored_low(low: bytes) -> bytes:
    """Return the lower bound, inclusive, below which no stored key belongs to a key >= low."""
    return low[:INLINE_BYTES]


def stored_high(high: bytes) -> bytes:
    """Return the upper bound, exclusive, at or above which no stored key belongs to a key < high."""
    return high if len(high) <= INLINE_BYTES else high[:INLINE_BYTES] + _ABOVE_ANY_HASH


def wrap(key: bytes, value: bytes) -> bytes:
    """Put a long key in front of its value."""
    return _LENGTH.pack(len(key)) + key + value


def unwrap(content: bytes) -> tuple[bytes, bytes]:
    """Take a long key and its value apart."""
    end = 4 + _LENGTH.unpack_from(content)[0]
    return content[4:end], content[end:]


def finish_group(raw: list[tuple[bytes, bytes]], rows: Iterator[tuple[bytes, bytes]]) -> None:
    """Take the remaining stored rows of the group of long keys that `raw` ends in."""
    last = raw[-1][0]
    if len(last) != STORED_LONG_BYTES:
        return
    prefix = last[:INLINE_BYTES]
    for row in rows:
        if len(row[0]) != STORED_LONG_BYTES or not row[0].startswith(prefix):
            return
        raw.append(row)
