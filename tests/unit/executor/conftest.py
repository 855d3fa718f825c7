from __future__ import annotations

import pytest
from memory_database import Database, tables


@pytest.fixture
def db() -> Database:
    return Database(tables())
