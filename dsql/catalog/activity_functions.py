"""pg_stat_activity, sys.sessions, pg_cancel_backend: the sessions of the whole cluster.

A session sees all of those whose role it has the rights of, and that there are others. So it is with what
it may interrupt. Aurora DSQL's pg_stat_activity shows nobody, and it has no such functions
(`dsql.sql.refusals`); sys.sessions is ours, and has its names of wait events.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dsql.access.privileges import Privilege
from dsql.catalog.context_functions import define
from dsql.catalog.index_forms import DSQL
from dsql.catalog.virtual import provides
from dsql.catalog.wait_events import ON_CPU, class_of
from dsql.errors import SqlError
from dsql.types import oids

_POLL_SECONDS = 0.05


@provides("pg_catalog", "pg_stat_activity")
def _pg_stat_activity(context: Any) -> Iterator[Mapping[str, Any]]:
    catalog, authority = context.catalog, context.authority
    if context.profile == DSQL:
        return
    for session in context.facts.sessions():
        role = catalog.memberships.role(session.role)
        yield {
            "datid": catalog.database.oid,
            "datname": catalog.database.name,
            "pid": session.process_id,
            "usesysid": session.role,
            "usename": None if role is None else role.name,
            "application_name": session.application_name,
            "query": "<insufficient privilege>",
        } | (_details(context, session) if authority.owns(session.role) else {})


def _details(context: Any, session: Any) -> dict[str, Any]:
    """Return what only those see who have the rights of a session's role."""
    host, _, port = session.address.rpartition(":")
    waits = session.wait_event != ON_CPU
    since = context.facts.timestamp
    return {
        "client_addr": host.strip("[]") or None,
        "client_port": int(port) if port.isdigit() else None,
        "backend_start": since(session.since),
        "xact_start": since(session.transaction_since),
        "query_start": since(session.query_since),
        "state_change": since(session.query_since),
        "wait_event_type": class_of(session.wait_event),
        "wait_event": session.wait_event if waits else None,
        "state": session.state,
        "query": session.query,
        "backend_type": "client backend",
    }


@provides("sys", "sessions")
def _sys_sessions(context: Any) -> Iterator[Mapping[str, Any]]:
    for session in context.facts.sessions():
        role = context.catalog.memberships.role(session.role)
        yield {
            "pid": session.process_id,
            "role_oid": session.role,
            "role_name": None if role is None else role.name,
            "application_name": session.application_name,
        } | (_waits(context, session) if context.authority.owns(session.role) else {})


def _waits(context: Any, session: Any) -> dict[str, Any]:
    details, since = _details(context, session), context.facts.timestamp
    return {
        "client_addr": details["client_addr"],
        "client_port": details["client_port"],
        "state": session.state,
        "wait_class": class_of(session.wait_event),
        "wait_event": session.wait_event,
        "session_start": since(session.since),
        "transaction_start": since(session.transaction_since),
        "query_start": since(session.query_since),
        "query": session.query,
    }


@provides("sys", "conflicts")
def _sys_conflicts(context: Any) -> Iterator[Mapping[str, Any]]:
    """Each role sees its own, and keys of tables that it may read: to write one it need not know it."""
    role, since = context.catalog.memberships.role, context.facts.timestamp
    for lost in context.facts.lost_transactions():
        if not context.authority.owns(lost.role):
            continue
        own, winner = role(lost.role), role(lost.winner_role)
        table = context.catalog.tables_by_oid.get(lost.table)
        is_open = table is not None and (
            context.authority.owns(table.owner_oid)
            or context.authority.holds_on_relation(table, Privilege.SELECT)
        )
        yield {
            "lost_at": since(lost.at),
            "pid": lost.process_id,
            "role_name": None if own is None else own.name,
            "code": lost.code,
            "relation": None if table is None else f"{table.schema}.{table.name}",
            "key": (lost.key or None) if is_open else None,
            "query": lost.query or None,
            "winner_at": since(lost.met),
            "winner_pid": lost.winner or None,
            "winner_role": None if winner is None else winner.name,
        }


def _may_signal(context: Any, pid: int, action: str, participle: str, verb: str) -> bool:
    """Return whether there is such a session; warn if not. Raises SqlError 42501 for another role's."""
    for session in context.facts.sessions():
        if session.process_id == pid:
            if not context.authority.owns(session.role):
                raise SqlError(
                    "42501",
                    f"permission denied to {action}",
                    detail=f"Only roles with privileges of the role whose {participle} or with "
                    f'privileges of the "pg_signal_backend" role may {verb}.',
                )
            return True
    context.facts.warn(f"PID {pid} is not a PostgreSQL backend process")
    return False


@define("pg_cancel_backend", (oids.INT4,), oids.BOOL, volatility="v")
def _pg_cancel_backend(context: Any, pid: int) -> bool:
    found = _may_signal(
        context, pid, "cancel query", "query is being canceled", "cancel this query"
    )
    if found:
        context.facts.signal(pid, ends=False)
    return found


def _terminate(context: Any, pid: int) -> bool:
    found = _may_signal(
        context,
        pid,
        "terminate process",
        "process is being terminated",
        "terminate this process",
    )
    if found:
        context.facts.signal(pid, ends=True)
    return found


@define("pg_terminate_backend", (oids.INT4,), oids.BOOL, volatility="v")
def _pg_terminate_backend(context: Any, pid: int) -> bool:
    return _terminate(context, pid)


@define("pg_terminate_backend", (oids.INT4, oids.INT8), oids.BOOL, volatility="v")
def _pg_terminate_backend_and_wait(context: Any, pid: int, timeout: int) -> bool:
    """Return whether the session is gone, after `timeout` milliseconds at most (0: nobody waits)."""
    if timeout < 0:
        raise SqlError("22003", '"timeout" must not be negative')
    found = _terminate(context, pid)
    if not found or not timeout:
        return found
    left = timeout / 1_000
    while any(session.process_id == pid for session in context.facts.sessions()):
        if left <= 0:
            unit = "millisecond" if timeout == 1 else "milliseconds"
            context.facts.warn(f"backend with PID {pid} did not terminate within {timeout} {unit}")
            return False
        context.pause(min(left, _POLL_SECONDS))
        left -= _POLL_SECONDS
    return True
