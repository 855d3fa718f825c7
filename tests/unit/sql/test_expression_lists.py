"""Long lists of expressions that are alike mean what they mean one by one."""

import sys
from collections.abc import Iterator
from random import Random

import pytest
from memory_server import Peer, Server, rows

from dsql.sql import expression_lists
from dsql.sql.expression_lists import take_out_expressions
from dsql.wire import client

VALUES = (
    "{0}",
    "a + {0}",
    "{0} - a * {0}",
    "- {0}",
    "a - -{0}",
    "-(-{0}.5)",
    "{0} * 3 + length('{0}')",
    "a / ({0} - 7)",
    "{0} / ({0} - 7)",
    "nullif(a, {0})",
    "coalesce(null, a, {0})",
    "(select {0} + a)",
    "(select max(c) + {0} from (values ({0}), (9)) v(c))",
    "a::numeric(6, 2) + {0}.25",
    "'{0}'::int + a",
    "cast('{0}' as numeric(5, 1))",
    "char_length(varchar(2) 'abc' || '{0}')",
    "extract(day from date '2024-01-0{0}')",
    "case when a > {0} then {0} else 5 end",
    "case a when {0} then 1 when 2 then {0} end",
    "array_length(array[{0}, a, {0}], 1)",
    "(array[{0}, a])[2]",
    "(b || 'x, ('')'' or {0}')::text = 'a'",
    "'a' || {0}",
    "a = {0} and b = '{0}'",
    "not a = {0}",
    "a between {0} and 7 + {0}",
    "a is distinct from {0}",
    "b like '%{0}%' escape '!'",
    "b is null",
    "true",
    "null",
    "'{0}'",
    "'x{0}'",
    "a + '{0}'",
    "a + 'x{0}'",
    "nosuch + {0}",
    '"a" + {0}',
    '"A{0}"',
    "a = any('{{{0}, 5}}')",
    "sum(a) + {0}",
    "count(*) over () + {0}",
    "generate_series(1, {0})",
    "'pg_class'::regclass::oid::int + {0}",
    "now() > date '2020-01-0{0}'",
    "interval '{0} day' > interval '1' hour",
    "1e{0}",
    "{0}000000000",
    "a + {0}00000000000",
    "a + - {0}.5e2 /* x */",
    "b = 'e' || e'{0}'",
    "$1 + {0}",
    "a {0}",
    ")",
)
CONDITIONS = (
    *(value for value in VALUES if " = " in value or " is " in value),
    "a = {0}",
    "{0} + 1 < a",
    "b = '{0}'",
    "b > 'it''s {0}'",
    "a not between {0} and {0} + 2",
)
ROWS = ("({0}, a)", "(a + {0}, '{0}')", "('x', {0})", "({0})", "(b, default)", "(null, -{0})")
LISTS = (
    ("a in ({})", ", ", VALUES),
    ("a not in ({})", ", ", VALUES),
    ("(a, {}) in ({{}})".format("b"), ", ", ROWS),
    ("array[{}]", ", ", VALUES),
    ("array[{}]::text[]", ", ", VALUES),
    ("coalesce({})", ", ", VALUES),
    ("greatest({})", ", ", VALUES),
    ("least(a, {}, b)", ", ", VALUES),
    ("{}", " or ", CONDITIONS),
    ("{}", " and ", CONDITIONS),
    ("not ({})", " OR ", CONDITIONS),
    ("case {} else 0 end", " ", [f"when {one} then {{0}}" for one in CONDITIONS]),
    ("case a {} end", " ", [f"when {one} then {{0}}" for one in VALUES]),
    ("case when {} then 1 end", " or ", CONDITIONS),
    ("f({})", ", ", VALUES),
    ("row({})", ", ", VALUES),
    ("array(values {})", ", ", ROWS),
    ("(select string_agg(v::text, ',') from (values {}) v)", ", ", ROWS),
)
STATEMENTS = (
    "select {} from t order by a",
    "select {} as x, {} as y from t order by a",
    "select a from t where {} order by a",
    "select sum(a) from t having {}",
    "select a, b from t x join (select 1 as one) y on {} order by 1",
    "select 1; select {} from t order by a; select 2",
    "update t set a = a where {} returning a, b",
    "insert into t (a, b) select a, b from t where {} and false",
    "with c as (select a from t where {}) select {} from t where a in (table c)",
)


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    server = Server("postgres")
    peer = server.connect()
    peer.query("create table t (a int, b varchar(5))")
    peer.query("insert into t values (1, '1'), (3, 'x'), (null, '4'), (7, null)")
    yield peer
    server.stop()


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("TEXT_CHARACTERS_MIN", "_ITEMS_MIN", "_ITEMS_PER_KIND_MIN"):
        monkeypatch.setattr(expression_lists, name, 1)
    monkeypatch.setattr(expression_lists, "_STRETCH_CHARACTERS_MIN", 24)
    return monkeypatch


def made_list(random: Random) -> str:
    form, separator, pool = random.choice(LISTS)
    kinds = random.sample(pool, k=min(len(pool), random.choice((1, 1, 2, 3))))
    items = [random.choice(kinds).format(random.randint(1, 9)) for _ in range(random.randint(3, 9))]
    return form.format(separator.join(items))


def answers(peer: Peer, text: str) -> list[tuple[str, bytes]]:
    """Return what the server says in a transaction that leaves nothing behind."""
    peer.query("begin")
    try:
        return peer.query(text)
    finally:
        peer.query("rollback")


def test_lists_taken_out_are_answered_like_those_left_in(
    peer: Peer, always: pytest.MonkeyPatch
) -> None:
    random, taken = Random(6), 0
    for _ in range(1_200):
        statement = random.choice(STATEMENTS)
        text = statement.format(*(made_list(random) for _ in range(statement.count("{}"))))
        text += " ; select 'a' as \"so that no literal becomes a parameter\""
        taken += len(take_out_expressions(text)[1])
        found = answers(peer, text)
        with pytest.MonkeyPatch.context() as never:
            never.setattr(expression_lists, "TEXT_CHARACTERS_MIN", sys.maxsize)
            expected = answers(peer, text)
        assert found == expected, text
    assert taken > 600


@pytest.mark.parametrize(
    ("statement", "row"),
    [
        ("insert into t values {} returning a, b", "({0} + 1, 'x' || {0})"),
        ("insert into t values {} returning a, b", "(default, '{0}')"),
        ("insert into t values {} returning a, b", "({0}, 'longer than five')"),
        ("insert into t (b) values {} on conflict do nothing returning a, b", "('{0}')"),
        ("insert into t values {} returning a, b", "({0}, a)"),
        ("insert into t values {} returning a, b", "({0}, {0}, {0})"),
        ("select * from (values {}) v(x, y) join t on x = a", "(-{0}, {0} * 2)"),
        ("values {} order by 1, 2 limit 3", "({0} + {0}, date '2024-01-0{0}')"),
        ("values {}", "({0}, $1)"),
    ],
)
def test_rows_taken_out_are_answered_like_those_left_in(
    peer: Peer, always: pytest.MonkeyPatch, statement: str, row: str
) -> None:
    items = ", ".join(row.format(number % 9 + 1) for number in range(12))
    text = statement.format(f"{items}, (2, 'y'), {items}") + "; select 1"
    found = answers(peer, text)
    always.setattr(expression_lists, "TEXT_CHARACTERS_MIN", sys.maxsize)
    assert found == answers(peer, text)


def test_only_kinds_are_left_of_a_long_list(always: pytest.MonkeyPatch) -> None:
    text = (
        "select a in (b, 1 + long, c*2, 3 + long, 5 + long, 0), x or long = 'p' or long = 'q' or z"
    )
    short, (first, second) = take_out_expressions(text)
    assert len(short) == len(text)
    marks = "select a in (b,($1000000000), 0), x or($1000000001)or z"
    assert short.replace(" ", "") == marks.replace(" ", "")
    assert [kind.text for kind in first.kinds] == ["1 + long", "c*2"]
    assert first.order == [0, 1, 0, 0]
    assert [column.literals for column in first.kinds[0].columns] == [["1", "3", "5"]]
    assert not first.kinds[1].columns, "what is the same in all items is no column"
    assert text[second.position :].startswith("long = 'p'")


@pytest.mark.parametrize(
    "text",
    [
        "select a + 1, a + 2, a + 3, a + 4",
        "select f(a + 1, a + 2, a + 3, a + 4)",
        "select 1 order by a + 1, a + 2, a + 3, a + 4",
        "select $$ a in (b + 1, b + 2, b + 3, b + 4) $$",
        "select 1 -- a in (b + 1, b + 2, b + 3, b + 4)",
        "select e'\\'' || c in (b + 1, b + 2, b + 3, b + 4)",
        "select ' a in (b + 1, b + 2, b + 3, b + 4) '",
        'select " a in (b + 1, b + 2, b + 3, b + 4) "',
        "select a in (b + 1, b + 2, b + 3, b + 4",
        "select a in (b + 1, b + 2, b + 3, b + 4]",
        "select $1000000000 in (b + 1, b + 2, b + 3, b + 4)",
    ],
)
def test_nothing_else_is_taken_out(always: pytest.MonkeyPatch, text: str) -> None:
    assert take_out_expressions(text) == (text, [])


def test_stored_texts_keep_their_long_lists(peer: Peer) -> None:
    items = ", ".join(f"q || 'x{number}'" for number in range(2_000))
    quoted = f"b in ({', '.join(map(str, range(2_000)))})"
    peer.query(f"create table quotes (id int, q text, check ('x7' in ({items})))")
    assert peer.fails("insert into quotes values (1, 'y')")[0] == "23514"
    assert peer.rows("insert into quotes values (1, '') returning q") == [[b""]]
    peer.query(f"create table defaults (id int, q text default '{quoted}')")
    assert peer.rows("insert into defaults values (1) returning q") == [[quoted.encode()]]


def test_parameters_between_what_is_alike_keep_their_numbers(peer: Peer) -> None:
    items = ", ".join(f"b || $1 || '{number}'" for number in range(3_000))
    text = f"select a from t where $2 || 'y2999' in ({items}) order by a"
    assert len(take_out_expressions(text)[1]) == 1
    found = peer.ask(client.parse(text), client.bind([b"y", b"x"]), client.execute(), client.sync())
    assert rows(found) == [[b"3"]]


@pytest.mark.parametrize(
    ("form", "separator", "item"),
    [
        ("{}", " or ", "a = {0}"),
        ("{}", " and ", "a * {0} > {0} or b = 'x''{0}'"),
        ("a in ({})", ", ", "a - {0}"),
        ("a = any(array[{}])", ", ", "case when a = {0} then null else a end"),
        ("coalesce({}) = 1", ", ", "nullif(a, {0})"),
        ("greatest({}) = 1", ", ", "position('{0}' in b)"),
        ("case {} end = 1", " ", "when a = {0} then a + {0}"),
    ],
)
def test_explain_shows_every_item_of_a_long_list(
    peer: Peer, monkeypatch: pytest.MonkeyPatch, form: str, separator: str, item: str
) -> None:
    items = separator.join(item.format(number) for number in range(2_000))
    text = f"explain (costs false) select from t where {form.format(items)}"
    (found,) = take_out_expressions(text)[1]
    assert len(found.order) >= 1_998
    shown = rows(peer.query(text))
    monkeypatch.setattr(expression_lists, "TEXT_CHARACTERS_MIN", sys.maxsize)
    assert shown == rows(peer.query(text))
    assert len(shown) == 5


def test_many_kinds_of_a_few_items_each_are_taken_out() -> None:
    kinds = [f"a {'+ b ' * (number % 40)}{'- c ' * (number // 40)}" for number in range(2_000)]
    items = [f"{kinds[number % 2_000]}+ {number}" for number in range(10_000)]
    (found,) = take_out_expressions(f"select a in ({', '.join(items)})")[1]
    assert len(found.kinds) == 2_000
