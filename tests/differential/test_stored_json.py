"""Views over JSON expressions are stored, printed and read as a real PostgreSQL's are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from memory_server import Server

from tests.differential.regression.script import Statement
from tests.differential.regression.sides import Ours, Reference

QUERIES = (
    "select * from json_to_record('{\"a\": 1}') as r(a int, b text)",
    'select * from rows from (json_to_record(\'{"a": 1, "c": "xyz"}\') as (a int, c varchar(3)),'
    " generate_series(1, 2)) as x(a, c, b)",
    "select jsonb_path_query_array(j, 'strict $.a[*] ? (@ > 1)') as q from stored",
    "select j @? '$.a' as e, j @@ '$.a == 1' as m from stored",
    "select concat(variadic array['a', 'b']) as c",
)


@pytest.fixture(scope="module")
def sides(postgres: psycopg.Connection[Any]) -> Iterator[tuple[Reference, Ours]]:
    server = Server("postgres", moves=False)
    both = Reference(postgres), Ours(lambda _: server.connect())
    for side in both:
        side.ask(Statement("create table stored (id int primary key, j jsonb)"))
        side.ask(Statement("insert into stored values (1, '{\"a\": [1, 2]}')"))
    yield both
    both[0].ask(Statement("drop table stored cascade"))
    server.stop()


@pytest.mark.parametrize("query", QUERIES)
def test_a_view_is_what_postgresql_makes_of_it(sides: tuple[Reference, Ours], query: str) -> None:
    answers = []
    for side in sides:
        made = side.ask(Statement(f"create or replace view view_of_json as {query}"))
        shown = side.ask(Statement("select pg_get_viewdef('view_of_json'::regclass)"))
        answers.append((made, side.ask(Statement("select * from view_of_json")), shown))
        side.ask(Statement("drop view view_of_json"))
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    "expression",
    [
        "json_object('a': id, 'b': j absent on null)",
        "json_array(id, null null on null)",
        "j is json object",
        "j['a'][0]",
    ],
)
def test_what_postgresql_15_cannot_write_is_read_again(
    sides: tuple[Reference, Ours], expression: str
) -> None:
    ours = sides[1]
    plain = ours.ask(Statement(f"select {expression} as x from stored"))
    ours.ask(Statement(f"create view view_of_json as select {expression} as x from stored"))
    assert ours.ask(Statement("select * from view_of_json")) == plain
    assert not ours.ask(Statement("drop view view_of_json")).sqlstate
