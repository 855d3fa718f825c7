"""A value that would be too large is refused before it is made."""

from __future__ import annotations

import resource

import pytest
from memory_database import Database, tables

from dsql.errors import SqlError

LONG = "repeat('x', 60000000)"
WIDE = "repeat('é', 15000000)"
MANY = "array_fill(1, array[4000000])"
LONG_TEXTS = "array_fill(repeat('x', 1000000), array[50])"

TOO_LARGE = [
    "repeat('x', 2000000000)",
    "repeat('é', 40000000)",
    f"repeat({LONG}, 10)",
    "lpad('x', 1000000000)",
    "rpad('x', 1000000000, 'é')",
    f"{LONG} || {LONG}",
    f"{LONG} || 'é' || 1",
    f"1 || {LONG} || {LONG}",
    f"concat({LONG}, {LONG})",
    f"concat_ws({LONG}, 'a', 'b', 'c')",
    f"replace({LONG}, 'x', 'yy')",
    "replace(repeat('x', 10000000), 'x', repeat('y', 10000))",
    f"translate({LONG}, 'x', 'é')",
    f"overlay({LONG} placing {LONG} from 1000)",
    f"string_to_array({LONG}, null)",
    "string_to_array(repeat('a,', 4000000), ',')",
    f"normalize({WIDE}, nfkd)",
    f"format('%s%s', {LONG}, {LONG})",
    "format('%1000000000s', 'x')",
    "quote_literal(repeat('''', 40000000))",
    "quote_literal(repeat('\\', 40000000))",
    f"{LONG}::bytea || {LONG}::bytea",
    f"encode({LONG}::bytea, 'hex')",
    f"encode({LONG}::bytea, 'base64')",
    f"encode({LONG}::bytea, 'escape')",
    f"{LONG}::bytea::text",
    "array_fill(0, array[100000, 100000])",
    "array_fill(0, array[-1])",
    f"array_fill({LONG}, array[2])",
    f"{MANY} || {MANY}",
    f"array_append(array_cat({MANY}, array_fill(1, array[194304])), 1)",
    f"array_to_string({LONG_TEXTS} || {LONG_TEXTS}, ',')",
    f"({LONG_TEXTS} || {LONG_TEXTS})::text",
    f"array_to_json({LONG_TEXTS} || {LONG_TEXTS})",
    f"row_to_json(row({LONG}, {LONG}))",
    f"row({LONG}, {LONG})::text",
    f"json_build_array({LONG}, {LONG})",
    f"json_build_object('a', {LONG}, 'b', {LONG})",
    f"jsonb_build_array({LONG}, {LONG})",
    "to_json(repeat(chr(1), 60000000))",
    "('[' || repeat('[],', 10000000) || '[]]')::jsonb",
    "('[' || repeat('1,', 10000000) || '1]')::json",
    f"to_char(now(), {LONG})",
    f"to_char(1, {LONG})",
]


@pytest.fixture(scope="module")
def db() -> Database:
    return Database(tables())


@pytest.mark.parametrize("text", TOO_LARGE)
def test_it_is_refused_before_it_is_made(db: Database, text: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SqlError) as caught:
        db.run(f"select {text}")
    assert caught.value.sqlstate == "54000"
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 420 * 1024, "kilobytes: two arguments of 60 MB, and their parse"


@pytest.mark.parametrize(
    "text",
    [
        f"length({LONG})",
        f"length({WIDE} || 'x')",
        f"cardinality({MANY})",
        f"length(replace({LONG}, 'x', 'y'))",
        "jsonb_array_length(('[' || repeat('1,', 100000) || '1]')::jsonb)",
    ],
)
def test_what_fits_is_made(db: Database, text: str) -> None:
    assert db.run(f"select {text} > 0") == [(True,)]
