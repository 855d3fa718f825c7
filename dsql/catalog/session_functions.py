"""Functions about the session, its transaction and the server: pg_backend_pid, txid_current, ..."""

from __future__ import annotations

from typing import Any

from dsql.catalog.context_functions import define
from dsql.types import oids


@define("pg_backend_pid", (), oids.INT4)
def _pg_backend_pid(context: Any) -> int:
    pid: int = context.facts.process_id
    return pid


def _current_id(context: Any) -> int:
    identifier: int = context.facts.transaction_id(assign=True)
    return identifier


def _current_id_if_assigned(context: Any) -> int | None:
    identifier: int | None = context.facts.transaction_id(assign=False)
    return identifier


define("txid_current", (), oids.INT8)(_current_id)
define("pg_current_xact_id", (), oids.XID8)(_current_id)
define("txid_current_if_assigned", (), oids.INT8)(_current_id_if_assigned)
define("pg_current_xact_id_if_assigned", (), oids.XID8)(_current_id_if_assigned)


@define("pg_export_snapshot", (), oids.TEXT, volatility="v")
def _export_snapshot(context: Any) -> str:
    identifier: str = context.facts.export_snapshot()
    return identifier


def _since(context: Any) -> int:
    since: int = context.facts.server_since
    return since


define("pg_postmaster_start_time", (), oids.TIMESTAMPTZ)(_since)
define("pg_conf_load_time", (), oids.TIMESTAMPTZ)(_since)


@define("inet_client_addr", (), oids.INET)
def _inet_client_addr(context: Any) -> str | None:
    address = context.facts.client_address
    return None if address is None else str(address[0])


@define("inet_client_port", (), oids.INT4)
def _inet_client_port(context: Any) -> int | None:
    address = context.facts.client_address
    return None if address is None else int(address[1])


def _nowhere(_context: Any) -> None:
    """The address that clients connect to is the relay's, of which there may be many."""


define("inet_server_addr", (), oids.INET)(_nowhere)
define("inet_server_port", (), oids.INT4)(_nowhere)
