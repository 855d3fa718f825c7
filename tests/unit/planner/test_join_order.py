"""How much there is to do for joins of very many tables, counted in calls of functions."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from memory_database import Database, tables

JOINS: dict[str, Callable[[int], tuple[str, str]]] = {
    "list": lambda n: (
        "cross join heap h{n} ",
        "where " + " and ".join(f"h{i}.x = h{i + 1}.x" for i in range(n - 1)),
    ),
    "star": lambda n: ("join heap h{n} on h{n}.x = t.id ", ""),
    "using": lambda n: ("join (values (1, 2)) v{n}(id, c{n}) using (id) ", ""),
    "left": lambda n: ("left join heap h{n} on h{n}.x = t.id ", ""),
    "full": lambda n: ("full join heap h{n} on h{n}.x = t.id ", ""),
}  # fmt: skip


def calls_of(work: Callable[[], Any]) -> int:
    count = 0

    def note(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("kind", JOINS)
def test_planning_grows_with_the_number_of_joins_and_not_with_its_square(kind: str) -> None:
    database = Database(tables())

    def planned(number: int) -> int:
        join, where = JOINS[kind](number)
        text = "select count(*) from t " + "".join(join.format(n=n) for n in range(number)) + where
        return calls_of(lambda: database.prepare(text))

    few, many = planned(40), planned(120)
    assert many < 5 * few  # three times as many; a square is nine times
