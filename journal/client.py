"""Reading a cluster's journal: the feed of committed records, and the promise not to need old ones.

Two journals have this interface: `SocketJournal` here, and the replica's own server for roles that
share its event loop (then no socket and no copy lies between).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from journal.messages import Record


class Journal(Protocol):
    """What storage and adjudicators may ask of the journal replica of their AZ."""

    def subscribe(self, cluster: str, from_sequence: int) -> AsyncIterator[list[Record]]:
        """Yield the committed records from `from_sequence` (the first is 1) on, in batches, for ever.

        Each record comes exactly once and without gaps; a batch is never empty. A feed over a
        socket reconnects by itself. Raises JournalTrimmedError if `from_sequence` is no longer kept.
        """
        ...

    async def checkpoint(self, cluster: str, sequence: int) -> None:
        """Say that this AZ's storage has every record up to `sequence` on its own disk.

        What every AZ has checkpointed may be trimmed from the journal.
        """
        ...


class JournalTrimmedError(Exception):
    """The wanted record is older than all that the journal still keeps."""
