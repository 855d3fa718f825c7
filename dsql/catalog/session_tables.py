"""What a session has, as system tables: its settings, its prepared statements and its cursors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dsql.catalog.context_functions import define
from dsql.catalog.virtual import provides, virtual_tables
from dsql.types import oids

Row = Mapping[str, Any]

_SETTINGS = virtual_tables()["pg_catalog", "pg_settings"]


@provides("pg_catalog", "pg_settings")
def _pg_settings(context: Any) -> Iterator[Row]:
    yield from context.facts.settings()


@define("pg_show_all_settings", (), oids.RECORD, columns=_SETTINGS.columns)
def _pg_show_all_settings(context: Any) -> Iterator[tuple[Any, ...]]:
    return _SETTINGS.rows(context)


@provides("pg_catalog", "pg_cursors")
def _pg_cursors(context: Any) -> Iterator[Row]:
    yield from context.facts.cursors()


@provides("pg_catalog", "pg_prepared_statements")
def _pg_prepared_statements(context: Any) -> Iterator[Row]:
    yield from context.facts.prepared_statements()
