"""What the running transaction has done and asked for so far; the next one begins with another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from dsql.catalog.jobs import Job
from dsql.errors import read_only_error, unsupported
from dsql.session.compiled import CompiledQuery
from dsql.session.isolation import REPEATABLE_READ, Modes

_MIXED = "ddl and dml are not supported in the same transaction"
_UNSAID = Modes(REPEATABLE_READ, read_only=False, deferrable=False)


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


WRITERS_MAX = 256


class Progress:
    """`modes`: what it is, all of it said. `has_read`: before the first statement that counts.

    `again` runs the last DDL statement again. `used_at` says of some of the queries at which snapshot they
    were used first, if that was before the present one.
    `deferred` is what is still to be checked at the commit of what was noted for foreign keys, the newest
    last. `constraint_modes` is what SET CONSTRAINTS has said: True for deferred, by the foreign key's OID,
    0 for all others. `holds_cursors`: some of its cursors are to outlive it. `is_identified`: it was given
    an id though it may write nothing. `exported_snapshot`: the timestamp of what it lets others see.
    `writers` are the texts of what has written, by the statement's number, the first WRITERS_MAX of them.
    """

    def __init__(self) -> None:
        self.modes = _UNSAID
        self.writers: dict[int, str] = {}
        self.queries: set[Used] = set()
        self.used_at: dict[Used, int] = {}
        self.exported_snapshot = 0
        self.ddl_statements = 0
        self.begins_with_ddl = False
        self.again: tuple[Again, int] | None = None
        self.writes = False
        self.has_read = False
        self.jobs_requested = False
        self.is_identified = False
        self.holds_cursors = False
        self.jobs: list[Job] = []
        self.deferred: dict[tuple[Any, ...], None] = {}
        self.constraint_modes: dict[int, bool] = {}

    def forget_reads(self) -> bool:
        """Become as new if nothing else was done; return whether that is so."""
        if (
            self.writes
            or self.jobs_requested
            or self.is_identified
            or self.exported_snapshot
            or self.holds_cursors
            or self.constraint_modes
        ):
            return False
        self.has_read = False
        self.queries.clear()
        if self.used_at:
            self.used_at.clear()
        return True

    def note_uses(self, timestamp: int) -> None:
        """Note that there is another snapshot now; the one until now was from this timestamp."""
        for query in self.queries:
            self.used_at.setdefault(query, timestamp)

    def note_write(self, query: CompiledQuery, profile: str) -> None:
        """Note that a query writes. Raises SqlError 25006, and 0A000 against the profile's rules."""
        if self.modes.read_only and query.writes_shared:
            raise read_only_error(query.program.tag.removesuffix(" 0"))
        if self.ddl_statements and profile == "dsql":
            raise unsupported(_MIXED)
        self.writes = True

    def note_locks(self, query: CompiledQuery) -> None:
        """Note that a query locks rows. Raises SqlError 25006."""
        if self.modes.read_only:
            raise read_only_error(query.locks)

    def note_ddl(self, command: str, profile: str, *, is_first: bool) -> None:
        """Note a DDL statement. Raises SqlError 25006, and 0A000 against the profile's rules."""
        if profile == "dsql":
            if self.ddl_statements:
                raise unsupported("multiple ddl statements not supported in a transaction")
            if self.writes:
                raise unsupported(_MIXED)
        if self.modes.read_only:
            raise read_only_error(command)
        if is_first and not (self.has_read or self.queries):
            self.begins_with_ddl = True
        self.ddl_statements += 1
        self.writes = True
