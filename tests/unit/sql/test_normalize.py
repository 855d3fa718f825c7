from __future__ import annotations

from collections.abc import Callable

import pytest

from dsql.catalog.catalog import Catalog
from dsql.sql.bound_query import BoundStatement, Insert, Query
from dsql.sql.normalize import normalize
from dsql.types import oids

Bind = Callable[..., BoundStatement]


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("select b from t where a = 5", "select b from t where a = $1"),
        ("select b from t where a=-5 or c = 'it''s'", "select b from t where a=-$1 or c = $2"),
        ("insert into t values (1, 'a'), (2.5, null)", "insert into t values ($1, $2), ($3, null)"),
        ("select a from t order by 1, 2 limit 5", "select a from t order by 1, 2 limit $1"),
        (
            "select a from t group by 1 having max(b) > 5",
            "select a from t group by 1 having max(b) > $1",
        ),
        ("select date '2020-01-01', x > 1", "select date '2020-01-01', x > $1"),
        ("select a::numeric(5, 2) + 1 from t", "select a::numeric(5, 2) + $1 from t"),
        ("select sum(a) over (order by 1) + 2", "select sum(a) over (order by 1) + $1"),
        ('select a5, b.c7 from t2 where "x\'1" = 3', 'select a5, b.c7 from t2 where "x\'1" = $1'),
        ("select 1;", "select $1;"),
    ],
)
def test_literals_that_are_values_become_parameters(text: str, normal: str) -> None:
    found = normalize(text)
    assert found is not None
    assert found.text == normal


@pytest.mark.parametrize(
    "text",
    [
        "select a from t",
        "select $1, 5",
        "select 1 -- one",
        "select /* one */ 1",
        "select E'a\\nb', 5",
        "select $$a$$, 5",
        "select 'a'\n'b'",
        "select distinct on (1) a from t",
        "select 1e5",
        "select 1; select 2",
        "create table t (a int default 5)",
        "set a = 5",
        "select 'open",
    ],
)
def test_unusual_texts_are_left_alone(text: str) -> None:
    assert normalize(text) is None


def test_numbers_keep_the_type_of_the_literal() -> None:
    found = normalize("select 5, 1.5, 'x'")
    assert found is not None
    assert found.types == (oids.INT4, oids.NUMERIC, 0)
    assert found.constants == ("5", "1.5", "x")


@pytest.mark.parametrize(
    "text",
    [
        "select id + 1, balance * 1.5, name || 'x' from accounts where id = 5 and name like 'a%'",
        "select id from accounts where id = '5' and created > '2020-01-01' limit 3 offset 1",
        "insert into accounts (id, name, balance) values (1, 'a', 2.5)",
        "update accounts set balance = balance - 5 where id in (1, 2, 3) returning id, 'x'",
        "select case when id > 5 then 'a' else 'b' end, coalesce(name, 'x') from accounts",
        "select jb -> 'a' ->> 'b' from typed where d = '2020-01-01' and u is not null and n > 5",
    ],
)
def test_output_types_are_those_of_the_original(bound: Bind, catalog: Catalog, text: str) -> None:
    found = normalize(text)
    assert found is not None
    original, normal = bound(text), bound(found.text, found.types)
    assert shape(normal) == shape(original)


def shape(statement: BoundStatement) -> list[tuple[str, int, int]]:
    body = statement.statement
    targets = list(body.targets if isinstance(body, Query) else body.returning or [])
    if isinstance(body, Insert):
        targets += body.source.targets
    return [(t.name, t.expression.type_oid, t.expression.typmod) for t in targets]
