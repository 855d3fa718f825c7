"""Lists of expressions that are alike mean what they mean one by one, and cost one of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from memory_server import Peer, Server, errors, rows

from dsql.executor import branches, expressions, source
from dsql.wire import client

COUNT = 40


def listed(item: str, separator: str = ", ", count: int = COUNT) -> str:
    return separator.join(item.format(number, number % 3) for number in range(count))


def mixed(items: list[str], separator: str = ", ", count: int = 200) -> str:
    """Return items of several kinds, next to one another."""
    chosen = [items[(number * 3 + number // 5) % len(items)] for number in range(count)]
    return separator.join(item.format(number) for number, item in enumerate(chosen))


KINDS = ["a = {0} + b + 1", "b * 2 = {0} + 1000", "nullif(a, {0}) > 100 + {0}"]
BRANCHES = [
    "WHEN a = {0} THEN {0}",
    "WHEN b > {0} + 50 THEN b",
    "WHEN a IS NULL THEN nullif(b, {0})",
]
ELEMENTS = ["a + {0}", "nullif(b, {0} % 5)", "b * {0}", "NULL"]

EXPRESSIONS = {
    "or": listed("a = {0} + b", " OR "),
    "or of null": listed("a = {0} + nullif(b, 2)", " OR "),
    "and": listed("a <> {0} + b", " AND "),
    "and of null": listed("a <> {0} + 100 + nullif(b, 2)", " AND "),
    "not": f"NOT ({listed('a = {0} + b', ' OR ')})",
    "where": f"(SELECT count(*) FROM t WHERE {listed('a = {0} + b', ' OR ')})",
    "of several": listed("(a = {0} AND b = {1})", " OR "),
    "some of another shape": listed("a = {0}", " OR ")
    + " OR b > 7 OR "
    + listed("b = {0}", " OR "),
    "in": f"a IN ({listed('b + {0}')})",
    "not in": f"a NOT IN ({listed('b + {0}')})",
    "rows in": f"(a, b) IN ({listed('({0}, b)')})",
    "rows compared": listed("(a, b) > ({0}, {1})", " AND "),
    "without constants": listed("a = b", " OR "),
    "coalesce": f"coalesce({listed('nullif(a, a + {1} * 0)')}, {listed('nullif(b, {0})')})",
    "case": f"CASE {listed('WHEN a = {0} THEN b + {0}', ' ')} END",
    "case of nulls": f"CASE {listed('WHEN a = {0} THEN nullif(b, {0})', ' ')} ELSE -1 END",
    "simple case": f"CASE a {listed('WHEN {0} THEN {1}', ' ')} ELSE b END",
    "array": f"ARRAY[{listed('a + {0}')}, NULL, {listed('b * {0}')}]",
    "array of texts": f"ARRAY[{listed('c || {0}')}]",
    "greatest": f"greatest({listed('a + {0}')})",
    "least": f"least({listed('nullif(a, {0})')})",
    "subqueries": listed("a = (SELECT b + {0})", " OR "),
    "kinds in turns": mixed(KINDS, " OR "),
    "kinds in turns, and": mixed(KINDS, " AND "),
    "kinds of cases": f"CASE {mixed(BRANCHES, ' ')} END",
    "kinds of elements": f"ARRAY[{mixed(ELEMENTS)}]",
    "kinds of first values": f"coalesce({mixed(['nullif(a, a + {0} * 0)', 'nullif(b, b)'])}, 5)",
    "a kind of one": f"a IN ({mixed(ELEMENTS)}, (SELECT b), b % 7, {listed('b + {0}')})",
    "where, of kinds": f"(SELECT count(*) FROM t WHERE {mixed(KINDS, ' OR ')})",
    "lists in lists": listed(f"a IN ({listed('b + {{0}}')})", " OR ").replace("{0}", "1"),
}


@pytest.fixture
def peer() -> Iterator[Peer]:
    server = Server("postgres")
    peer = server.connect()
    peer.query("CREATE TABLE t (id int PRIMARY KEY, a int, b int, c text)")
    peer.query(
        "INSERT INTO t VALUES (1, 1, 1, 'x'), (2, 2, 2, 'y'), (3, NULL, 3, NULL), (4, 44, 4, '')"
    )
    yield peer
    server.stop()


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_a_run_means_what_its_members_mean(
    peer: Peer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = f"SELECT id, {EXPRESSIONS[name]} FROM t ORDER BY id LIMIT "
    together = peer.query(query + "8")
    assert not errors(together), errors(together)
    for room in (expressions, branches):
        monkeypatch.setattr(room, "RUN_MIN", sys.maxsize)
    one_by_one = peer.query(query + "9 - 1")
    assert rows(together) == rows(one_by_one)


@pytest.mark.parametrize(
    ("text", "item", "separator"),
    [
        ("{}", "a = {0}::int + b", " OR "),
        ("{}", "a + 1 <> {0}::int", " AND "),
        ("a IN ({})", "b + {0}::int", ", "),
        ("coalesce({})", "nullif({0}::int, 1)", ", "),
        ("CASE {} END", "WHEN a = {0}::int THEN {0}::int + 1", " "),
        ("ARRAY[{}]", "{0}::int", ", "),
    ],
)
def test_a_run_of_parameters_means_the_same_as_one_of_constants(
    peer: Peer, text: str, item: str, separator: str
) -> None:
    values = [str(number) if number % 5 else None for number in range(COUNT)]
    query = f"SELECT id, {text} FROM t ORDER BY id"
    constants = separator.join(item.format(value or "NULL") for value in values)
    parameters = separator.join(item.format(f"${number}") for number in range(1, COUNT + 1))
    answers = peer.ask(
        client.parse(query.format(parameters)),
        client.bind([value and value.encode() for value in values]),
        client.execute(),
        client.sync(),
    )
    assert not errors(answers), errors(answers)
    assert rows(answers) == peer.rows(query.format(constants))


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("a IN ({}, b - 1, b * 2)", "b + {0}, b * {0}"),
        ("a IN ({})", "b + {0}"),
        ("(a, b) IN ({})", "({0}, b)"),
        ("coalesce({})", "b + {0}"),
        ("ARRAY[{}]", "b + {0}"),
        ("greatest({})", "b + {0}"),
        ("CASE {} END", "WHEN a = {0} THEN b"),
    ],
)
@pytest.mark.parametrize("counts", [(100, 350), (2_000, 6_000)])  # those were taken out before
def test_the_source_of_a_run_does_not_grow(
    peer: Peer, text: str, item: str, counts: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    kept = source.code_of
    monkeypatch.setattr(source, "code_of", lambda code: sizes.append(len(code)) or kept(code))
    for count in counts:
        separator = " " if "CASE" in text else ", "
        items = listed(item, separator, count=count)
        assert not errors(peer.query(f"SELECT {text.format(items)} FROM t"))
    first, second = sizes[-2:]
    assert abs(second - first) < 100
