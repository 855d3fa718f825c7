"""What the profiles refuse, and how they say it. One room, apart from the engine.

The `dsql` profile refuses what Aurora DSQL refuses, in its words; `postgres` lifts everything that the
engine can do. What the engine lacks is refused where it is met, by name, in both.
"""

from __future__ import annotations

from dsql.errors import unsupported

DSQL = "dsql"

REFUSED_FUNCTIONS = frozenset(
    {
        "pg_advisory_lock",
        "pg_advisory_lock_shared",
        "pg_advisory_unlock",
        "pg_advisory_unlock_all",
        "pg_advisory_unlock_shared",
        "pg_advisory_xact_lock",
        "pg_advisory_xact_lock_shared",
        "pg_backend_pid",
        "pg_cancel_backend",
        "pg_notify",
        "pg_table_size",
        "pg_terminate_backend",
        "pg_total_relation_size",
        "pg_try_advisory_lock",
        "pg_try_advisory_lock_shared",
        "pg_try_advisory_xact_lock",
        "pg_try_advisory_xact_lock_shared",
        "inet_server_addr",
        "inet_server_port",
    }
)


def check_function(name: str, profile: str, position: int) -> None:
    """Raise SqlError 0A000 for a function the profile refuses by name."""
    if profile == DSQL and (name in REFUSED_FUNCTIONS or name.startswith("lo_")):
        raise unsupported(f"function {name} not supported", position=position)
