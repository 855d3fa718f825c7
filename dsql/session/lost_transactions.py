"""Which transactions of this process have lost a conflict, and to what: the rows of sys.conflicts.

The latest are kept, and told to whoever looks (`dsql.session.surveys`). What was met is found when it
happens: by the adjudicator's timestamp of the commit that was first, and by what the loser's own replica
shows of its keys. What cannot be known is left out: a replica may not have come as far, a transaction may
have lost by what it has read, and whose the commit was is known of this process's own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import msgspec

from dsql.catalog.catalog import Catalog
from dsql.catalog.schema import Table
from dsql.encoding.keyspace import PREFIX_BYTES
from dsql.encoding.rowcode import decode_row
from dsql.errors import LostWrite
from dsql.executor.violations import primary_key_text
from dsql.transaction.record import Count
from dsql.types.type import FormatSettings

KEPT, COMMITS_KEPT = 64, 1_024
_TEXT_CHARACTERS_MAX = 512
_KEY_CHARACTERS_MAX = 128


class LostTransaction(msgspec.Struct, array_like=True, frozen=True, tag="lost"):
    """`role` and `winner_role` are OIDs; times in microseconds since 1970. 0 and "": not known.

    `code` is OC000 or OC001; `table` is the OID of the one in which `key` was met, `query` the statement
    that has written there.
    """

    at: Count
    process_id: int
    role: int
    code: str
    table: int
    key: str
    query: str
    met: Count = 0
    winner: int = 0
    winner_role: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(LostTransaction).decode


class LostTransactions:
    """Those of one query processor, and who has committed what lately."""

    def __init__(self) -> None:
        self._kept: deque[LostTransaction] = deque(maxlen=KEPT)
        self._commits: deque[tuple[int, int, int]] = deque(maxlen=COMMITS_KEPT)

    def __iter__(self) -> Iterator[LostTransaction]:
        return iter(tuple(self._kept))

    def committed(self, timestamp: int, process_id: int, role: int) -> None:
        """Note whose a commit was."""
        self._commits.append((timestamp, process_id, role))

    def add(self, lost: LostTransaction) -> None:
        """Keep one; whose the commit was that it has met is looked up."""
        found = (one for one in reversed(self._commits) if one[0] == lost.met)
        _, winner, role = next(found, (0, 0, 0))
        self._kept.append(
            msgspec.structs.replace(
                lost,
                key=lost.key[:_KEY_CHARACTERS_MAX],
                query=lost.query[:_TEXT_CHARACTERS_MAX],
                winner=winner,
                winner_role=role,
            )
        )

    def told(self) -> list[bytes]:
        """Return all, for the agent, which never opens them."""
        return [_encode(lost) for lost in self]


def table_of(catalog: Catalog, key: bytes) -> Table | None:
    """Return the table among whose rows a key is, None for one of an index or of the catalog."""
    number = int.from_bytes(key[:PREFIX_BYTES], "big")
    found = catalog.tables_by_oid.get(number)
    if found is None:  # its rows were replaced as a whole
        tables = catalog.tables_by_oid.values()
        found = next((table for table in tables if table.keyspace_id == number), None)
    return found if found is not None and found.keyspace_id == number else None


def lost_in(catalog: Catalog | None, lost: LostWrite) -> tuple[int, str]:
    """Return the table's OID and the primary key of what a transaction has lost by; 0 and "": not known."""
    table = None if catalog is None else table_of(catalog, lost.key)
    if table is None or lost.value is None:
        return 0, ""
    return table.oid, primary_key_text(table, decode_row(lost.value), FormatSettings())


def decode(data: bytes) -> LostTransaction | None:
    """Return what was encoded; None if it is something else, or makes no sense."""
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
