"""The named databases of a replica's LMDB environment, and LMDB's types as the other modules name them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import lmdb
import msgspec
from google_crc32c import value as crc32c

if TYPE_CHECKING:
    Database: TypeAlias = lmdb._Database
    LmdbTransaction: TypeAlias = lmdb.Transaction[bytes]

NAMES = (b"main", b"undo", b"meta")


@dataclass(frozen=True, slots=True)
class Databases:
    """The handles, valid in one process. `storage.mvcc` has what lies in each."""

    main: Database
    undo: Database
    meta: Database


def open_databases(environment: lmdb.Environment, *, create: bool) -> Databases:
    """Open all of them, creating what is missing if told to."""
    return Databases(*(environment.open_db(name, create=create) for name in NAMES))


class Position(msgspec.Struct, frozen=True, array_like=True):
    """How far an environment has come: kept in it, changed in the transaction of the data.

    `epoch` is that of the record `sequence`. The horizon is that of `storage.mvcc`.
    """

    watermark: int = 0
    sequence: int = 0
    horizon: int = 0
    epoch: int = 0


_POSITION_KEY = b"position"
_encode = msgspec.msgpack.Encoder().encode
_decode_position = msgspec.msgpack.Decoder(Position).decode


def read_position(transaction: LmdbTransaction, databases: Databases) -> Position:
    """Return the position that an LMDB transaction sees. Raises msgspec.DecodeError if it is damaged."""
    content = transaction.get(_POSITION_KEY, db=databases.meta)
    if content is None:
        return Position()
    if crc32c(content[:-4]) != int.from_bytes(content[-4:], "big"):
        raise msgspec.DecodeError("a position with a wrong checksum")
    return _decode_position(content[:-4])


def write_position(transaction: LmdbTransaction, databases: Databases, position: Position) -> None:
    """Write the position in the transaction whose data it describes."""
    content = _encode(position)
    transaction.put(_POSITION_KEY, content + crc32c(content).to_bytes(4, "big"), db=databases.meta)
