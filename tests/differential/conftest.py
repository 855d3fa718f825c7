"""A throwaway PostgreSQL to compare answers with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from reference import is_installed, running


@contextmanager
def _connected() -> Iterator[psycopg.Connection[Any]]:
    """A connection in autocommit mode to an empty database (C collation, UTC), of a server of its own."""
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


@pytest.fixture(scope="module")
def postgres() -> Iterator[psycopg.Connection[Any]]:
    """A PostgreSQL of a module: roles, and the order of what depends on them, are a whole server's."""
    with _connected() as connection:
        yield connection


@pytest.fixture
def own_postgres() -> Iterator[psycopg.Connection[Any]]:
    """A PostgreSQL whose tables are this test's alone."""
    with _connected() as connection:
        yield connection
