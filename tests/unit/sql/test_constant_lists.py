"""Long lists of constants mean what short ones mean."""

import re
from random import Random

import pytest
from memory_server import Server

from dsql.sql import constant_lists
from dsql.sql.constant_lists import Kind, take_out

ITEMS = (
    "1, 2, 3",
    "-1, 2147483648, 3",
    "9223372036854775807, 9223372036854775808, 1",
    "1.5, 2.25, -1e3",
    "1, 2.5, 3",
    "'a', 'it''s', ''",
    "'ü, €', '), (', NULL",
    "null, Null, 1",
    "null, null, null",
    "true, False, null",
    "'1', 2, '3'",
    "1, 'x', 3",
    "1, true, 2",
    "1, 2, -(3)",
    "'a', 'b' 'c', 'd'",
    "'a', 'b',\n 'c'\n'd'",
    "1, 2, 3 + 4",
    "1, 2, '3'::int",
    "007, 1_0, 0x1f",
    "1, /* , 5 */ 2, 3 -- , 4\n",
    "1, 2, c",
)
STATEMENTS = (
    "select c, c in ({0}), c not in ({0}) from (values (1), (2), (null)) t(c)",
    "select '1' in ({0})",
    "select array[{0}]",
    "select array[{0}]::numeric(4, 1)[]",
    "select array[{0}]::text[]",
    "select * from (values ({0}), ({0}), ({0})) t",
    "values (1, {0}), (2, {0})",
    "values ({0}), ({0}, 1)",
    "insert into t (n, v, f) values ({0}), ({0}) returning n, v, f",
    "insert into t (v, n) values ({0}), ({0})",
    "insert into t (n) select c from (values ({0}, 1)) x(c)",
    "with x as (values ({0}), ({0})) select count(*) from x",
    "select $$ where 1 in ({0}) $$, 'values ({0})', 1 in ({0})",
    "select '€', 1 /* in ({0}) */ where 1 in ({0})",
    "select array[]::int[], 1 in ({0})",
    "select position('a' in ({0}))",
    "select 1 where (1, 2, 3) in (({0}), ({0}))",
    "select 1; select 2 where 2 in ({0}); values ({0}), ({0}); select nosuch",
    "explain (costs off) select 1 in ({0})",
    "create view w as select 1 in ({0}) as b; select pg_get_viewdef('w'::regclass); drop view w",
)


@pytest.fixture(scope="module")
def peer():
    server = Server("postgres")
    peer = server.connect()
    peer.query("create table t (n numeric(6, 2), v varchar(3), f float8, d int default 7)")
    yield peer
    server.stop()


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_list_taken_out_is_answered_like_one_left_in(peer, monkeypatch, statement):
    for items in ITEMS:
        text = statement.format(items)
        left_in = peer.query(text + "-- the comment keeps literals from becoming parameters")
        monkeypatch.setattr(constant_lists, "LIST_CHARACTERS_MIN", 1)
        assert peer.query(text + "-- so does this") == left_in, text
        monkeypatch.undo()


def test_only_the_first_item_of_a_long_list_is_left(monkeypatch):
    monkeypatch.setattr(constant_lists, "LIST_CHARACTERS_MIN", 4)
    text = "select 1 in (1, 2), array['a', 'b']; values ( 1, 'x'), (2,\n'y')"
    short, lists = take_out(text)
    assert short == "select 1 in (1   ), array['a'     ]; values ( 1, 'x')          "
    assert [text[found.position - 1] for found in lists] == ["1", "'", "1"]
    assert lists[2].columns() == [(Kind.INTEGER, [1, 2]), (Kind.STRING, ["x", "y"])]


@pytest.mark.parametrize("bad", ["x", "1e400000", "99999999999999999999"])
def test_a_bad_constant_of_a_long_list_is_an_error_at_its_place(peer, bad):
    items = ", ".join(["'1'"] * 1_000)
    text = f"select 1 where 5::int4 in ({items}, '{bad}', '2')"
    assert len(items) > constant_lists.LIST_CHARACTERS_MIN
    (fields,) = [body for kind, body in peer.query(text) if kind == "E"]
    assert b"P%d\0" % (text.index(bad)) in fields


def is_list(text: str) -> bool:
    """Read constants, or rows of them, character by character: a slow reference for the patterns."""
    number = r"-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?"
    constant = re.compile(rf"{number}|'([^']|'')*'|null|true|false", re.IGNORECASE)
    tokens, at = "", 0
    while at < len(text):
        found = constant.match(text, at)
        if found is None and text[at] not in "(), ":
            return False
        tokens += "c" if found is not None else text[at].strip()
        at = found.end() if found is not None else at + 1
    row = tokens.split("),(")[0].strip("()")
    rows = [row] * (tokens.count("(") or 1)
    return tokens in (",".join("c" * tokens.count("c")), "(" + "),(".join(rows) + ")") and not (
        row.strip("c,") or ",," in row or row[:1] == "," or row[-1:] == ","
    )


PIECES = (
    "1", "2.5", "-1", "1e5", "1e", "e", "1.", "''", "'a'", "'it''s'", "'", ",", ",", " ,", "(", ")", "),(",
    "null", "nul", "true", "]", "1,", "'a',", "-", "2)", "(1,2)", "(1,'a')", ", (1)", "1e+", "1,)",
    "in (", "values ",
)  # fmt: skip


def test_nothing_else_is_taken_for_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constant_lists, "LIST_CHARACTERS_MIN", 0)
    random = Random(1)
    taken = 0
    for _ in range(20_000):
        start = random.choice(("in (", "array[", "values ", "values ("))
        text = start + "".join(random.choices(PIECES, k=random.randint(2, 10)))
        for found in take_out(text)[1]:
            taken += 1
            before = text[: found.position - 1].rstrip()
            opened = re.search(r"values\s*\($", before) is not None
            assert is_list("(" * opened + found.text), text
    assert taken > 50


def test_a_list_is_found_wherever_a_piece_of_the_text_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constant_lists, "_PIECE_CHARACTERS", 80)
    constants = ", ".join(map(str, range(2_000)))
    for before in range(100):
        _, lists = constant_lists.take_out(f"select {'a' * before} in ({constants})")
        assert [one.text for one in lists] == [constants]
