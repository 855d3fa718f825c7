"""pg_export_snapshot and SET TRANSACTION SNAPSHOT: several sessions that see the same, as pg_dump -j needs.

    process id of the exporting session - timestamp of its snapshot - 1

Who imports one asks around whether that session's transaction has exported it and still runs: only then is
the snapshot kept from garbage collection, and nobody can look at a past of his own choice.
"""

from __future__ import annotations

import re

from dsql.errors import SqlError, unsupported
from dsql.session.isolation import RENEWING
from dsql.session.state import SessionState

_IDENTIFIER = re.compile(r"([0-9A-F]{8})-([0-9A-F]{16})-1")


def export_snapshot(state: SessionState) -> str:
    """Let other sessions see what this transaction sees, until it ends. Raises SqlError 25001."""
    if state.block.has_savepoints:
        raise SqlError("25001", "cannot export a snapshot from a subtransaction")
    timestamp = state.block.export_snapshot()
    return f"{state.client.process_id:08X}-{timestamp:016X}-1"


def import_snapshot(state: SessionState, identifier: str) -> None:
    """See what another transaction sees. Raises SqlError 25001, 0A000, 22023 if there is none."""
    block = state.block
    if block.has_queried or block.has_savepoints:
        raise SqlError("25001", "SET TRANSACTION SNAPSHOT must be called before any query")
    if block.modes.isolation in RENEWING:
        raise unsupported(
            "a snapshot-importing transaction must have isolation level "
            "SERIALIZABLE or REPEATABLE READ"
        )
    match = _IDENTIFIER.fullmatch(identifier)
    if match is not None:
        process_id, timestamp = int(match[1], 16), int(match[2], 16)
        for activity in state.environment.look_around(state.context.pause):
            if activity.process_id == process_id and activity.exported_snapshot == timestamp > 0:
                block.import_snapshot(timestamp)
                return
    raise SqlError("22023", f'invalid snapshot identifier: "{identifier}"')
