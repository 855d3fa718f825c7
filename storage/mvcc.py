"""Versions: the newest one of a key in `main`, older ones in `undo`.

    main  stored key                    -> header | checksum | content
    undo  u64 superseded at, stored key -> header | checksum | content

The header is u64 BE: bit 63 deleted (a tombstone), bit 62 long key (`long_keys`), then the commit
timestamp in microseconds. The checksum is the u32 BE CRC32C of stored key, header and content, made when
the version is and moved with it; bits 61 and 60, which come later, count as 0. Bytes compare as numbers,
so one comparison answers for the usual row that it is a live version at or below T, with a short key:

    value < (T + 1).to_bytes(8, "big")        -> its content is value[12:]

Everything else takes the slow road, where checksums are verified; for all of the rows the scrubber does
that.

A version is superseded at the timestamp of its successor, so from any
version the next older one is found without a pointer: the newest version of m, committed at 90, has its
predecessor at undo[90, m]; if that one was committed at 70, the next is undo[70, m]. A read at T goes
back until it meets a timestamp <= T; usually that is one step. A key in undo is always in main too, if
only as a tombstone, so scans walk main alone.

Why undo is ordered by time and not by key: writes go to its end, garbage collection takes from its
beginning, and both touch few pages however scattered the keys are. The price is that a snapshot that
is n versions behind on a hot key takes n steps.

A version superseded at time s serves snapshots below s. Once no snapshot below the *horizon* H will be read
any more, every undo entry with s <= H goes. Where the successor was a tombstone (bit 61 of the undo
header says so), the tombstone goes with it, if it still is the newest version of its key.

Deleting a key of PREFIX_BYTES bytes, which is no row's, gives up a whole keyspace: nothing refers to it
from that commit on. Its undo entry (bit 60) stands for all of its keys, which go from main when the horizon
reaches it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from google_crc32c import value as crc32c

from dsql.encoding.keyspace import PREFIX_BYTES
from dsql.encoding.long_keys import INLINE_BYTES, stored_key, unwrap, wrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.databases import Database, Databases, LmdbTransaction

    Write = tuple[bytes, int, bytes | None]  # key, mode, value as in a WriteSet

HEADER_BYTES = 12  # with the checksum
DELETED = 1 << 63
LONG = 1 << 62
BEFORE_TOMBSTONE = 1 << 61  # in undo only
KEYSPACE = 1 << 60  # in undo only
TIMESTAMP_MAX = KEYSPACE - 1

_DELETED_BYTE = DELETED >> 56
_LONG_BYTE = LONG >> 56
_BEFORE_TOMBSTONE_BYTE = BEFORE_TOMBSTONE >> 56
_KEYSPACE_BYTE = KEYSPACE >> 56
_KEYS_PER_VERSION = 10  # removing a keyspace walks through main in order: that much cheaper
_TOGETHER = 256  # writes that are tried at once
_WORTHWHILE = 16  # from so many on
_HEADER = struct.Struct(">Q")
_TIMESTAMP_BYTES = _HEADER.size
_WITHOUT_MARKS = 0xFF ^ ((BEFORE_TOMBSTONE | KEYSPACE) >> 56)


class DamagedRowError(Exception):
    """A version is not what was written under its key."""


def snapshot_bound(timestamp: int) -> bytes:
    """Return the bytes below which a main value is plainly visible at `timestamp`."""
    return _HEADER.pack(timestamp + 1)


def version_at(
    transaction: LmdbTransaction, undo: Database, stored: bytes, newest: bytes, timestamp: int
) -> bytes | None:
    """Return the raw version (header and content) of a key at `timestamp`, None if it had none.

    `newest` is its value in main. Raises DamagedRowError for a version on the way: one with a wrong
    timestamp would lead nowhere, as if there had been nothing before.
    """
    version: bytes | None = newest
    while version is not None and (committed := committed_at(version)) > timestamp:
        if not _is_sound(stored, version):
            raise DamagedRowError(stored)
        version = transaction.get(_HEADER.pack(committed) + stored, db=undo)
    return version


def open_version(stored: bytes, version: bytes | None) -> tuple[bytes, bytes] | None:
    """Return (key, value) of a raw version, None for a tombstone or no version. Raises DamagedRowError."""
    if version is None:
        return None
    if not _is_sound(stored, version):
        raise DamagedRowError(stored)
    flags = version[0]
    if flags & _DELETED_BYTE:
        return None
    if flags & _LONG_BYTE:
        return unwrap(version[HEADER_BYTES:])
    return stored, version[HEADER_BYTES:]


def make_version(stored: bytes, header: int, content: bytes) -> bytes:
    """Return the raw version of a stored key."""
    head = _HEADER.pack(header)
    checksum: int = crc32c(stored + head + content)
    return head + checksum.to_bytes(4, "big") + content


def _is_sound(stored: bytes, version: bytes) -> bool:
    if version[0] & ~_WITHOUT_MARKS:
        version = bytes((version[0] & _WITHOUT_MARKS,)) + version[1:]
    said = int.from_bytes(version[_TIMESTAMP_BYTES:HEADER_BYTES], "big")
    checksum: int = crc32c(stored + version[:_TIMESTAMP_BYTES] + version[HEADER_BYTES:])
    return checksum == said


def verify(database: bytes, rows: Sequence[tuple[bytes, bytes]]) -> None:
    """Raise DamagedRowError if one of the rows of `main` or `undo` is not what was written."""
    if database == b"meta":
        return
    begin = _TIMESTAMP_BYTES if database == b"undo" else 0
    for key, version in rows:
        if len(version) < HEADER_BYTES or not _is_sound(key[begin:], version):
            raise DamagedRowError(key)


class Writer:
    """Writes versions inside one LMDB write transaction."""

    def __init__(self, transaction: LmdbTransaction, databases: Databases) -> None:
        self._transaction = transaction
        self._main = databases.main
        self._undo = databases.undo
        self._replace = transaction.cursor(db=databases.main).replace
        self._put_many = transaction.cursor(db=databases.main).putmulti
        self._put_undo = transaction.cursor(db=databases.undo).put

    def write_all(self, writes: Sequence[Write], timestamp: int) -> None:
        """Add a transaction's versions; see `write`. New keys, as in a load, go in together."""
        for start in range(0, len(writes), _TOGETHER):
            some = writes[start : start + _TOGETHER]
            if len(some) < _WORTHWHILE or not self._add_new(some, timestamp):
                for key, _mode, value in some:
                    self.write(key, value, timestamp)

    def _add_new(self, writes: Sequence[Write], timestamp: int) -> bool:
        """Add keys; return False if one of them is not new or not simple.

        Those that were added then may be written once more, which changes nothing.
        """
        if self._transaction.get(writes[0][0], db=self._main) is not None:
            return False
        header = _HEADER.pack(timestamp)
        versions = [
            (key, header + crc32c(key + header + value).to_bytes(4, "big") + value)
            for key, _mode, value in writes
            if value is not None and len(key) <= INLINE_BYTES
        ]
        if len(versions) < len(writes):
            return False
        _, added = self._put_many(versions, overwrite=False)
        return added == len(versions)

    def write(self, key: bytes, value: bytes | None, timestamp: int) -> None:
        """Add the version of `key` at `timestamp`; None deletes.

        The timestamp is above those of the key's versions; equal to the newest one's, the version takes
        its place (a write set that names a key twice).
        """
        if value is None and len(key) == PREFIX_BYTES:
            self._put_undo(
                _HEADER.pack(timestamp) + key,
                _mark(make_version(key, timestamp, b""), _KEYSPACE_BYTE),
            )
            return
        header = timestamp
        stored = key
        content = b"" if value is None else value
        if len(key) > INLINE_BYTES:
            stored = stored_key(key)
            header |= LONG
            content = wrap(key, content)
        if value is None:
            header |= DELETED
            if not self._prepare_deletion(stored, timestamp):
                return
        older = self._replace(stored, make_version(stored, header, content))
        if older is None:
            return
        older_timestamp = committed_at(older)
        if older_timestamp == timestamp:
            return
        assert older_timestamp < timestamp, "a key's versions come in the order of their timestamps"
        if value is None:
            older = _mark(older, _BEFORE_TOMBSTONE_BYTE)
        self._put_undo(_HEADER.pack(timestamp) + stored, older)

    def _prepare_deletion(self, stored: bytes, timestamp: int) -> bool:
        """Return whether a tombstone is needed: not for a key that no snapshot can see."""
        transaction = self._transaction
        newest = transaction.get(stored, db=self._main)
        if newest is None:
            return False
        if committed_at(newest) == timestamp:
            name = _HEADER.pack(timestamp) + stored
            before = transaction.get(name, db=self._undo)
            if before is None:
                transaction.delete(stored, db=self._main)
                return False
            transaction.put(name, _mark(before, _BEFORE_TOMBSTONE_BYTE), db=self._undo)
        return True


def committed_at(version: bytes) -> int:
    """Return the commit timestamp of a raw version."""
    timestamp: int = _HEADER.unpack_from(version)[0] & TIMESTAMP_MAX
    return timestamp


def _mark(version: bytes, mark: int) -> bytes:
    """Set a mark of undo in the first byte of a version."""
    return bytes((version[0] | mark,)) + version[1:]


def has_superseded(transaction: LmdbTransaction, databases: Databases) -> bool:
    """Return whether any superseded version waits for the horizon."""
    return transaction.cursor(db=databases.undo).first()


def collect(
    transaction: LmdbTransaction, databases: Databases, horizon: int, versions_max: int
) -> None:
    """Delete up to `versions_max` versions that were superseded at or before the horizon."""
    cursor = transaction.cursor(db=databases.undo)
    bound = snapshot_bound(horizon)
    found = cursor.first()
    for _ in range(versions_max):
        if not found:
            return
        name = cursor.key()
        if name >= bound:
            return
        flags = cursor.value()[0]
        if flags & _BEFORE_TOMBSTONE_BYTE:
            _drop_tombstone(transaction, databases.main, name)
        elif flags & _KEYSPACE_BYTE:
            keys_max = versions_max * _KEYS_PER_VERSION
            if not _empty_keyspace(transaction, databases.main, name[_TIMESTAMP_BYTES:], keys_max):
                return
        found = cursor.delete() and bool(cursor.key())


def _empty_keyspace(
    transaction: LmdbTransaction, main: Database, prefix: bytes, keys_max: int
) -> bool:
    """Delete up to `keys_max` keys that begin with `prefix`; return whether none is left."""
    cursor = transaction.cursor(db=main)
    found = cursor.set_range(prefix)
    for _ in range(keys_max):
        if not found or cursor.key()[:PREFIX_BYTES] != prefix:
            return True
        found = cursor.delete() and bool(cursor.key())
    return False


def _drop_tombstone(transaction: LmdbTransaction, main: Database, name: bytes) -> None:
    """Delete a key's newest version if it is the tombstone that superseded the undo entry `name`."""
    stored = name[_TIMESTAMP_BYTES:]
    newest = transaction.get(stored, db=main)
    if newest is None or not newest[0] & _DELETED_BYTE:
        return
    if _HEADER.pack(committed_at(newest)) == name[:_TIMESTAMP_BYTES]:
        transaction.delete(stored, db=main)
