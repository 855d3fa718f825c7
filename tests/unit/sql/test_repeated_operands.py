"""Operands that are compared several times are copies, whose number is bounded."""

from __future__ import annotations

import pytest
from memory_database import Database, tables

from dsql.errors import SqlError

DOUBLING = {
    "between": "({} between 1 and 2)::int",
    "symmetric": "(1 between symmetric {} and 2)::int",
    "case": "case {} when 1 then 2 when 3 then 4 else 5 end",
    "in columns": "({} in (a, id))::int",
}


def nested(form: str, depth: int) -> str:
    expression = "a"
    for _ in range(depth):
        expression = form.format(expression)
    return f"select {expression} from t"


@pytest.mark.parametrize("name", DOUBLING)
def test_what_would_be_a_power_of_two_is_refused(name: str) -> None:
    with pytest.raises(SqlError) as caught:
        Database(tables()).prepare(nested(DOUBLING[name], 40))
    assert caught.value.sqlstate == "54001"


@pytest.mark.parametrize("name", DOUBLING)
def test_a_few_levels_are_answered(name: str) -> None:
    assert Database(tables()).run(nested(DOUBLING[name], 4)) == []


def test_a_plain_operand_is_compared_as_often_as_the_text_says() -> None:
    branches = " ".join(f"when {number} then {number}" for number in range(50_000))
    assert Database(tables()).prepare(f"select case a {branches} end from t")
