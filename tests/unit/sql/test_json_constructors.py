"""SQL/JSON constructors and IS JSON answer as PostgreSQL 16, which has them first, documents it."""

from __future__ import annotations

import pytest

from dsql.sql.binder import bind
from dsql.sql.expression_text import expression_text
from dsql.sql.gate import parse_statement
from dsql.types.type import FormatSettings
from tests.differential.pipeline import StatementContext, ask_ours

JSON, JSONB, TEXT = 114, 3802, 25
K_V = "from (values (1, 1), (1, null), (2, null), (3, 3)) foo(k, v)"


@pytest.mark.parametrize(
    ("expression", "type_oid", "value"),
    [
        ("json_object()", JSON, "{}"),
        ("json_object(returning jsonb)", JSONB, "{}"),
        ("json_object('a': 2 + 3, 'b' value null)", JSON, '{"a" : 5, "b" : null}'),
        ("json_object('a': 1, 'b': null absent on null)", JSON, '{"a" : 1}'),
        ("json_object('a': jsonb '[1]')", JSONB, '{"a": [1]}'),
        ("json_object('a': '[1]' format json returning text)", TEXT, '{"a" : [1]}'),
        ("json_array(1, null, 'x')", JSON, '[1, "x"]'),
        ("json_array(1, null null on null)", JSON, "[1, null]"),
        ("json_array(select i from (values (2), (1), (null)) t(i) order by i)", JSON, "[1, 2]"),
        (f"json_arrayagg(v order by v desc) {K_V}", JSON, "[3, 1]"),
        (f"json_arrayagg(v null on null) {K_V}", JSON, "[1, null, null, 3]"),
        ("json_arrayagg(i) from generate_series(1, 0) i", JSON, None),
        (f"json_objectagg(k: v absent on null) {K_V}", JSON, '{ "1" : 1, "3" : 3 }'),
        (f"json_objectagg(k: v returning jsonb) {K_V}", JSONB, '{"1": null, "2": null, "3": 3}'),
    ],
)
def test_a_constructor_makes_json(expression: str, type_oid: int, value: str | None) -> None:
    answer = ask_ours(f"select {expression}")
    assert (answer.type_oid, answer.values, answer.message) == (type_oid, (value,), "")


@pytest.mark.parametrize(
    ("expression", "sqlstate", "message"),
    [
        ("json_object(null: 1)", "22004", "null value not allowed for object key"),
        ("json_object(1: 1, '1': null with unique)", "22030", 'duplicate JSON key "1"'),
        (
            "json_object(1: 1, 1: 2 with unique keys returning jsonb)",
            "22030",
            "duplicate JSON object key",
        ),
        (
            f"json_objectagg(k: v absent on null with unique) {K_V}",
            "22030",
            'duplicate JSON key "1"',
        ),
        ("json_array(select 1, 2)", "42601", "subquery must return only one column"),
        ("1 is json", "42804", "cannot use type integer in IS JSON predicate"),
    ],
)
def test_what_is_no_json_is_refused(expression: str, sqlstate: str, message: str) -> None:
    answer = ask_ours(f"select {expression}")
    assert (answer.sqlstate, answer.message) == (sqlstate, message)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ('{"a": 1}', {"json", "json object"}),
        ("[1, 2]", {"json", "json array"}),
        (" 1 ", {"json", "json scalar"}),
        ("a", set()),
        ("", set()),
    ],
)
def test_is_json_tells_kinds_apart(text: str, kinds: set[str]) -> None:
    for kind in ("json", "json object", "json array", "json scalar"):
        answer = ask_ours(f"select '{text}' is {kind}, 1")
        assert answer.values == ("t" if kind in kinds else "f",), kind


def test_equal_constructors_are_one_expression() -> None:
    answer = ask_ours("select json_object('a': x)::text from (values (1), (1)) t(x) group by 1")
    assert answer.values == ('{"a" : 1}',)


@pytest.mark.parametrize(
    "text",
    [
        "JSON_OBJECT('a'::text : 1, 'b'::text : 2 ABSENT ON NULL WITH UNIQUE KEYS RETURNING jsonb)",
        "JSON_ARRAY(1, 2 NULL ON NULL RETURNING json)",
        "('1'::text IS JSON OBJECT WITH UNIQUE KEYS)",
    ],
)
def test_a_constructor_is_written_as_it_is_read(text: str) -> None:
    catalog = StatementContext().catalog
    statement = parse_statement(f"select {text}")
    bound = bind(statement, catalog, ("public",), FormatSettings(), (), profile="postgres")
    target = bound.statement.targets[0].expression
    assert expression_text(target) == text
