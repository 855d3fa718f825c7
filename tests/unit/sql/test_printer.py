"""A tree printed parses to what it was built from."""

from __future__ import annotations

from pathlib import Path

import postgast
import pytest

from dsql.sql.gate import parse_expression, parse_statement
from dsql.sql.printer import print_tree
from dsql.sql.tree import TreeBuilder
from dsql.sql.tree_query import statement_tree

HERE = Path(__file__).parent


def corpus() -> list[str]:
    statements = [s.strip() for s in (HERE / "printing.sql").read_text().split(";\n")]
    answered = (HERE / "bindings.txt").read_text().split("\n> ")[1:]
    statements += [block.partition("\n")[0] for block in answered]
    return [statement for statement in statements if statement]


@pytest.mark.parametrize("statement", corpus())
def test_printed_statement_parses_to_the_same_fingerprint(statement: str) -> None:
    printed = print_tree(statement_tree(parse_statement(statement)))
    assert postgast.fingerprint(printed).hex == postgast.fingerprint(statement).hex


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("a+b*c", "a + (b * c)"),
        ("(a+b)*-1", "(a + b) * (-1)"),
        ("not a and b or c", "((NOT a) AND b) OR c"),
        ("x::varchar(5)[]", 'CAST(x AS pg_catalog."varchar"(5)[])'),
        ("'it''s'", "'it''s'"),
        ('"Weird"."select"', '"Weird"."select"'),
        ("now()", "now()"),
        ("a operator(pg_catalog.~) 'x'", "a OPERATOR(pg_catalog.~) 'x'"),
    ],
)
def test_expression_is_printed_with_its_operators_apart(text: str, printed: str) -> None:
    statement, node = parse_expression(text)
    assert print_tree(TreeBuilder(statement).expression(node)) == printed
