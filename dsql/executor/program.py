"""A compiled statement: what the session runs, and what it tells the client about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from dsql.access.authority import Authority
from dsql.functions.function import Context
from dsql.planner.explain import Actual
from dsql.planner.plan import Node
from dsql.transaction.interface import Transaction


@dataclass(frozen=True, slots=True)
class OutputColumn:
    """What RowDescription says of one result column."""

    name: str
    type_oid: int
    typmod: int = -1
    table_oid: int = 0
    number: int = 0


class ExecutionContext(Context, Protocol):
    """What a program needs while it runs."""

    @property
    def transaction(self) -> Transaction:
        """The running transaction."""
        ...

    @property
    def authority(self) -> Authority | None:
        """The rights of the role that errors are shown to; None: a job's, which keeps their values."""
        ...

    @property
    def key_changes(self) -> dict[tuple[Any, ...], tuple[Any, ...] | None]:
        """What the running statement has noted for foreign keys: see `dsql.executor.key_changes`."""
        ...

    def flush(self, out: bytearray) -> None:
        """Send and empty `out` if it has grown large; only ever called between two rows."""
        ...


class Measurement(NamedTuple):
    """What running a plan has cost. `actual` finds what a node of the plan has done.

    Bytes are of keys and values; what is smaller than a least number of bytes counts as that: a write, and
    all that was read of one table or index.
    """

    actual: Callable[[Node], Actual]
    read_bytes: int
    written_bytes: int


Emit = Callable[[ExecutionContext, Sequence[Any], bytearray], int]


class Program(Protocol):
    """A plan turned into Python functions. Immutable: one program serves every session of a process.

    `parameters` are runtime values in order of $n. `tag` is the command tag's word ("SELECT",
    "INSERT 0", "UPDATE", "DELETE"); the session appends the row count.
    """

    @property
    def columns(self) -> tuple[OutputColumn, ...]:
        """The result's columns; empty: the statement returns no rows."""
        ...

    @property
    def parameter_types(self) -> tuple[int, ...]:
        """The type OIDs of $1, $2, ..."""
        ...

    @property
    def tag(self) -> str:
        """The command tag's word."""
        ...

    @property
    def writes(self) -> bool:
        """True if it may modify rows."""
        ...

    @property
    def watches(self) -> bool:
        """True if it notes values for foreign keys, which are to be checked when it has run."""
        ...

    @property
    def plan(self) -> Any:
        """The `dsql.planner.plan.Plan` it was made from."""
        ...

    def rows(
        self, context: ExecutionContext, parameters: Sequence[Any]
    ) -> Iterator[tuple[Any, ...]]:
        """Run, and yield rows of runtime values as they are produced.

        A statement without output columns yields nothing; how many rows it touched is the
        generator's return value, also for RETURNING.
        """
        ...

    def emit(
        self,
        context: ExecutionContext,
        parameters: Sequence[Any],
        out: bytearray,
        formats: tuple[int, ...],
    ) -> int:
        """Run to the end, append a complete DataRow message per row to `out`, return the count.

        `formats`: 0 text or 1 binary per column. This is the fast way: fetch, project and encode are
        one generated function per plan, formats and text settings.
        """
        ...

    def load(
        self,
        context: ExecutionContext,
        rows: Iterable[Sequence[bytes | None]],
        decoders: Sequence[Callable[[bytes], Any]],
        before: int = 0,
    ) -> int:
        """Run an INSERT once for each row; return how many rows it inserted.

        A row holds the parameters as bytes, None for NULL, and there is a decoder for each of them.
        `before`: how many rows the statement has inserted by earlier calls.
        Raises what decoders and statement raise; the failing row is then the last one taken.
        """
        ...

    def load_new(
        self,
        context: ExecutionContext,
        rows: Iterable[Sequence[bytes | None]],
        decoders: Sequence[Callable[[bytes], Any]],
        before: int = 0,
    ) -> bool:
        """Do `load` for rows whose keys are expected to be new, which costs less.

        Where that is not so, not certain, or of no use, it returns False. Then, and after an error, nothing
        is written, and `load` finds the row that is to blame.
        """
        ...

    def measure(
        self,
        context: ExecutionContext,
        parameters: Sequence[Any],
        clock: Callable[[], float],
        smallest: int,
    ) -> Measurement:
        """Run to the end, its rows unseen, and tell what that has cost.

        `clock`: seconds. `smallest`: the least number of bytes of which `Measurement` speaks.
        """
        ...

    def emitter(self, formats: tuple[int, ...]) -> Emit:
        """Return the function that `emit` calls, for who calls it often."""
        ...
