"""Versions: the newest one of a key in `main`, older ones in `undo`, and what may go in `expiry`.

    main    stored key -> header | content
    undo    u16 stored length | stored key | inverted timestamp -> header | content
    expiry  u64 superseded at | u32 number -> msgpack [undo keys, stored keys of tombstones]

The header is u64 BE: bit 63 deleted (a tombstone), bit 62 long key (`long_keys`), then the commit timestamp
in microseconds. Bytes compare as numbers, so one comparison answers for the usual row that it is a
live version at or below T, with a short key:

    value < (T + 1).to_bytes(8, "big")        -> its content is value[8:]

Everything else takes the slow road. A key in undo is always in main too, if only as a tombstone, so scans
walk main alone. Inverted timestamps put a key's versions newest first: a read at T seeks to inverted(T).

A version superseded at time s serves snapshots below s. Once no snapshot below the *horizon* H will be read
any more, every expiry entry with s <= H is worked off: its undo versions are deleted, and its tombstones
if they still are the newest version of their keys.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import msgspec

from storage.long_keys import INLINE_BYTES, stored_key, unwrap, wrap

if TYPE_CHECKING:
    from storage.databases import Database, Databases, LmdbTransaction

HEADER_BYTES = 8
DELETED = 1 << 63
LONG = 1 << 62
TIMESTAMP_MAX = LONG - 1

_HEADER = struct.Struct(">Q")
_EXPIRY_KEY = struct.Struct(">QI")
_EXPIRY_KEYS_MAX = 256  # per entry, so that collection can stop after any entry

_encode_expiry = msgspec.msgpack.Encoder().encode
_decode_expiry = msgspec.msgpack.Decoder(tuple[list[bytes], list[bytes]]).decode


def snapshot_bound(timestamp: int) -> bytes:
    """Return the bytes below which a main value is plainly visible at `timestamp`."""
    return _HEADER.pack(timestamp + 1)


def undo_prefix(stored: bytes) -> bytes:
    """Return what the undo keys of one stored key begin with."""
    return len(stored).to_bytes(2, "big") + stored


def version_at(
    transaction: LmdbTransaction, undo: Database, stored: bytes, newest: bytes, timestamp: int
) -> bytes | None:
    """Return the raw version (header and content) of a key at `timestamp`, None if it had none.

    `newest` is its value in main.
    """
    if _HEADER.unpack_from(newest)[0] & TIMESTAMP_MAX <= timestamp:
        return newest
    prefix = undo_prefix(stored)
    cursor = transaction.cursor(db=undo)
    if not cursor.set_range(prefix + _HEADER.pack(TIMESTAMP_MAX - timestamp)):
        return None
    found = cursor.key()
    if len(found) != len(prefix) + HEADER_BYTES or not found.startswith(prefix):
        return None
    return cursor.value()


def open_version(stored: bytes, version: bytes | None) -> tuple[bytes, bytes] | None:
    """Return (key, value) of a raw version, None for a tombstone or no version."""
    if version is None:
        return None
    flags = version[0]
    if flags & 0x80:
        return None
    if flags & 0x40:
        return unwrap(version[HEADER_BYTES:])
    return stored, version[HEADER_BYTES:]


class Writer:
    """Writes versions inside one LMDB write transaction, and notes what they supersede."""

    def __init__(self, transaction: LmdbTransaction, databases: Databases) -> None:
        self._replace = transaction.cursor(db=databases.main).replace
        self._get = transaction.get
        self._put = transaction.put
        self._databases = databases
        self._superseded: list[bytes] = []
        self._tombstones: list[bytes] = []

    def write(self, key: bytes, value: bytes | None, timestamp: int) -> None:
        """Add the version of `key` at `timestamp`, which is above all of the key's; None deletes."""
        header = timestamp
        stored = key
        content = b"" if value is None else value
        if len(key) > INLINE_BYTES:
            stored = stored_key(key)
            header |= LONG
            content = wrap(key, content)
        if value is None:
            if self._get(stored, db=self._databases.main) is None:
                return
            header |= DELETED
            self._tombstones.append(stored)
        older = self._replace(stored, _HEADER.pack(header) + content)
        if older is None:
            return
        older_timestamp = _HEADER.unpack_from(older)[0] & TIMESTAMP_MAX
        if older_timestamp == timestamp:
            return  # a write set that names a key twice: the last one holds
        assert older_timestamp < timestamp, "a key's versions come in the order of their timestamps"
        name = undo_prefix(stored) + _HEADER.pack(TIMESTAMP_MAX - older_timestamp)
        self._put(name, older, db=self._databases.undo)
        self._superseded.append(name)

    def finish(self, timestamp: int) -> None:
        """Note everything superseded, as expired once the horizon reaches `timestamp`.

        Tombstones come after all versions: were one to go before the version under it, a later
        insert would bring that version back to life for snapshots in between.
        """
        step = _EXPIRY_KEYS_MAX
        superseded, tombstones = self._superseded, self._tombstones
        parts: list[tuple[list[bytes], list[bytes]]] = [
            (superseded[start : start + step], []) for start in range(0, len(superseded), step)
        ]
        parts += [
            ([], tombstones[start : start + step]) for start in range(0, len(tombstones), step)
        ]
        for number, part in enumerate(parts):
            key = _EXPIRY_KEY.pack(timestamp, number)
            self._put(key, _encode_expiry(part), db=self._databases.expiry, append=True)


def has_expiring(transaction: LmdbTransaction, databases: Databases) -> bool:
    """Return whether anything superseded waits for the horizon."""
    return transaction.cursor(db=databases.expiry).first()


def collect(
    transaction: LmdbTransaction, databases: Databases, horizon: int, versions_max: int
) -> None:
    """Delete superseded versions up to the horizon, about `versions_max` of them."""
    main, undo = databases.main, databases.undo
    cursor = transaction.cursor(db=databases.expiry)
    done = 0
    found = cursor.first()
    while found and done < versions_max:
        superseded_at = _EXPIRY_KEY.unpack(cursor.key())[0]
        if superseded_at > horizon:
            return
        versions, tombstones = _decode_expiry(cursor.value())
        for name in versions:
            transaction.delete(name, db=undo)
        for stored in tombstones:
            newest = transaction.get(stored, db=main)
            if newest is not None and newest[0] & 0x80 and _age(newest) <= superseded_at:
                transaction.delete(stored, db=main)
        done += len(versions) + len(tombstones)
        found = cursor.delete() and bool(cursor.key())


def _age(version: bytes) -> int:
    timestamp: int = _HEADER.unpack_from(version)[0] & TIMESTAMP_MAX
    return timestamp
