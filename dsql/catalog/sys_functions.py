"""The functions of the schema `sys`, which Aurora DSQL has beside PostgreSQL's."""

from __future__ import annotations

from typing import Any

from dsql.catalog.context_functions import define
from dsql.types import oids

_MAJOR_VERSION = 1


@define("dsql_major_version", (), oids.INT4, schema="sys")
def _dsql_major_version(_context: Any) -> int:
    return _MAJOR_VERSION


@define("current_session_id", (), oids.TEXT, schema="sys")
def _current_session_id(context: Any) -> str:
    return str(context.session_id)
