"""What a utility statement gives back to the session."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from dsql.access.authority import Authority
from dsql.catalog.catalog import Catalog
from dsql.catalog.jobs import Job
from dsql.catalog.schema import Schema
from dsql.errors import SqlError
from dsql.executor.program import ExecutionContext, OutputColumn


@dataclass(frozen=True, slots=True)
class Notice:
    """One NoticeResponse. `severity` is NOTICE, WARNING or INFO."""

    severity: str
    sqlstate: str
    message: str
    detail: str = ""
    hint: str = ""


@dataclass(slots=True)
class UtilityResult:
    """The command tag, the rows (none if `columns` is empty) and the notices of one statement."""

    tag: str
    columns: tuple[OutputColumn, ...] = ()
    rows: Iterable[tuple[Any, ...]] = ()
    notices: list[Notice] = field(default_factory=list)

    def notice(
        self, sqlstate: str, message: str, *, severity: str = "NOTICE", hint: str = ""
    ) -> None:
        """Add a notice."""
        self.notices.append(Notice(severity, sqlstate, message, hint=hint))

    @contextmanager
    def told(self) -> Iterator[None]:
        """Have an error that is raised inside carry the notices so far: the client gets them first."""
        try:
            yield
        except SqlError as error:
            error.notices = self.notices
            raise


class UtilityContext(ExecutionContext, Protocol):
    """What the session offers to a utility statement beyond what queries need."""

    @property
    def profile(self) -> str:
        """The session's profile: dsql or postgres."""
        ...

    @property
    def catalog(self) -> Catalog:
        """The catalog of the running transaction."""
        ...

    def temporary_schema(self) -> Schema:
        """Return the session's temporary schema, made now if need be. Raises SqlError 53100, 58030."""
        ...

    @property
    def authority(self) -> Authority:
        """The rights of the role that runs the statement."""
        ...

    def function_setting(self, node: Any) -> tuple[str, str | None]:
        """Return (name, value) of a function's SET clause, a VariableSetStmt; None for RESET, "" for all.

        Raises what SET raises.
        """
        ...

    @property
    def is_block(self) -> bool:
        """Whether more than the running statement belongs to the transaction."""
        ...

    @property
    def tables_to_be_checked(self) -> frozenset[int]:
        """The OIDs of the tables for whose changes so far foreign keys are checked at the commit."""
        ...

    def forget_catalog(self) -> None:
        """Have `catalog` be looked up again, because the statement has changed it."""
        ...

    def request_jobs(self) -> None:
        """Have the cluster's background jobs looked at once this transaction has committed."""
        ...

    def run_after_commit(self, job: Job) -> None:
        """Run a submitted job in this session once the transaction has committed, and wait for it."""
        ...
