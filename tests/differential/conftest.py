"""A throwaway PostgreSQL to compare answers with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from reference import is_installed, running


@pytest.fixture(scope="module")
def postgres() -> Iterator[psycopg.Connection[Any]]:
    """A connection in autocommit mode to an empty database (C collation, UTC), of a server of its own.

    Roles, and the order in which PostgreSQL lists what depends on them, are a whole server's.
    """
    if not is_installed():
        pytest.skip("no PostgreSQL on this machine")
    with (
        running() as directory,
        psycopg.connect(
            f"host={directory} user=postgres dbname=postgres", autocommit=True
        ) as connection,
    ):
        connection.execute("set timezone = 'UTC'")
        yield connection


@pytest.fixture
def own_postgres() -> Iterator[psycopg.Connection[Any]]:
    """A PostgreSQL whose tables are this test's alone."""
    if not is_installed():
        pytest.skip("no PostgreSQL on this machine")
    with (
        running() as directory,
        psycopg.connect(f"host={directory} user=postgres dbname=postgres", autocommit=True) as one,
    ):
        yield one
