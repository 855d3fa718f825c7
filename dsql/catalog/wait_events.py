"""What a session waits for, by the names of Aurora DSQL's Database Insights and of PostgreSQL.

Source: https://www.postgresql.org/docs/16/monitoring-stats.html#WAIT-EVENT-TABLE.
"""

from __future__ import annotations

ON_CPU = "OnCpu"  # nothing
CLIENT_READ = "ClientRead"
CLIENT_WRITE = "ClientWrite"
COMMIT = "Commit"  # the adjudicator's answer
START_TRANSACTION = "StartTransaction"  # a replica that has not come as far as the snapshot
SLEEP = "PgSleep"
ADVISORY_LOCK = "advisory"

_CLASSES = {
    CLIENT_READ: "Client",
    CLIENT_WRITE: "Client",
    COMMIT: "IPC",
    START_TRANSACTION: "IPC",
    SLEEP: "Timeout",
    ADVISORY_LOCK: "Lock",
}


def class_of(event: str) -> str | None:
    """Return PostgreSQL's type of an event, None for none."""
    return _CLASSES.get(event)
