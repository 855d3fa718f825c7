"""What a SAVEPOINT remembers of its transaction, to which ROLLBACK TO goes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dsql.errors import SqlError
from dsql.session.isolation import Modes
from dsql.session.record import SavepointRecord
from dsql.session.settings import Settings, Snapshot


@dataclass(slots=True)
class Savepoint:
    """See `dsql.session.block`. `statement` is the number of the one that it stands before."""

    name: str
    statement: int
    settings: Snapshot
    ddl_statements: int
    writes: bool
    deferred: dict[tuple[Any, ...], None]
    deferred_count: int
    constraint_modes: dict[int, bool]
    modes: Modes

    def record(self, settings: Settings) -> SavepointRecord:
        """Return it for another process. No transaction with deferred constraints goes there."""
        return SavepointRecord(
            self.name,
            self.statement,
            settings.snapshot_record(self.settings),
            self.ddl_statements,
            self.writes,
            self.modes.record(),
        )


def restored(record: SavepointRecord, settings: Settings) -> Savepoint:
    """Return a savepoint of another process."""
    return Savepoint(
        record.name,
        record.statement,
        settings.restored_snapshot(record.settings),
        record.ddl_statements,
        record.writes,
        {},
        0,
        {},
        Modes(*record.modes),
    )


def find(savepoints: Sequence[Savepoint], name: str) -> int:
    """Return the place of the newest savepoint of a name. Raises SqlError 3B001."""
    for index in range(len(savepoints) - 1, -1, -1):
        if savepoints[index].name == name:
            return index
    raise SqlError("3B001", f'savepoint "{name}" does not exist')
