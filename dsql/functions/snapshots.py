"""Functions of pg_snapshot and txid_snapshot, and of what they are made of.

There is no pg_current_snapshot(): it would have to name all transactions of the cluster that have an id and
have not ended, and nobody here knows them.
"""

from __future__ import annotations

from dsql.functions.definition import define
from dsql.types.snapshot import parse

for _name in ("pg_snapshot", "txid_snapshot"):
    define(f"{_name}_xmin", lambda value: parse(value).xmin)
    define(f"{_name}_xmax", lambda value: parse(value).xmax)
    define(f"{_name}_xip", lambda value: parse(value).xip)
define(
    "pg_visible_in_snapshot txid_visible_in_snapshot",
    lambda identifier, value: parse(value).shows(identifier),
)
define("xid(xid8)", lambda value: value & 0xFFFFFFFF)
