"""UPDATE of parts of a jsonb answers as a real PostgreSQL does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from memory_server import Server

from tests.differential.regression.script import Statement
from tests.differential.regression.sides import Ours, Reference

CONTAINERS = ("null", '\'{"a": {"b": 1}}\'', "'[1, [2], null]'", "'{}'", "'[]'", "'7'", "'\"s\"'")
TARGETS = (
    "j['a']", "j['a']['b']", "j['a']['b']['c']", "j['z']['y'][2]", "j[0]", "j[1][0]", "j[-1]", "j[5]",
    "j[-7]", "j['1']", "j[1]['q']", "j[null]", "j[k]", "j[1.5]", "j[1:2]", "k[1]",
)  # fmt: skip
ASSIGNMENTS = (
    *(f"{target} = '\"new\"'" for target in TARGETS),
    "j['a'] = null", "j['a'] = j", "j['a'] = 1", "j['a'] = default", "j['a'] = '1', j['b'] = j['a']",
    "j['a']['x'] = '1', j['a']['y'] = '2'", "j = '{}', j['a'] = '1'", "j['a'] = '1', j = '{}'",
    "(j['a'], k) = ('5', 9)", "j['a'] = (select to_jsonb(count(*)) from pg_class where false)",
)  # fmt: skip


@pytest.fixture(scope="module")
def sides(postgres: psycopg.Connection[Any]) -> Iterator[list[Reference | Ours]]:
    server = Server("postgres", moves=False)
    sides: list[Reference | Ours] = [Reference(postgres), Ours(lambda _: server.connect())]
    for side in sides:
        side.ask(Statement("create table subscripted (j jsonb, k int)"))
    yield sides
    sides[0].ask(Statement("drop table subscripted"))
    server.stop()


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_a_part_is_assigned_as_postgresql_does(
    sides: list[Reference | Ours], assignment: str
) -> None:
    for container in CONTAINERS:
        answers = []
        for side in sides:
            side.ask(Statement("delete from subscripted"))
            side.ask(Statement(f"insert into subscripted values ({container}, 1)"))
            changed = side.ask(Statement(f"update subscripted set {assignment} returning *"))
            answers.append((changed, side.ask(Statement("select * from subscripted"))))
        assert answers[0] == answers[1], container
