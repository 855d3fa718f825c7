"""SEARCH and CYCLE of recursive queries answer as a real PostgreSQL does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from memory_server import Server

from tests.differential.regression.script import Statement
from tests.differential.regression.sides import Ours, Reference

EDGES = "(1, 2, 'a'), (1, 3, 'b'), (2, 3, 'c'), (1, 4, 'd'), (4, 5, 'e')"
WALK = (
    "with recursive walk(f, t, label) as (select * from {edges} g union all"
    " select g.* from {edges} g, walk w where g.f = w.t) {clauses} select {shown} from walk {order}"
)
CLAUSES = {
    "edges": (
        "search depth first by f, t set seq",
        "search breadth first by f, t set seq",
        "search depth first by t set seq",
        "search depth first by foo set seq",
        "search depth first by f, f set seq",
        "search breadth first by f set label",
    ),
    "cyclic": (
        "cycle f, t set is_cycle using path",
        "cycle f set is_cycle to 'Y' default 'N' using path",
        "cycle f, t set is_cycle to 1 default 0 using path",
        "cycle f, t set is_cycle to 'x' default 1 using path",
        "search depth first by f, t set seq cycle f, t set is_cycle using path",
        "search breadth first by f, t set seq cycle f, t set is_cycle using path",
        "cycle foo set is_cycle using path",
        "cycle f, f set is_cycle using path",
        "cycle f set label using path",
        "cycle f set is_cycle using label",
        "cycle f set foo using foo",
        "search depth first by f set foo cycle f set foo using path",
        "search depth first by f set foo cycle f set bar using foo",
    ),
}
OTHERS = (
    "with recursive a as (select 1 as b union all select * from a) cycle b set c using p select * from a",
    "with recursive a as (select 1 as b union select b + 1 from a where b < 3) search depth first by b"
    " set s select b from a order by s desc",
    "with a as (select 1 as b) search depth first by b set s select * from a",
    "with recursive a as (select 1 as b) search depth first by b set s select * from a",
    "with recursive a(b) as (values (1) union all select b from a) cycle b set c using p table a",
    "with recursive a(b) as (select 1 union all select b from (select * from a) x)"
    " cycle b set c using p select * from a",
    "with recursive a(b) as (select 1 union all select x.b + 1 from a as x join a0 on true where x.b < 3)"
    " search depth first by b set s select * from a",
)  # fmt: skip


@pytest.fixture(scope="module")
def sides(postgres: psycopg.Connection[Any]) -> Iterator[tuple[Reference, Ours]]:
    server = Server("postgres", moves=False)
    both = Reference(postgres), Ours(lambda _: server.connect())
    for side in both:
        for name in ("edges", "cyclic"):
            side.ask(Statement(f"create table {name} (f int, t int, label text)"))
            side.ask(Statement(f"insert into {name} values {EDGES}"))
        side.ask(Statement("insert into cyclic values (5, 1, 'f')"))
    yield both
    both[0].ask(Statement("drop table edges, cyclic"))
    server.stop()


def statements() -> list[str]:
    found = [*OTHERS]
    for edges, clauses in CLAUSES.items():
        for clause in clauses:
            order = "order by seq" if "set seq" in clause else ""
            found += [
                WALK.format(edges=edges, clauses=clause, shown=shown, order=order)
                for shown in ("*", "t")
            ]
    return found


@pytest.mark.parametrize("statement", statements())
def test_a_search_goes_as_in_postgresql(sides: tuple[Reference, Ours], statement: str) -> None:
    theirs, ours = (side.ask(Statement(statement)) for side in sides)
    assert ours.same(theirs), (ours, theirs)
    assert ours.message == theirs.message
    if "order by" in statement:
        assert ours.rows == theirs.rows
