"""One connection to each zone's adjudicator, made when somebody needs it.

Who finds one missing makes it, which may take its time; whoever else needs it waits for that. Those that
will be needed when the leader is lost are prepared, so that nothing has to be made then.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

from adjudicator.zone_connection import ZoneConnection
from dsql.hub.waiter import NEVER, Activity, Waiter

Connect = Callable[[str], tuple[str, socket.socket]]
Prepare = Callable[[str], bool]


class ZoneConnections:
    """The connections of a process. `connect`, `prepare`: see AdjudicatorClient."""

    def __init__(
        self,
        azs: Sequence[str],
        connect: Connect,
        prepare: Prepare,
        waiter: Waiter,
        patience_seconds: float,
        died: Callable[[int], None],
    ) -> None:
        self._azs = azs
        self._died = died
        self._connect = connect
        self._prepare = prepare
        self._waiter = waiter
        self._patience_seconds = patience_seconds
        self._connections: dict[str, ZoneConnection] = {}
        self._dials: dict[str, _Dial] = {}

    def prepare(self) -> None:
        """Have what connections are missing prepared, and made once that has been done. Does not wait.

        All are listened to: where a zone has died, the others say so before its own connection ends.
        """
        for az in self._azs:
            if self._open(az) is None and az not in self._dials and self._prepare(az):
                connection = self._dial(az, is_quick=True)
                if connection is not None:
                    connection.watch(NEVER)

    def reach(self, az: str, *, may_wait: bool = True) -> ZoneConnection | None:
        """Return an open connection to a zone, "" for any; None if it cannot be reached now.

        It is made now, unless that `may_wait` and would: then it is prepared.
        """
        connection = self._open(az)
        if connection is not None:
            return connection
        dial = self._dials.get(az)
        is_quick = dial.is_quick if dial is not None else not may_wait and self._prepare(az)
        if not (may_wait or is_quick):
            return None
        if dial is None:
            return self._dial(az, is_quick=is_quick)
        dial.activities.append(self._waiter.current)
        while not dial.is_over:
            self._waiter.wait(NEVER)
        connection = dial.connection
        return connection if connection is not None and connection.is_open else None

    def _open(self, az: str) -> ZoneConnection | None:
        connection = self._connections.get(az)
        return connection if connection is not None and connection.is_open else None

    def lose(self, az: str) -> None:
        """Give up the connection to a zone."""
        connection = self._open(az)
        if connection is not None:
            connection.lose()

    def flush(self) -> None:
        """Send what has gathered on each."""
        for connection in self._connections.values():
            connection.flush()

    def close(self) -> None:
        """Close all."""
        for connection in self._connections.values():
            connection.lose()

    def _dial(self, az: str, *, is_quick: bool) -> ZoneConnection | None:
        dial = self._dials[az] = _Dial(is_quick)
        try:
            dial.connection = self._adopt(*self._connect(az))
        except OSError:
            return None
        finally:
            dial.is_over = True
            del self._dials[az]
            for activity in dial.activities:
                self._waiter.wake(activity)
        return dial.connection

    def _adopt(self, az: str, connected: socket.socket) -> ZoneConnection:
        """Return the connection to a zone over a new socket, unless there is another by now."""
        connection = self._open(az)
        if connection is not None:
            connected.close()
            return connection
        connection = ZoneConnection(az, connected, self._waiter, self._patience_seconds, self._died)
        self._connections[az] = connection
        return connection


class _Dial:
    """A connection that is being made, and who waits for it. `is_quick`: it was prepared."""

    __slots__ = ("activities", "connection", "is_over", "is_quick")

    def __init__(self, is_quick: bool) -> None:
        self.is_quick = is_quick
        self.activities: list[Activity | None] = []
        self.connection: ZoneConnection | None = None
        self.is_over = False
