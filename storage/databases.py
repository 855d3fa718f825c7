"""The named databases of a replica's LMDB environment, and LMDB's types as the other modules name them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import lmdb

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
