"""What a session tells its own statements about itself: the `dsql.functions.function.SessionFacts`."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dsql.catalog.wait_events import ON_CPU
from dsql.locks.lock import Tag
from dsql.session import advisory_locks, listening
from dsql.session.activity import Activity
from dsql.session.cursors import describe_cursors
from dsql.session.exported_snapshots import export_snapshot
from dsql.session.lost_transactions import LostTransaction
from dsql.session.parameters import DEFINITIONS, in_base_unit, parameter_key
from dsql.session.prepared import describe_statements

if TYPE_CHECKING:
    from dsql.session.state import SessionState


_SESSION_BITS = 12  # of a transaction's id


class Facts:
    """See the module."""

    def __init__(self, state: SessionState) -> None:
        self._state = state

    @property
    def process_id(self) -> int:
        """What names the session to others: pg_backend_pid()."""
        return self._state.client.process_id

    @property
    def client_address(self) -> tuple[str, int] | None:
        """Address and port of the client, None where they are not known."""
        host, _, port = self._state.client.address.rpartition(":")
        return (host.strip("[]"), int(port)) if host and port.isdigit() else None

    @property
    def server_since(self) -> int:
        """When the server began, microseconds since 2000-01-01."""
        return self._state.context.since_2000(self._state.environment.since)

    @property
    def stored_bytes(self) -> int:
        """What the database takes on disk, in the zone that is read from."""
        return self._state.environment.stored_bytes()

    def timestamp(self, time: int) -> int | None:
        """Return a time in microseconds since 1970 as a timestamptz, None for 0."""
        return self._state.context.since_2000(time) if time else None

    def sessions(self) -> list[Activity]:
        """Return what the cluster's sessions do, this one too."""
        state = self._state
        return state.environment.look_around(
            functools.partial(state.interrupts.pause, event=ON_CPU)
        )

    def lost_transactions(self) -> list[LostTransaction]:
        """Return which of the cluster's transactions have lost a conflict lately."""
        environment, pause = self._state.environment, self._state.interrupts.pause
        if environment.look_for_lost is None:
            return list(environment.lost)
        return environment.look_for_lost(functools.partial(pause, event=ON_CPU))

    def signal(self, process_id: int, *, ends: bool) -> None:
        """Have a session of the cluster cancel what it runs, or end; this one does so here and now."""
        if process_id == self.process_id:
            interrupts = self._state.interrupts
            (interrupts.terminate if ends else interrupts.cancel)()
            interrupts.attend()
            return
        self._state.environment.signal(process_id, self._state.context.pause, ends=ends)

    def warn(self, message: str) -> None:
        """Send the client a WARNING."""
        self._state.notice("WARNING", "01000", message)

    def transaction_id(self, *, assign: bool) -> int | None:
        """Return the transaction's id; unless it is to `assign` one, None if there is none yet.

        It is made of when the transaction began and of the session, both of which move with it: no two of a
        session are the same, later ones are greater, and those of two sessions differ unless they began in
        the same microsecond and 12 bits of their process ids are the same too.
        """
        state = self._state
        began = state.context.transaction_timestamp
        if assign:
            state.block.give_id()
        elif not state.block.has_id:
            return None
        return began << _SESSION_BITS | state.client.process_id & (1 << _SESSION_BITS) - 1

    def export_snapshot(self) -> str:
        """Let other sessions see what this transaction sees. Raises SqlError 25001."""
        return export_snapshot(self._state)

    def notify(self, channel: str, payload: str) -> None:
        """Have the transaction tell a channel when it commits. Raises SqlError 22023, 54000."""
        listening.notify(self._state, channel, payload)

    def take_lock(
        self, tag: tuple[int, int, int], *, shared: bool, for_transaction: bool, waits: bool
    ) -> bool:
        """Take an advisory lock; return whether it was taken. Raises SqlError 55P03, 40P01."""
        return advisory_locks.take(
            self._state, Tag(*tag), shared=shared, for_transaction=for_transaction, waits=waits
        )

    def give_lock_up(self, tag: tuple[int, int, int], *, shared: bool) -> bool:
        """Give up an advisory lock of the session; return whether it had it."""
        return advisory_locks.give_up(self._state, Tag(*tag), shared=shared)

    def give_all_locks_up(self) -> None:
        """Give up all advisory locks of the session."""
        advisory_locks.give_all_up(self._state)

    def locks(self) -> Iterator[advisory_locks.Entry]:
        """Yield who has which advisory lock, and who waits for it."""
        return advisory_locks.entries(self._state)

    @property
    def channels(self) -> list[str]:
        """The channels that the session listens to."""
        found = self._state.block.listening
        return [] if found is None else list(found.channels)

    @property
    def notification_usage(self) -> float:
        """What waits for the client of what may wait, from 0 to 1."""
        found = self._state.block.listening
        return 0.0 if found is None else found.usage

    def settings(self) -> Iterator[Mapping[str, Any]]:
        """Yield the rows of pg_settings."""
        settings = self._state.settings
        defaults = settings.defaults()
        for name, value, description in settings.all():
            definition, default = DEFINITIONS[parameter_key(name)], defaults[parameter_key(name)]
            has_bounds = definition.kind in ("integer", "real")
            yield {
                "name": name,
                "setting": in_base_unit(definition, value),
                "unit": definition.unit or None,
                "category": "Session",
                "short_desc": description,
                "context": definition.context,
                "vartype": definition.kind,
                "source": "default" if value == default else "session",
                "min_val": f"{definition.minimum:.15g}" if has_bounds else None,
                "max_val": f"{definition.maximum:.15g}" if has_bounds else None,
                "enumvals": list(definition.values) if definition.kind == "enum" else None,
                "boot_val": in_base_unit(definition, definition.default),
                "reset_val": in_base_unit(definition, default),
                "pending_restart": False,
            }

    def cursors(self) -> Iterator[Mapping[str, Any]]:
        """Yield the rows of pg_cursors."""
        return describe_cursors(self._state)

    def prepared_statements(self) -> Iterator[Mapping[str, Any]]:
        """Yield the rows of pg_prepared_statements."""
        return describe_statements(self._state)
