"""A query gives the same rows by whatever index it is answered."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from memory_database import BOOL, INT4, TEXT, Database, columns, index

from dsql.catalog.schema import Index, IndexColumn, Table

FIRST_CHUNK = 16  # entries that a scan asks for at first
COLUMNS = columns(("id", INT4, "not null"), ("a", INT4), ("b", TEXT), ("on_", BOOL))
INDEXED = Table(
    20100, "public", "indexed", 10, COLUMNS,
    (
        index(20101, "indexed_pkey", 1, unique=True, primary=True),
        index(20102, "by_a", 2),
        Index(20103, "by_lower", (IndexColumn(0, "lower(b)", TEXT), IndexColumn(2))),
        Index(20104, "by_sum", (IndexColumn(0, "(a + 1)", INT4, descending=True, nulls_first=True),)),
        index(20105, "while_on", 2, 3, predicate="on_"),
        index(20106, "with_a", 3, predicate="a IS NOT NULL"),
        index(20107, "five", 1, predicate="a = 5"),
    ),
)  # fmt: skip
PLAIN = Table(
    20200, "public", "plain", 10, COLUMNS,
    (index(20201, "plain_pkey", 1, unique=True, primary=True),),
)  # fmt: skip
CONDITIONS = [
    "a = {n}", "a > {n}", "a <= {n}", "a in ({n}, {m}, null)", "lower(b) = '{s}'",
    "lower(b) in ('{s}', 'x')", "lower(b) >= '{s}' and a = {n}", "a + 1 = {n}", "a + 1 > {n}",
    "on_", "on_ and a = {n}", "not on_", "on_ and a between {n} and {m}", "b = '{s}' and a > {n}",
    "b = '{s}' and a is not null", "a = 5", "a = 5 and id > {n}", "on_ is not true", "a is null",
    "b = '{s}' and a = any (array[{n}, {m}])", "1 + a = {n}", "id = {n} and on_",
    "a = {n} or a = {m}", "a = {n} or a = {m} or a = null", "a = {n} and b = '{s}' or a = {m} and on_",
    "lower(b) = '{s}' or lower(b) = 'x'", "(a, b) in (({n}, '{s}'), ({m}, 'x'))", "a = {n} or id = {m}",
    "on_ and (a = {n} or a = {m})", "a = {n} or a > {m}", "not (a = {n} or a = {m})",
]  # fmt: skip
ORDERS = [
    "id", "a, id", "a desc, id desc", "a nulls first, id", "a desc nulls last, id desc",
    "lower(b), a, id", "lower(b) desc, a desc, id",
    "a + 1 desc, id", "a + 1, id", "b, id", "a, b, id",
]  # fmt: skip


@dataclass
class Pair:
    database: Database

    def both(self, text: str) -> tuple[list[object], list[object]]:
        return self.database.run(text.format(t="indexed")), self.database.run(
            text.format(t="plain")
        )


def _pair(seed: int) -> Pair:
    choose = random.Random(seed)
    database = Database([INDEXED, PLAIN])
    for number in range(60):
        a = choose.choice([None, *range(8)])
        b = choose.choice([None, "x", "X", "y", "Yz", ""])
        on = choose.choice([None, True, False])
        for table in ("indexed", "plain"):
            database.count(f"insert into {table} values ($1, $2, $3, $4)", number, a, b, on)
    return Pair(database)


@pytest.mark.parametrize("seed", range(4))
def test_indexes_change_no_answer(seed: int) -> None:
    choose = random.Random(seed)
    pair = _pair(seed)
    for _ in range(60):
        condition = choose.choice(CONDITIONS).format(
            n=choose.randrange(-1, 9), m=choose.randrange(9), s=choose.choice(["x", "y", "yz", ""])
        )
        order = choose.choice(ORDERS)
        limit = choose.choice(["", "limit 5", "limit 2 offset 3"])
        text = f"select id, a, b, on_ from {{t}} where {condition} order by {order} {limit}"
        indexed, plain = pair.both(text)
        assert indexed == plain, text
        some = f"from {{t}} where {condition}"
        counted = f"select count(*), exists (select {some}) {some}"
        indexed, plain = pair.both(counted)
        assert indexed == plain, counted
        extremes = f"select min(a), max(id), max(a), min(id), max(a) - min(a) {some}"
        indexed, plain = pair.both(extremes)
        assert indexed == plain, extremes
        found = f"(select * from {{t}} where {condition})"
        joined = f"select x.id, y.id from {{t}} x left join {found} y on y.a = x.id order by 1, 2"
        indexed, plain = pair.both(joined)
        assert indexed == plain, joined


@pytest.mark.parametrize(
    "change", ["a = a + 1 where on_ and a = 3", "on_ = not on_ where lower(b) = 'x'"]
)
def test_indexes_are_kept_where_they_find_what_changes(change: str) -> None:
    pair = _pair(9)
    for table in ("indexed", "plain"):
        pair.database.count(f"update {table} set {change}")
        pair.database.count(f"delete from {table} where a + 1 = 3")
    for condition in (
        "on_ and a = 4",
        "lower(b) = 'x'",
        "a = 5",
        "b = 'x' and a is not null",
        "true",
    ):
        indexed, plain = pair.both(f"select * from {{t}} where {condition} order by id")
        assert indexed == plain


@pytest.mark.parametrize(
    ("text", "scans"),
    [
        ("select min(a), max(a) from indexed", 2),
        ("select max(a), min(id), max(id) from indexed where id >= 0", 3),
        ("select a from indexed where a >= 0 order by a nulls first, id limit 2", 1),
        ("select a from indexed where a is not null order by a desc, id desc limit 2", 1),
        ("select max(a) from indexed where a < 7", 1),
    ],
)
def test_an_end_of_an_index_is_read_without_its_nulls(
    text: str, scans: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, found = _pair(2).database, 0
    for number in range(100, 200):
        database.count("insert into indexed values ($1, null)", number)
    scan = database.transaction.scan

    def counted(low: bytes, high: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        nonlocal found
        for entry in scan(low, high, reverse=reverse):
            found += 1
            yield entry

    monkeypatch.setattr(database.transaction, "scan", counted)
    assert None not in database.run(text)[0]
    assert found <= scans * FIRST_CHUNK
