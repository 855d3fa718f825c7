"""Expressions answer as a real PostgreSQL does: type, text and SQLSTATE.

`expressions/*.sql` hold one expression a line (or a whole SELECT); `--` starts a comment.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.differential.pipeline import SETTINGS, ask_ours, ask_postgres

FILES = sorted((Path(__file__).parent / "expressions").glob("*.sql"))


@pytest.fixture
def reference(postgres: psycopg.Connection[Any]) -> Iterator[psycopg.Connection[Any]]:
    """The shared server under this test's settings; they are put back afterwards."""
    before = {}
    for name, value in SETTINGS.items():
        row = postgres.execute(f"show {name}").fetchone()
        assert row is not None
        before[name] = row[0]
        postgres.execute("select set_config(%s, %s, false)", (name, value))
    yield postgres
    for name, value in before.items():
        postgres.execute("select set_config(%s, %s, false)", (name, value))


def expressions(path: Path) -> list[str]:
    lines = (line.strip() for line in path.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("--")]


def differences(connection: psycopg.Connection[Any], path: Path) -> list[str]:
    found = []
    for line in expressions(path):
        query = line if line.lower().startswith(("select ", "with ")) else f"select {line}"
        theirs, ours = ask_postgres(connection, query), ask_ours(query)
        if theirs != ours:
            found.append(f"{line}\n    PostgreSQL: {theirs}\n    here:       {ours}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_expressions_answer_as_postgresql_does(
    reference: psycopg.Connection[Any], path: Path
) -> None:
    found = differences(reference, path)
    assert not found, f"{len(found)} differences\n" + "\n".join(found)
