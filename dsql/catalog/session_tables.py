"""What a session has: its prepared statements, as a system table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dsql.catalog.virtual import provides

Row = Mapping[str, Any]


@provides("pg_catalog", "pg_prepared_statements")
def _pg_prepared_statements(context: Any) -> Iterator[Row]:
    yield from context.facts.prepared_statements()
