"""How keys are laid out: a keyspace id in front of every key, and the few keys that stand outside tables.

    u32 BE keyspace id | order-preserving column encodings

Keyspace 0 holds version keys, the ids below `FIRST_USER_OID` the catalog, the ids above it tables and
indexes (their OIDs). No key of one keyspace sorts among those of another one.

From `FIRST_LOCAL` on the same order begins anew for what a session has for itself, its temporary tables:
their catalog, and behind it their rows. Such keys never leave it (`dsql.transaction.local_store`).
"""

from __future__ import annotations

import struct

PREFIX_BYTES = 4
VERSION_KEYSPACE = 0

_prefix = struct.Struct(">I").pack
FIRST_LOCAL = 0xF000_0000

_CATALOG_VERSION_KEY = _prefix(VERSION_KEYSPACE) + b"\x00"
_TABLE_VERSION_PREFIX = _prefix(VERSION_KEYSPACE) + b"\x01"
_ROLE_VERSION_PREFIX = _prefix(VERSION_KEYSPACE) + b"\x02"
_LOCAL_KEYS = _prefix(FIRST_LOCAL)
_LOCAL_CATALOG_VERSION_KEY = _prefix(FIRST_LOCAL + VERSION_KEYSPACE) + b"\x00"
_LOCAL_TABLE_VERSION_PREFIX = _prefix(FIRST_LOCAL + VERSION_KEYSPACE) + b"\x01"


def is_local(key: bytes) -> bool:
    """Return whether a key belongs to a session's own objects."""
    return key >= _LOCAL_KEYS


def is_local_id(number: int) -> bool:
    """Return whether a keyspace id or OID is that of a session's own object."""
    return number >= FIRST_LOCAL


def prefix(keyspace_id: int) -> bytes:
    """Return the four bytes that every key of the keyspace begins with."""
    return _prefix(keyspace_id)


def prefix_end(start: bytes) -> bytes:
    """Return the smallest bytes above every key that begins with `start`: b for a."""
    kept = start.rstrip(b"\xff")
    assert kept, "nothing sorts above a prefix of 0xff alone"
    return kept[:-1] + bytes((kept[-1] + 1,))


def keyspace_range(keyspace_id: int) -> tuple[bytes, bytes]:
    """Return (low, high) such that low <= key < high holds for the keyspace's keys only."""
    low = _prefix(keyspace_id)
    return low, prefix_end(low)


def catalog_version_key(*, local: bool = False) -> bytes:
    """Return the key that every DDL transaction writes; `local`: on temporary tables."""
    return _LOCAL_CATALOG_VERSION_KEY if local else _CATALOG_VERSION_KEY


def table_version_key(oid: int) -> bytes:
    """Return the key that DDL on this table writes, and transactions on it check."""
    start = _LOCAL_TABLE_VERSION_PREFIX if is_local_id(oid) else _TABLE_VERSION_PREFIX
    return start + _prefix(oid)


def role_version_key(oid: int) -> bytes:
    """Return the key that a change of a role or its memberships writes.

    Transactions that could write only because of those memberships check it.
    """
    return _ROLE_VERSION_PREFIX + _prefix(oid)


def row_id_key(keyspace_id: int, identifier: bytes) -> bytes:
    """Return the key of the row with this hidden row id."""
    return _prefix(keyspace_id) + identifier
