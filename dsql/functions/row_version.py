"""xmin of a row: what clients compare to find out whether a row is still as they have read it.

PostgreSQL has the id of the transaction there that wrote the version. Here it is made of the row's values:
any change of them changes it, and a row that has them again has its xmin again, which no such client minds.
Two different rows share one with a probability of 2^-32.
"""

from __future__ import annotations

import zlib
from typing import Any

from dsql.functions.function import Function
from dsql.types import oids

_FIRST_NORMAL = 3  # smaller ids mean something else to PostgreSQL
_OID = 9_390  # it has no row in pg_proc


def _row_version(values: tuple[Any, ...]) -> int | None:
    """Return the xmin of a row that has a key; None for the one that an outer join makes up."""
    if values.count(None) == len(values):
        return None
    found = zlib.crc32(repr(values).encode(errors="surrogatepass"))
    return max(found, _FIRST_NORMAL)


ROW_VERSION = Function(_OID, "xmin", (oids.RECORD,), oids.XID, _row_version, volatility="s")
