"""A throwaway PostgreSQL to compare answers with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from reference import is_installed, running


@pytest.fixture(scope="session")
def postgres() -> Iterator[psycopg.Connection[Any]]:
    """A connection in autocommit mode to an empty database (C collation, UTC)."""
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
