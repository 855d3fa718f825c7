"""Functions about what this server does not have, as clients' catalog queries call them.

No rules, triggers, partitions, publications, tablespaces, standbys or numbers of transactions, and no
JIT: the answers are those of a PostgreSQL that happens to have none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dsql.catalog.context_functions import define
from dsql.types import oids


def _always(value: Any) -> Callable[..., Any]:
    return lambda _context, *_arguments: value


for _name, _types in (
    ("pg_get_partkeydef", (oids.OID,)),
    ("pg_get_triggerdef", (oids.OID, oids.BOOL)),
):
    define(_name, _types, oids.TEXT)(_always(None))

define("pg_get_partition_constraintdef", (oids.OID,), oids.TEXT)(_always(None))
define("pg_partition_ancestors", (oids.REGCLASS,), oids.REGCLASS, returns_set=True)(_always(()))
define("pg_partition_root", (oids.REGCLASS,), oids.REGCLASS)(_always(None))
define(
    "pg_partition_tree",
    (oids.REGCLASS,),
    oids.RECORD,
    columns=(
        ("relid", oids.REGCLASS),
        ("parentrelid", oids.REGCLASS),
        ("isleaf", oids.BOOL),
        ("level", oids.INT4),
    ),
)(_always(()))
# No transaction ever becomes too old, and what reads xmin to find what is new has to read all.
define("age", (oids.XID,), oids.INT4)(_always(0))
define("pg_trigger_depth", (), oids.INT4)(_always(0))
define("pg_jit_available", (), oids.BOOL, volatility="v")(_always(False))
define("pg_is_in_recovery", (), oids.BOOL)(_always(False))
define("pg_is_wal_replay_paused", (), oids.BOOL, volatility="v")(_always(False))
define("pg_stat_get_numscans", (oids.OID,), oids.INT8)(_always(0))
define("pg_relation_is_publishable", (oids.REGCLASS,), oids.BOOL)(_always(False))
define("pg_tablespace_location", (oids.OID,), oids.TEXT)(_always(""))
define("getdatabaseencoding", (), oids.NAME)(_always("UTF8"))
