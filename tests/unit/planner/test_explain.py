"""Plans of tests/scripts/plan/*.plan: each statement after "> " and the lines EXPLAIN prints for it.

To accept changed plans, run with DSQL_ACCEPT_PLANS=1 and read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from memory_database import Database, tables

from dsql.planner.explain import Style, show
from dsql.planner.explain_text import text_of

HERE = Path(__file__).parent
SCRIPTS = sorted((HERE.parents[1] / "scripts/plan").glob("*.plan"))


def _printed(script: str) -> str:
    database = Database(tables())
    parts = []
    for line in script.splitlines():
        if line.startswith("> "):
            parts.append("\n".join([line, *database.explain(line[2:])]) + "\n")
        elif line.startswith("#"):
            parts.append(line + "\n")
    return "\n".join(parts)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_plans_are_as_written(path: Path) -> None:
    printed = _printed(path.read_text())
    if os.environ.get("DSQL_ACCEPT_PLANS"):
        path.write_text(printed)
    assert printed == path.read_text()


def test_costs_are_printed_as_postgresql_prints_them() -> None:
    plan = Database(tables()).prepare("select 1").plan
    lines = text_of(show(plan), Style())
    assert lines == ["Result  (cost=0.00..0.01 rows=1 width=4)"]
