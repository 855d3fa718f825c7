"""What a seed does before it forks: use every part of the SQL pipeline once, on an empty database.

Importing is not enough. Parsers build tables at their first use, modules import others inside functions,
caches of types and functions fill. Done here once, it costs no query processor time, and the memory is
shared by all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dsql.catalog.catalog import Catalog
from dsql.catalog.loader import CatalogCache
from dsql.catalog.virtual import virtual_tables
from dsql.errors import SqlError
from dsql.session import tenant  # noqa: F401 (brings in all that a query processor runs)
from dsql.session.identity import find_standpoint
from dsql.session.pipeline import QUERIES, compile_query, parse
from dsql.session.plan_cache import PlanCache
from dsql.session.settings import Settings

logger = logging.getLogger(__name__)

PROFILES = ("dsql", "postgres")
# By clients.
READ_FIRST = ("pg_class", "pg_namespace", "pg_attribute", "pg_type", "pg_am", "pg_proc")
STATEMENTS = (
    "SELECT 1",
    "SELECT $1::int + 1 AS n, $2::text || 'x', now(), current_user",
    "SELECT a, count(*), sum(b), max(b) FROM (VALUES (1, 2.5), (2, 3.5)) AS t (a, b)"
    " WHERE b > 1 AND a IN (1, 2) GROUP BY a HAVING count(*) > 0 ORDER BY a DESC LIMIT 10 OFFSET 1",
    "WITH t AS (SELECT generate_series(1, 3) AS a) SELECT x.a, y.a FROM t x JOIN t y ON x.a = y.a"
    " LEFT JOIN t z ON z.a = y.a WHERE EXISTS (SELECT 1 FROM t WHERE t.a = x.a)",
    "SELECT a, row_number() OVER (PARTITION BY a ORDER BY a) FROM (SELECT 1 AS a) AS s"
    " UNION ALL SELECT 2, 3 ORDER BY 1",
    "SELECT c.relname, n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n"
    " ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname <> 'pg_catalog' ORDER BY 1, 2",
    "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'",
    # What psql's \d asks for, before the first answer that a person waits for.
    "SELECT n.nspname AS \"Schema\", c.relname AS \"Name\", CASE c.relkind WHEN 'r' THEN 'table' END,"
    " pg_catalog.pg_get_userbyid(c.relowner), pg_catalog.format_type(a.atttypid, a.atttypmod)"
    " FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
    " WHERE c.relkind IN ('r', 'p', '') AND n.nspname !~ '^pg_toast' AND n.nspname <> 'x'"
    " AND pg_catalog.pg_table_is_visible(c.oid) AND c.oid = '5'::pg_catalog.regclass ORDER BY 1, 2",
    "SELECT date '2024-02-29' + interval '1 day', extract(year FROM timestamp '2024-01-01 00:00'),"
    " '{1,2}'::int[], gen_random_uuid(), coalesce(NULL, 'x'), CASE WHEN true THEN 1 ELSE 2 END",
    "CREATE TABLE t (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name varchar(20) NOT NULL)",
    "CREATE INDEX ASYNC ON t (name)",
    "INSERT INTO t (name) VALUES ('a') ON CONFLICT DO NOTHING RETURNING id",
    "UPDATE t SET name = 'b' WHERE id = '00000000-0000-0000-0000-000000000000'",
    "BEGIN; SET search_path TO public; SHOW server_version; COMMIT",
)


class EmptyStore:
    """A snapshot of a database in which nothing was ever written."""

    timestamp = 0
    bytes_read = 0

    def get(self, key: bytes) -> bytes | None:  # noqa: ARG002 (nothing is there)
        """Return None."""
        return None

    def scan(
        self,
        low: bytes,  # noqa: ARG002
        high: bytes,  # noqa: ARG002
        *,
        reverse: bool = False,  # noqa: ARG002
    ) -> Iterator[tuple[bytes, bytes]]:
        """Return no rows."""
        return iter(())

    def is_outdated(self, keys: Iterable[bytes], since: int) -> bool:  # noqa: ARG002
        """Return False."""
        return False


@dataclass(frozen=True)
class _Reader:
    """As much of a Context as the rows of the catalogs take."""

    catalog: Catalog
    profile: str
    search_path: tuple[str, ...] = ()


def warm_up() -> None:
    """Compile typical statements, and make the catalogs' own rows, which are kept."""
    catalog = CatalogCache().current(EmptyStore())
    for profile in PROFILES:
        compile_all(catalog, profile, PlanCache())
        for name in READ_FIRST:
            read_catalog(catalog, profile, name)


def compile_all(catalog: Catalog, profile: str, plans: PlanCache) -> list[str]:
    """Parse and compile the statements, and return those that could not be, which only stay cold.

    Table t does not exist: what needs it warms the parser and the binder's errors.
    """
    settings = Settings(profile, lambda: catalog)
    standpoint = find_standpoint(catalog, settings)
    cold = []
    for text in STATEMENTS:
        try:
            for statement in parse(text, plans):
                parsed = statement.parsed()
                if parsed.name in QUERIES:
                    compile_query(parsed, (), standpoint, settings, plans)
        except SqlError as error:
            cold.append(text)
            logger.debug("not warmed up", extra={"statement": text, "reason": error.message})
    return cold


def read_catalog(catalog: Catalog, profile: str, name: str) -> int:
    """Read a system table to its end, and return the number of its rows."""
    rows = virtual_tables()["pg_catalog", name].rows(_Reader(catalog, profile))
    return sum(1 for _ in rows)
