"""Defaults and checks are kept as the text PostgreSQL shows for them."""

from __future__ import annotations

from contextvars import Context
from typing import Any

import psycopg

import dsql.functions.builtin
import dsql.types.builtin  # noqa: F401
from dsql.catalog.catalog import Catalog
from dsql.catalog.schema import Column, Role, Schema, Table
from dsql.errors import SqlError
from dsql.sql.binder import ColumnExpression, bind_standalone
from dsql.sql.expression_text import expression_text
from dsql.sql.gate import parse_statement
from dsql.types import registry
from dsql.types.type import FormatSettings

DEFAULTS = """
date: current_date; now(); 'today'; '2024-01-02'
timestamptz: current_timestamp; current_timestamp(2); now(); '2024-01-02 03:04+00'; clock_timestamp()
timestamp: localtimestamp; localtimestamp(3); now(); current_timestamp
time: localtime; localtime(1); '01:02:03'
timetz: current_time; current_time(0)
text: current_user; user; current_role; session_user; current_schema; current_catalog
text: 'it''s'; E'a\\\\b'; 'a' || 'b'; upper('x'); current_date; 5; null
int4: 5; -5; 1 + 2; '7'; 7::int8; length('abc'); 10 / 3; 5.4; abs(-3)
int8: 5; 5000000000; -1; '12'
numeric: 1; 1.50; -1.5; '2.50'; 1e10; 0.1 + 1
bool: true; (not true); 1 < 2; 't'; (1 = 1 and 2 = 2)
uuid: gen_random_uuid(); 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'
interval: '1 day'; '1-2'::interval
jsonb: '{"a": 1}'; '[]'::jsonb
varchar: 'abc'::varchar(2); 'abc'::char(5); 'x'
float8: 1.5; 'Infinity'; 3; pi()
bytea: 'a'; '\\x00ff'
"""
CHECKS = """
id > 0; id >= 0 and id < 10 or a is null; a between 1 and 5; a in (1, 2, 3); a not in (1, 2); b like 'x%'
b in ('a', 'b'); b <> ''; length(b) < 10; b ~ '^[a-z]+$'; b is not null; n > 0; n > 1.5
n >= id; n = 5::numeric
coalesce(a, 0) > 0; nullif(a, 0) is null; greatest(a, id) > 3
not (a = 1); (a = 1) is true; a is distinct from id; lower(b) = b; a % 2 = 0; -a < 0
a = any (array[1, 2]); a = all ('{1,2}'::int[]); b::int > 0; a::text = b; a::numeric(4,1) < 3
(b || 'x') = 'yx'
b not like '%y'; b ilike 'A%'; b similar to 'a|b'; btrim(b) = b
position('a' in b) = 1; extract(year from date '2024-01-02') = a; (id, a) = (1, 2); array[a, id] = '{1,2}'
a is null or b is null; b = 'it''s'; a + 1 * 2 > 3; (a + 1) * 2 > 3; a <> -1; n <> -1.5
n::int = a; a::int8 > 5000000000
"""


def _pairs() -> list[tuple[str, str]]:
    found = []
    for line in DEFAULTS.strip().splitlines():
        kind, _, rest = line.partition(":")
        found += [(kind, item.strip()) for item in rest.split(";")]
    return found


def _table() -> Table:
    columns = [("id", "int4"), ("a", "int4"), ("b", "text"), ("n", "numeric")]
    return Table(
        20_000, "public", "stored", 10,
        tuple(Column(name, number, _oid(kind)) for number, (name, kind) in enumerate(columns, 1)),
    )  # fmt: skip


def _oid(name: str) -> int:
    found = registry.find(name)
    assert found is not None
    return found.oid


def _ours(text: str, use: ColumnExpression, table: Table | None) -> str:
    catalog = Catalog(1, [Schema(2200, "public", 10)], [], [Role(10, "admin", True)])
    parsed = parse_statement(f"select {text}")
    node: Any = parsed.node.target_list[0].res_target.val
    try:
        bound = bind_standalone(
            parsed, node, catalog, ("public",), FormatSettings(), use=use, table=table
        )
        return expression_text(bound)
    except SqlError as error:
        return f"{error.sqlstate} {error.message}"


def _theirs(connection: psycopg.Connection[Any], definition: str, query: str) -> str:
    try:
        with connection.transaction():
            connection.execute(f"create temporary table stored ({definition}) on commit drop")
            row = connection.execute(query).fetchone()
            assert row is not None or "default null" in definition, definition
            return "" if row is None else str(row[0])
    except psycopg.Error as error:
        return f"{error.sqlstate} {error.diag.message_primary}"


def test_defaults_print_as_in_postgresql(postgres: psycopg.Connection[Any]) -> None:
    query = "select pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = 'stored'::regclass"
    wrong = []
    for kind, text in _pairs():
        column = Column("x", 1, _oid(kind))
        use = ColumnExpression("DEFAULT expressions", column)
        ours = Context().run(_ours, text, use, None)  # where no session has set the clock
        theirs = _theirs(postgres, f"x {kind} default {text}", query)
        if ours != theirs and not (theirs == "" and ours.startswith("NULL")):
            wrong.append(f"{kind} {text}\n  ours   {ours}\n  theirs {theirs}")
    assert not wrong, "\n".join(wrong)


def test_checks_print_as_in_postgresql(postgres: psycopg.Connection[Any]) -> None:
    query = "select pg_get_expr(conbin, conrelid) from pg_constraint where conrelid = 'stored'::regclass"
    wrong = []
    for text in (item.strip() for line in CHECKS.strip().splitlines() for item in line.split(";")):
        ours = _ours(text, ColumnExpression("check constraints"), _table())
        definition = f"id int4, a int4, b text, n numeric, check ({text})"
        theirs = _theirs(postgres, definition, query)
        if ours != theirs:
            wrong.append(f"{text}\n  ours   {ours}\n  theirs {theirs}")
    assert not wrong, "\n".join(wrong)
