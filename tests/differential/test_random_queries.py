"""Random queries give PostgreSQL's rows.

DSQL_RANDOM_QUERIES=20000 DSQL_RANDOM_SEED=7 make it look longer, and elsewhere.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import psycopg

sys.path.insert(0, str(Path(__file__).parent))

from generator import QueryGenerator
from test_queries import SCHEMA, _memory_database, _ours, _sort_key, _theirs

_FRACTION = re.compile(r"-?\d+\.\d+")
QUERIES = int(os.environ.get("DSQL_RANDOM_QUERIES", "250"))
SEED = int(os.environ.get("DSQL_RANDOM_SEED", "1"))
ROWS = """
    insert into t values (5, 20, 'five', -1.25), (6, null, null, null), (7, 7, 'x', 0.5);
    insert into t values (8, 1, 'one', 2.5);
    insert into u (id, t_id, code, flag)
        values (6, 2, 'one', false), (7, 6, 'B', null), (8, 20, 'o', true);
    insert into pair values (1, 'a', 10), (1, 'b', null), (2, 'one', 3), (3, 'x', 20), (20, 't', 1);
    insert into heap values (1, 'one'), (1, 'one'), (null, 'x'), (7, null), (20, 'two'), (null, null);
"""


def _comparable(answer: Any) -> Any:
    if isinstance(answer[0], str):
        return answer[0]  # which of two errors comes first is nobody's promise
    return sorted((tuple(map(_plain, row)) for row in answer[1]), key=_sort_key)


def _plain(text: str | None) -> str | None:
    """Return 2.50 as 2.5: which of two equal numbers stands for both is nobody's promise either."""
    if text is None or not _FRACTION.fullmatch(text):
        return text
    return text.rstrip("0").rstrip(".")


def test_random_queries_answer_as_postgresql_does(postgres: psycopg.Connection[Any]) -> None:
    database = _memory_database()
    postgres.execute("drop table if exists t, u, pair, heap")
    postgres.execute(SCHEMA)
    postgres.execute("set max_parallel_workers_per_gather = 0")
    for statement in ROWS.strip(" \n;").split(";"):
        postgres.execute(statement)
        database.count(statement)
    generator = QueryGenerator(SEED)
    wrong = []
    for _ in range(QUERIES):
        query = generator.query()
        theirs = _comparable(_theirs(postgres, query))
        if isinstance(theirs, str) and theirs not in ("22P02", "22003"):
            wrong.append(f"{query}\n  the generator made a wrong query: {theirs}")
            continue
        try:
            ours = _comparable(_ours(database, query))
        except Exception as error:
            ours = f"crash: {error!r}"
        if ours != theirs:
            wrong.append(f"{query}\n  ours   {ours}\n  theirs {theirs}")
    assert not wrong, f"{len(wrong)} differ\n" + "\n".join(sorted(wrong, key=len)[:20])
