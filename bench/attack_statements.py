"""The statements that `attacks.py` sends: each wants more memory, time or depth than it should get."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attack:
    """`text` is sent as one simple query, or with the numbers from 0 on as so many `parameters`.

    `endless`: it is cancelled, because it need not end by itself.
    """

    name: str
    text: str
    endless: bool = False
    parameters: int = 0


def _series(count: int, alias: str = "a") -> str:
    return f"generate_series(1, {count}) {alias}"


def _list(item: str, count: int, separator: str = ", ") -> str:
    return separator.join(item.format(n=n) for n in range(count))


def _mixed(items: tuple[str, ...], count: int, separator: str = ", ") -> str:
    """Return items of several kinds, next to one another."""
    chosen = (items[(n * 7 + n // 10) % len(items)] for n in range(count))
    return separator.join(item.format(n=n + 1) for n, item in enumerate(chosen))


def _unlike(count: int) -> str:
    """Return items of so many kinds."""
    parts = ("a", "abs(a)", "1", "a * a", "-a")
    places = range(7)
    return ", ".join(" + ".join(parts[n // 5**place % 5] for place in places) for n in range(count))


_VALUES = (
    Attack(
        "string_agg of 10 TB", f"select string_agg(repeat('x', 1000000), '') from {_series(10**7)}"
    ),
    Attack(
        "array of 100 GB", f"select array(select repeat('x', 1000000) || a from {_series(10**5)})"
    ),
    Attack(
        "array_agg distinct",
        f"select array_agg(distinct repeat('x', 100000) || a) from {_series(10**5)}",
    ),
    Attack("|| to 660 MB", "select " + _list("repeat('x', 60000000)", 11, " || ")),
    Attack("replace to 100 GB", "select replace(repeat('x', 10000000), 'x', repeat('y', 10000))"),
    Attack("array_fill of 10^9", "select array_fill(1, array[1000000000])"),
    Attack("string_to_array of 50 MB", "select string_to_array(repeat('x,', 25000000), ',')"),
    Attack(
        "jsonb_build_array", "select jsonb_build_array(" + _list("repeat('x', 50000000)", 40) + ")"
    ),
)

_RECURSION = """
with recursive t(n, v) as (
    values (1, repeat('x', 10000))
    union all select n + 1, v || 'x' from t
) select count(*) from t"""
_CROSS = f"{_series(10**5)}, {_series(10**5, 'b')}, {_series(10**5, 'c')}"

_ROWS = (
    Attack("recursion without end", _RECURSION, endless=True),
    Attack(
        "explain analyze of 10^9 rows",
        f"explain analyze select md5(a::text) from {_series(10**9)}",
        endless=True,
    ),
    Attack("cross join of 10^15 rows", f"select count(*) from {_CROSS}", endless=True),
    Attack(
        "sort of 10^6 rows", f"select a from {_series(10**6)} order by md5(a::text) offset 999999"
    ),
    Attack(
        "sort of 10 GB",
        f"select repeat(md5(a::text), 30) v from {_series(10**7)} order by v offset 9999999",
        endless=True,
    ),
    Attack(
        "distinct of 10^7 rows",
        f"select count(*) from (select distinct md5(a::text) from {_series(10**7)}) t",
        endless=True,
    ),
    Attack(
        "full join of 10^6 and 10^6 rows",
        f"select count(*) from {_series(10**6)} full join {_series(10**6, 'b')} on a = b",
    ),
    Attack(
        "except of 10^6 and 10^6 rows",
        f"select count(*) from (select a from {_series(10**6)} except select a * 2"
        f" from {_series(10**6)}) t",
    ),
    Attack(
        "CTE of 10^6 rows, read twice",
        f"with c as materialized (select a, md5(a::text) m from {_series(10**6)})"
        " select (select count(*) from c), (select max(m) from c)",
    ),
    Attack(
        "recursion of 10^6 distinct rows",
        "with recursive r(n) as (select 1 union select n + 1 from r where n < 1000000)"
        " select max(n) from r",
    ),
    Attack(
        "NOT IN of 10^6 rows",
        f"select count(*) from {_series(10**6)} where a not in (select b * 2 from {_series(10**6, 'b')})",
    ),
    Attack(
        "count(distinct) of 10^6 texts",
        f"select count(distinct md5(a::text)) from {_series(10**6)}",
    ),
    Attack(
        "UNION of 10^6 and 10^6 texts",
        f"select count(*) from (select md5(a::text) from {_series(10**6)} union"
        f" select md5((a * 2)::text) from {_series(10**6)}) t",
    ),
    Attack(
        "array_agg of 10^6 groups",
        f"select count(v) from (select array_agg(md5(a::text)) v from {_series(10**6)} group by a) t",
    ),
    Attack(
        "array_agg of 10^5 groups of ten texts",
        f"select count(v) from (select array_agg(md5(a::text)) v from {_series(10**6)}"
        " group by a % 100000) t",
    ),
    Attack(
        "string_agg and jsonb_agg of 1,000 groups of 1,000 texts",
        "select count(v), count(w) from (select string_agg(md5(a::text), ',') v,"
        f" jsonb_agg(md5(a::text)) w from {_series(10**6)} group by a % 1000) t",
    ),
    Attack(
        "array_agg of 1,000 groups of 100 texts of 100 KB",
        f"select count(v) from (select array_agg(repeat('x', 100000) || a) v from {_series(10**5)}"
        " group by a % 1000) t",
    ),
    Attack(
        "percentile of 10^6 texts",
        f"select percentile_disc(0.5) within group (order by md5(a::text)) from {_series(10**6)}",
    ),
    Attack(
        "CUBE of 10^6 groups",
        f"select count(*) from (select a, a % 9 from {_series(10**6)} group by cube (1, 2)) t",
    ),
    Attack(
        "rank over 10^6 rows",
        f"select max(r) from (select rank() over (order by a % 1000) r from {_series(10**6)}) t",
    ),
    Attack("sleep", "select pg_sleep(3600)", endless=True),
)

_CALLS = (
    Attack("LIKE", "select repeat('ab', 500) like '%a%a%a%c'"),
    Attack(
        "ILIKE", "select repeat('lorem ipsum dolor sit amet ', 40) ilike '%lorem%dolor%amet%x%y'"
    ),
    Attack("(a+)+$", "select (repeat('a', 50) || '!') ~ '^(a+)+$'"),
    Attack("(a|aa)+$", "select regexp_replace(repeat('a', 30000) || 'b', '(a|aa)+$', 'x')"),
    Attack("back-reference", r"select repeat('ab', 20000) ~ '(a.*b)\1(c)'", endless=True),
    Attack("exp(100000)", "select length(exp(100000::numeric)::text)"),
    Attack("sqrt of 130,000 digits", "select length(sqrt(10::numeric ^ 130000)::text)"),
)

_TWELVE = "a, b, c, d, e, f, g, h, i, j, k, l"
_DOUBLING = ", ".join(f"c{n} as (select x.a from c{n - 1} x, c{n - 1} y)" for n in range(1, 31))

_ONE = "(values (0)) t(a)"
_ROW = "({n} + 1, 'x' || {n})"
_KINDS = (
    "a + {n}",
    "a * {n}",
    "abs(a - {n})",
    "{n} - a",
    "a % {n}",
    "-(a + {n})",
    "nullif(a, {n})",
)
_CONDITIONS = tuple(f"{kind} = {{n}} + 1" for kind in _KINDS)

_FEW_EACH = tuple(f"{one} + {{n}}" for one in _unlike(2_500).split(", "))
_INTERVAL = "(interval '{n} days')"
_DATES = ", ".join(f"'2024-01-{number % 28 + 1:02}'" for number in range(99_999))
_JOINS = _list("left join (values (1)) t{n}(a{n}) on a{n} = a", 400, " ")

_DEEP = (
    Attack("20,000 parentheses", f"select {'(' * 20_000}1{')' * 20_000}"),
    Attack("5,000 times NOT", f"select {'not ' * 5_000}true"),
    Attack(
        "100 tables", f"select count(*) from {_list('(values (1)) t{n}(a)', 100, ' cross join ')}"
    ),
    Attack(
        "400 outer joins",
        f"select count(*) from (values (1)) t(a) {_JOINS}",
    ),
    Attack("1,000 times UNION ALL", _list("select 1", 1_000, " union all ")),
)

# What is long rather than hard.
WIDE = (
    Attack("IN list of 500,000", f"select 1 where 5 in ({_list('{n}', 500_000)})"),
    Attack("VALUES of 300,000 rows", f"select count(*) from (values {_list('({n})', 300_000)}) t"),
    Attack("100,000 statements", "select 1;" * 100_000),
    Attack(
        "CUBE of 12 columns",
        f"select count(*) from (values ({_list('{n}', 12)})) t({_TWELVE}) group by cube({_TWELVE})",
    ),
    Attack("30 doubling CTEs", f"with c0 as (select 1 a), {_DOUBLING} select count(*) from c30"),
    Attack("50,000 columns", f"select {_list('1', 50_000)}"),
    Attack(
        "100,000 terms of OR",
        f"select count(*) from {_ONE} where {_list('a = {n}', 100_000, ' or ')}",
    ),
    Attack(
        "IN list of 100,000 expressions",
        f"select count(*) from {_ONE} where a in ({_list('a + 1 + {n}', 100_000)})",
    ),
    Attack(
        "CASE of 50,000 branches",
        f"select case {_list('when a = 1 + {n} then {n}', 50_000, ' ')} end from {_ONE}",
    ),
    Attack(
        "IN list of 100,000 expressions of several kinds",
        f"select count(*) from {_ONE} where a in ({_mixed(_KINDS, 100_000)})",
    ),
    Attack(
        "50,000 terms of AND of several kinds",
        f"select count(*) from {_ONE} where not ({_mixed(_CONDITIONS, 50_000, ' and ')})",
    ),
    Attack(
        "CASE of 50,000 branches of several kinds",
        f"select case {_mixed(tuple(f'when {one} then {{n}}' for one in _CONDITIONS), 50_000, ' ')}"
        f" end from {_ONE}",
    ),
    Attack(
        "IN list of 30,000 expressions that are not alike",
        f"select count(*) from {_ONE} where a in ({_unlike(30_000)})",
    ),
    Attack(
        "IN list of 30,000 expressions of 2,500 kinds",
        f"select count(*) from {_ONE} where a in ({_mixed(_FEW_EACH, 30_000)})",
    ),
    Attack(
        "EXPLAIN of 50,000 terms of OR",
        f"explain select count(*) from {_ONE} where {_list('a = {n}', 50_000, ' or ')}",
    ),
    Attack(
        "10,000 scalar sub-selects",
        f"select count(*) from {_ONE} where a in ({_list('(select {n})', 10_000)})",
    ),
    Attack(
        "100,000 intervals",
        f"select count(*) from (values {_list(_INTERVAL, 100_000)}) t",
    ),
    Attack(
        "100,000 dates, the last of them bad",
        f"select count(*) from (values (date '2024-01-01')) t(a) where a in ({_DATES}, 'bad')",
    ),
    Attack(
        "100,000 rows of expressions",
        f"select count(b) from (values {_list(_ROW, 100_000)}) t(a, b)",
    ),
    Attack(
        "100,000 arguments",
        f"select concat({_list('a + {n}', 100_000)}) from {_ONE}",
    ),
    Attack(
        "65,535 parameters of IN",
        f"select 1 where 5 in ({', '.join(f'${n}' for n in range(1, 65_536))})",
        parameters=65_535,
    ),
    Attack(
        "1,600 windows",
        f"select {_list('sum(a + {n}) over (partition by a order by a)', 1_600)} from {_ONE}",
    ),
    Attack(
        "300 windows of different orders",
        f"select {_list('sum(a) over (order by a + {n})', 300)} from {_ONE}",
    ),
    Attack(
        "1,600 ordered aggregates of groups",
        f"select {_list('array_agg(a order by a + {n})', 1_600)} from {_ONE} group by a",
    ),
    Attack(
        "array of 1,000,000 as a text",
        f"select cardinality('{{{_list('{n}', 1_000_000, ',')}}}'::int[])",
    ),
)

ATTACKS = (*_VALUES, *_ROWS, *_CALLS, *_DEEP)
# What takes its time before it runs, or in a few calls.
PREPARATIONS = (*_DEEP, *WIDE, *(one for one in _CALLS if not one.endless))
