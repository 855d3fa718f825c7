"""What a commit asks of who has run its statements: to run them again, once it has lost.

Two things can: a recording of queries (`dsql.session.replay`), and the one DDL statement that is all of an
implicit transaction (`dsql.session.portal.ResultPortal`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

REPLAYS_MAX = 50
DDL_REPEATS_MAX = 8
DDL_REPEAT_SECONDS = 0.001  # twice as long each time: who has won may not be published yet

Again = Callable[[], bool]  # runs a statement again; False if a client could tell


class Used(Protocol):
    """What a commit has to know of a query: see CompiledQuery."""

    @property
    def version_keys(self) -> tuple[bytes, ...]:
        """What a commit checks, so that it fails if what allowed the query has changed."""
        ...

    @property
    def role(self) -> int:
        """Who has run it."""
        ...


class Recording(Protocol):
    """What can run a transaction again; see `dsql.session.replay`."""

    def covers(self, statements: int) -> bool:
        """Return whether it can, for a transaction of so many statements."""
        ...

    def replay(self) -> bool:
        """Run everything again in a fresh transaction; False if the client could tell."""
        ...
