"""jsonpath is lazy where it can be, and what it keeps is on the statement's account."""

from __future__ import annotations

import json

import pytest

from dsql.errors import SqlError
from dsql.executor.memory import Bounds, StatementMemory
from dsql.executor.temporary import TemporarySpace, unnamed_file
from dsql.functions.jsonpath.evaluation import Question, all_items, has_items
from dsql.types.jsonpath.parser import parse
from tests.differential.pipeline import StatementContext

NESTED = json.loads("[" * 60 + "]" * 60)


def question(path: str, root: object) -> Question:
    context = StatementContext()
    bounds = Bounds(memory_max=1_000_000)
    context.__dict__["memory"] = StatementMemory(bounds, TemporarySpace(unnamed_file))
    return Question(parse(path), root, {}, context, zoned=False)


def test_whether_there_is_an_item_is_known_with_the_first() -> None:
    assert has_items(question("$" + ".**" * 40, NESTED))


def test_items_that_multiply_end_at_the_bound() -> None:
    with pytest.raises(SqlError) as caught:
        all_items(question("$" + ".**" * 40, NESTED), silent=True)
    assert caught.value.sqlstate == "54000"


def test_the_account_is_even_afterwards() -> None:
    asked = question("$[*] ? (@ > $[*])", list(range(2000)))
    assert len(all_items(asked, silent=False)) == 1999
    assert asked.context.memory.used == 0  # type: ignore[attr-defined]
