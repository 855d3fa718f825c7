"""What log lines of a query processor are about: its cluster, and the connection of the running session.

A connection has one name in the logs of all roles, `connection`: the process id of its BackendKeyData,
which its client knows too.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dsql.session.roster import Roster


class _Names(logging.Filter):
    """Adds the names, and lets everything pass."""

    def __init__(self, cluster: str, roster: Roster) -> None:
        super().__init__()
        self._cluster = cluster
        self._roster = roster
        self._thread = threading.get_ident()  # where sessions run

    def filter(self, record: logging.LogRecord) -> bool:
        record.cluster = self._cluster
        running = self._roster.running if record.thread == self._thread else None
        if running is not None and running.connection_id:
            record.connection = running.connection_id
        return True


@contextmanager
def named(cluster: str, roster: Roster) -> Iterator[None]:
    """Have every log line say what it is about meanwhile."""
    names, handlers = _Names(cluster, roster), logging.getLogger().handlers
    for handler in handlers:
        handler.addFilter(names)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(names)
