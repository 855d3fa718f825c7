"""Statements as wide and as deep as PostgreSQL takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dsql.errors import SqlError
from dsql.executor import source


@pytest.fixture
def filled(db: Any) -> Any:
    db.count("insert into t values (1, 10, 'one', 1.5), (2, 20, 'two', null), (3, null, null, 3)")
    db.count("insert into heap values (1, 'a'), (2, 'b'), (null, 'c')")
    return db


def chain(first: str, count: int, link: Callable[[int], str]) -> str:
    return first + " ".join(link(number) for number in range(1, count))


def nested(head: str, core: str, tail: str, depth: int) -> str:
    return head * depth + core + tail * depth


WIDE = {
    "60 inner joins": (
        chain("select count(*) from t t0 ", 60, lambda n: f"join t t{n} on t{n}.id = t{n - 1}.id"),
        [(3,)],
    ),
    "60 outer joins with conditions": (
        chain(
            "select count(*) from heap h0 ", 60,
            lambda n: f"left join heap h{n} on h{n}.x = h{n - 1}.x and h{n}.y > '{n}'",
        ),
        [(3,)],
    ),
    "30 full joins": (
        chain("select count(*) from heap h0 ", 30, lambda n: f"full join heap h{n} using (x)"),
        [(32,)],
    ),
    "60 cross joins": (
        chain("select count(*) from (values (1)) v0 ", 60, lambda n: f"cross join (values ({n})) v{n}"),
        [(1,)],
    ),
    "60 laterals": (
        chain(
            "select l59.a from (select 1) l0(a) ", 60,
            lambda n: f"cross join lateral (select l{n - 1}.a + b from (values (1)) v(b) limit 1) l{n}(a)",
        ),
        [(60,)],
    ),
    "100 semi joins": (
        "select id from t where true "
        + " ".join(f"and exists (select from heap where heap.x = t.id and y <> '{n}')" for n in range(100)),
        [(1,), (2,)],
    ),
    "1000 conditions": (
        "select id from t where " + " and ".join(f"a + {n} <> {n}" for n in range(1000)),
        [(1,), (2,)],
    ),
    "500 equalities between two tables": (
        "select t.id from t, heap where " + " and ".join(f"a + {n} = x * 10 + {n}" for n in range(500)),
        [(1,), (2,)],
    ),
    "1000 branches": (
        "select case a " + " ".join(f"when {n} then 'n{n}'" for n in range(11, 1011)) + " end from t",
        [(None,), ("n20",), (None,)],
    ),
    "1000 alternatives": (
        f"select coalesce({', '.join(['a'] * 1000)}, 7) from t",
        [(10,), (20,), (7,)],
    ),
    "1000 unions": (
        f"select count(*) from ({' union all '.join(f'select {n}' for n in range(1000))}) s",
        [(1000,)],
    ),
    "unions of two kinds": (
        "select 1 " + " ".join(f"union {'all' * (n % 2)} select {n % 3}" for n in range(300)),
        [(0,), (1,), (2,), (2,)],
    ),
    "300 differences": ("select 5 " + " ".join(f"except select {n % 5}" for n in range(300)), [(5,)]),
    "200 chained CTEs": (
        "with c0 as materialized (select 1 as n)"
        + "".join(f", c{n} as materialized (select n + 1 as n from c{n - 1})" for n in range(1, 200))
        + " select * from c199",
        [(200,)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WIDE)
def test_wide_statements_are_answered(filled: Any, name: str) -> None:
    text, expected = WIDE[name]
    assert sorted(filled.run(text), key=repr) == sorted(expected, key=repr)


DEEP = {
    "not": (f"select {'not ' * 4001}(id = 1) from t", [(False,), (True,), (True,)]),
    "operators": (f"select {' + '.join(['id'] * 3000)} from t", [(3000,), (6000,), (9000,)]),
    "calls": (nested("select abs(", "-id", ")", 1) + " from t", [(1,), (2,), (3,)]),
    "many calls": ("select " + nested("abs(", "id", ")", 2000) + " from t", [(1,), (2,), (3,)]),
    "case": (
        "select " + nested("case when id = 1 then 1 else ", "id", " end", 600) + " from t",
        [(1,), (2,), (3,)],
    ),
    "conditions": (
        "select id from t where " + nested("(id < 3 and (id > 1 or ", "false", "))", 600),
        [(2,)],
    ),
    "sub-selects": ("select " + nested("(select ", "a", ")", 500) + " from t", [(10,), (20,), (None,)]),
    "sub-selects in FROM": (
        "select id from " + nested("(select * from ", "t", " limit 2) x", 200),
        [(1,), (2,)],
    ),
    "correlated sub-selects": (
        "select " + nested("(select t.id + ", "t.a", " limit 1)", 200) + " from t where id < 3",
        [(210,), (420,)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DEEP)
def test_deep_statements_are_answered(filled: Any, name: str) -> None:
    text, expected = DEEP[name]
    assert filled.run(text) == expected


MIXED = ("{n}", "abs({n}) + a", "null", "id", "{n} * (a + 1)", "(select {n} + a)")
MANY = [item.format(n=n) for n in range(200) for item in MIXED]
CUT = {
    "mixed array": (f"select cardinality(array[{', '.join(MANY)}]) from t", [(1200,)] * 3),
    "mixed list": (f"select id in ({', '.join(MANY)}) from t", [(True,)] * 3),
    "mixed rows": (
        f"select id, (select count(v) from (values ({'), ('.join(MANY)})) v(v)) from t",
        [(1, 1000), (2, 1000), (3, 400)],
    ),
    "mixed alternatives": (
        f"select coalesce({', '.join(f'nullif({n}, {n})' for n in MANY if n != 'null')}, id) from t",
        [(1,), (2,), (3,)],
    ),
    "mixed conditions": (
        f"select id from t where {' or '.join(f'id = 2 and {item} = -7' for item in MANY)} or id = 3",
        [(3,)],
    ),
    "mixed branches": (
        f"select case {' '.join(f'when {item} < 0 then {item}' for item in MANY)} else id end from t",
        [(1,), (2,), (3,)],
    ),
    "columns": (
        f"select count(*) from (select {', '.join(MANY)} from t limit 2) s",
        [(2,)],
    ),
    "branches of a union": (
        f"select count(*) from ({' union '.join(f'select {n}' for n in range(1500))}) s",
        [(1500,)],
    ),
    "sub-selects": (
        f"select {' + '.join(f'(select min(id) + {n} - {n} from t)' for n in range(500))}",
        [(500,)],
    ),
    "cube": (
        "select count(*) from (select 1 from t group by cube ("
        + ", ".join(f"id + {n}, a + {n}" for n in range(6))
        + ")) s",
        [(3 * (2**12 - 1) + 1,)],
    ),
    "windows": (
        f"select {' + '.join(f'sum(id) over (order by id + {n})' for n in range(150))} from t",
        [(150,), (450,), (900,)],
    ),
    "windows of windows": (
        "select s from "
        + nested("(select id, sum(id) over (order by id) as s from ", "t", ") x", 90),
        [(1,), (3,), (6,)],
    ),
    "aggregates": (
        f"select {' + '.join(f'max(id + {n} - {n})' for n in range(500))} from t",
        [(1500,)],
    ),
    "ordered aggregates": (
        f"select cardinality({' || '.join(f'array_agg(id order by id + {n})' for n in range(200))}) from t",
        [(600,)],
    ),
    "ordered aggregates of groups": (
        "select count(*) from (select "
        + ", ".join(f"string_agg(distinct b || {n}, ',') as c{n}" for n in range(200))
        + " from t group by id) s where c0 is null or c0 || c199 = 'one0one199'",
        [(2,)],
    ),
    "gathering aggregates of groups": (
        f"select cardinality({' || '.join(f'array_agg(id + {n})' for n in range(300))}) from t group by id",
        [(300,)] * 3,
    ),
    "aggregates of grouping sets": (
        f"select {' + '.join(f'sum(id + {n} - {n})' for n in range(150))} from t group by cube (id)",
        [(150,), (300,), (450,), (900,)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CUT)
def test_no_step_of_compiling_is_long(
    filled: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is of more characters than Python compiles in a few dozen milliseconds."""
    sizes: list[int] = []
    kept = source.code_of
    monkeypatch.setattr(source, "code_of", lambda code: sizes.append(len(code)) or kept(code))
    text, expected = CUT[name]
    assert filled.run(text) == expected
    assert max(sizes) < 100_000


@pytest.mark.parametrize("name", [*WIDE, *DEEP])
def test_functions_that_are_compiled_alone_mean_the_same(
    filled: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_UNIT_CHARACTERS", 0)
    text, expected = (WIDE | DEEP)[name]
    assert sorted(filled.run(text), key=repr) == sorted(expected, key=repr)


@pytest.mark.parametrize(
    "text",
    [
        "select " + nested("(select ", "1", ")", 20_000),
        "select " + nested("case when true then ", "1", " end", 20_000),
        "select " + "- " * 20_000 + "1",
    ],
    ids=["sub-selects", "case", "minus"],
)
def test_what_is_deeper_is_an_error(db: Any, text: str) -> None:
    with pytest.raises(SqlError, match="stack depth limit exceeded") as caught:
        db.run(text)
    assert caught.value.sqlstate == "54001"
    assert "max_stack_depth" in (caught.value.hint or "")


def test_an_endless_recursion_stops_with_its_reader(db: Any) -> None:
    text = (
        "with recursive t(n) as (values (1) union all select n + 1 from t) select * from t limit 3"
    )
    assert db.run(text) == [(1,), (2,), (3,)]


def test_a_cte_inside_a_recursion_is_run_anew_in_each_round(db: Any) -> None:
    text = (
        "with recursive t(n) as (select 1 union "
        "(with w as materialized (select n + 1 as n from t where n < 3) select * from w)) select * from t"
    )
    assert db.run(text) == [(1,), (2,), (3,)]


def test_a_cte_of_a_lateral_query_is_run_anew_for_each_row(filled: Any) -> None:
    text = (
        "select * from (with w as materialized (select 1) select t.id, z.n from t, lateral "
        "(with v as materialized (select t.id * 2 as n) select n from v, w) z) q order by 1"
    )
    assert filled.run(text) == [(1, 2), (2, 4), (3, 6)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "select t.id, k.x from t left join lateral "
            "(select * from heap where t.id = heap.x offset 0) k on true order by 1",
            [(1, 1), (2, 2), (3, None)],
        ),
        (
            "select t.id, k.id from t left join lateral "
            "(select t2.id from t t2 left join heap on heap.x = t.id where t2.id = heap.x) k on true",
            [(1, 1), (2, 2), (3, None)],
        ),
        (
            "select id, (select count(*) from heap h full join heap i on h.x = i.x and h.x = t.id) from t",
            [(1, 5), (2, 5), (3, 6)],
        ),
        (
            "select id from t where exists "
            "(select from (select * from heap where heap.x = t.id limit 1) h where h.y > 'a')",
            [(2,)],
        ),
        (
            "select id from t where exists (select from heap h left join heap i on i.x = t.id and h.x = 1 "
            "where i.y = 'b')",
            [(2,)],
        ),
    ],
)
def test_outer_columns_may_be_anywhere_in_a_join(filled: Any, text: str, expected: Any) -> None:
    assert filled.run(text) == expected


def test_nested_sub_selects_are_planned_once_each(filled: Any) -> None:
    inner = "select 1 from t t2 where t2.id = t.id and "
    text = "select id from t where " + nested(f"exists ({inner}", "t.id > 1", ")", 60)
    assert filled.run(text) == [(2,), (3,)]


@pytest.mark.parametrize("materialized", ["", "not materialized"])
def test_ctes_that_use_each_other_twice_are_not_planned_for_ever(
    db: Any, materialized: str
) -> None:
    links = [
        f"c{n} as {materialized} (select a.n + b.n as n from c{n - 1} a, c{n - 1} b)"
        for n in range(1, 40)
    ]
    text = f"with c0 as (select 1 as n), {', '.join(links[:20])} select n from c20"
    assert db.run(text) == [(2**20,)]
    assert db.prepare(f"with c0 as (select 1 as n), {', '.join(links)} select n from c39")


def test_a_volatile_cte_is_run_once(db: Any) -> None:
    text = "with r as not materialized (select random() as x) select a.x = b.x from r a, r b"
    assert db.run(text) == [(True,)]


def test_a_recursive_query_may_have_queries_of_its_own(db: Any) -> None:
    text = (
        "with recursive x(n) as (with y(m) as (select 7) select m from y "
        "union all select n + m from x, y where n < 20) select * from x"
    )
    assert db.run(text) == [(7,), (14,), (21,)]


@pytest.mark.parametrize(
    ("text", "sqlstate", "message"),
    [
        ("select rank() over (order by 1) from t group by 1", "42P20", "window functions are not"),
        (
            "select count(*) + 1 as total from t group by total",
            "42803",
            "aggregate functions are not",
        ),
        (
            "select * from coalesce(row(1)) as (a int, b int)",
            "42804",
            "function return row and query",
        ),
        ("select now() union select '12:00'::time", "42846", "UNION could not convert type time"),
        (
            f"select {', '.join(['1'] * 1_665)}",
            "54011",
            "target lists can have at most 1664 entries",
        ),
    ],
)
def test_what_postgresql_refuses_is_refused(
    filled: Any, text: str, sqlstate: str, message: str
) -> None:
    with pytest.raises(SqlError, match=message) as caught:
        filled.run(text)
    assert caught.value.sqlstate == sqlstate


def test_joins_of_all_kinds_are_planned_once_each(filled: Any) -> None:
    kinds = ("join", "left join", "full join")
    text = chain(
        "select count(*) from t t0 ",
        60,
        lambda n: f"{kinds[n % 3]} t t{n} on t{n}.id = t{n - 1}.id",
    )
    assert filled.run(text) == [(3,)]


def test_an_operand_that_is_read_twice_is_moved_once(filled: Any) -> None:
    filled.count("insert into u (id, t_id) values (1, 5)")
    text = (
        "insert into u (id, t_id) values (1, 9) on conflict (id) do update "
        "set (t_id, flag) = (select 7, excluded.t_id between 1 and u.t_id) returning t_id, flag"
    )
    assert filled.run(text) == [(7, False)]


def items(count: int) -> str:
    return ", ".join(f"id + {number}" for number in range(count))


@pytest.mark.parametrize(
    ("text", "sqlstate", "message"),
    [
        (
            f"select concat({items(101)}) from t",
            "54023",
            "cannot pass more than 100 arguments to a function",
        ),
        (
            f"select row({items(1_665)}) from t",
            "54011",
            "ROW expressions can have at most 1664 entries",
        ),
        *(
            (text, "54011", "target lists can have at most 1664 entries")
            for text in (
                f"select count(*) from t group by {items(1_665)}",
                f"select id from t order by {items(1_665)}",
                f"select distinct on ({items(1_665)}) id from t",
            )
        ),
    ],
)
def test_what_is_too_wide_is_refused(filled: Any, text: str, sqlstate: str, message: str) -> None:
    with pytest.raises(SqlError) as raised:
        filled.run(text)
    assert (raised.value.sqlstate, raised.value.message) == (sqlstate, message)


@pytest.mark.parametrize(
    "text",
    [
        "select * from t where id = null::int",
        "select * from (select * from t where id = null::int limit 1) s",
        "select id from t where id = null::int union all select id from t where id = null::int",
        "select id from t where id = null::int except select id from t",
        "with w as materialized (select id from t where id = null::int) select * from w",
    ],
)
def test_what_can_have_no_row_has_none(filled: Any, text: str) -> None:
    assert filled.run(text) == []


@pytest.mark.parametrize("depth", range(7, 11))
def test_an_outer_join_is_answered_in_sub_selects_of_any_depth(db: Any, depth: int) -> None:
    query = (
        "select count(z.v) from (values (1), (2)) x(v) "
        "left join (select v from (values (1), (3)) y(v) offset 0) z on z.v > x.v + p1.v"
    )
    for level in range(1, depth):
        outer = f"p{level + 1}.v" if level + 1 < depth else "0"
        query = (
            f"select (select max(c) from ({query}) i(c) where c > p{level}.v - 9) "
            f"from (values (1), (2)) p{level}(v) where p{level}.v > {outer} - 5 limit 1"
        )
    assert db.run(query) == [(1,)]
