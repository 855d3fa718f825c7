"""Statements that are parsed and can be bound: queries, utility statements, COPY, and the empty one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from dsql.catalog.catalog import Catalog
from dsql.ddl.result import UtilityResult
from dsql.errors import SqlError
from dsql.executor.program import OutputColumn
from dsql.session.compiled import CompiledQuery, DescribedQuery, Shape, decode_parameters
from dsql.session.pipeline import ParameterTypes, compile_query, describe_query
from dsql.session.portal import DeniedPortal, EmptyPortal, Portal, QueryPortal, ResultPortal
from dsql.session.state import SessionState
from dsql.sql.gate import ParsedStatement
from dsql.wire.frontend import Bind

if TYPE_CHECKING:
    from dsql.session.prepared_round import PreparedRound

Columns = tuple[OutputColumn, ...] | None
Settled = tuple[tuple[int, ...], bytes]
UNSETTLED: Settled = ((), b"")  # of what has no parameters and is not compiled
_DIGEST_BYTES = 8

SIMPLE_BIND = Bind(b"", b"", (), [], ())


class Statement(Protocol):
    """`ends_failed_block`: it may run in a failed transaction block."""

    ends_failed_block: bool

    def describe(self) -> tuple[tuple[int, ...], Columns]:
        """Return the parameters' type OIDs and the result's columns (None: no rows)."""
        ...

    def bind(self, message: Bind) -> Portal:
        """Return a portal with the parameters and formats of a Bind message."""
        ...

    def settled(self) -> Settled:
        """Return what stays as it was first given: the parameters' types, and a digest of the columns."""
        ...


class QueryStatement:
    """SELECT, VALUES, INSERT, UPDATE or DELETE, compiled again whenever the catalog or settings changed."""

    __slots__ = (
        "_catalog",
        "_compiled",
        "_declared",
        "_description",
        "_generation",
        "_name",
        "_state",
        "ends_failed_block",
        "parsed",
        "round",
    )

    def __init__(
        self, state: SessionState, parsed: ParsedStatement, declared: ParameterTypes, name: str
    ) -> None:
        self.ends_failed_block = False
        self._state = state
        self.parsed = parsed
        self._declared = declared
        self._name = name
        self._catalog: Catalog | None = None
        self._generation = -1
        # As it was first given; of columns that another process has described, the digest.
        self._description: tuple[tuple[int, ...], Columns | bytes] | None = None
        self._compiled: CompiledQuery | None = None
        self.round: PreparedRound | None = None

    def compiled(self) -> CompiledQuery:
        """Return the query compiled for the present catalog and settings.

        Raises SqlError 0A000 if that changes the result's columns, 42501 without the privileges.
        """
        state = self._state
        catalog = state.block.catalog
        compiled = self._compiled
        if compiled is not None and self.is_current(catalog) and not compiled.is_outdated:
            return compiled
        return self._recompile(catalog)

    def _recompile(self, catalog: Catalog) -> CompiledQuery:
        state = self._state
        compiled = compile_query(
            self.parsed,
            self._types,
            state.context.standpoint,
            state.settings,
            state.environment.plans,
        )
        self._settle(compiled)
        self._compiled = compiled
        self.round = None
        self._catalog = catalog
        self._generation = state.settings.generation
        return compiled

    @property
    def _types(self) -> ParameterTypes:
        """The parameters' types as the client declared them, later as they were settled."""
        if self._declared is None or self._description is None:
            return self._declared
        return self._description[0]

    def _settle(self, query: DescribedQuery) -> None:
        if self._description is None:
            self._description = query.parameter_types, query.columns
        elif not _same_columns(self._description[1], query.columns):
            raise SqlError(
                "0A000",
                "cached plan must not change result type",
                routine="RevalidateCachedQuery",
            )

    def settled(self) -> Settled:
        """See `Statement`."""
        if self._description is None:
            return self._declared or (), b""
        types, columns = self._description
        return types, columns if isinstance(columns, bytes) else _digest(columns)

    def settle(self, types: tuple[int, ...], columns: bytes) -> None:
        """Go on from what `settled` has returned in another process."""
        self._declared = types
        if columns:
            self._description = types, columns

    def _denied(self, error: SqlError) -> DescribedQuery:
        """Return what is known of the query if `error` is one of its start, else raise that."""
        if error.sqlstate != "42501" and not error.is_at_start:
            raise error
        state = self._state
        query = describe_query(self.parsed, self._types, state.context.standpoint, state.settings)
        self._settle(query)
        return query

    def is_current(self, catalog: Catalog) -> bool:
        """Return whether it is compiled for this catalog and the present settings."""
        return catalog is self._catalog and self._state.settings.generation == self._generation

    def described(self) -> DescribedQuery:
        """Return what is known of the query, whether the session may run it or not."""
        try:
            return self.compiled()
        except SqlError as error:
            return self._denied(error)

    def describe(self) -> tuple[tuple[int, ...], Columns]:
        """See `Statement`."""
        query = self.described()
        return query.parameter_types, query.columns

    def bind(self, message: Bind) -> QueryPortal | DeniedPortal:
        """See `Statement`.

        Raises SqlError 42501 for a reader, at once; a writer's portal raises it. For all it raises that of
        a constant that cannot be computed.
        """
        try:
            compiled = self.compiled()
        except SqlError as error:
            return self._bind_denied(message, error)
        shape = compiled.shape(message.formats, message.result_formats)
        return QueryPortal(self._state, compiled, shape, self.decode(message, shape))

    def bind_values(self, values: Sequence[Any], result_formats: tuple[int, ...]) -> QueryPortal:
        """Return a portal with parameters that are runtime values. Raises SqlError 42501."""
        compiled = self.compiled()
        return QueryPortal(self._state, compiled, compiled.shape((), result_formats), values)

    def _bind_denied(self, message: Bind, error: SqlError) -> DeniedPortal:
        query = self._denied(error)
        shape = query.shape(message.formats, message.result_formats)
        self.decode(message, shape)
        if error.is_at_start or not query.writes:
            raise error
        return DeniedPortal(shape.description, error)

    def decode(self, message: Bind, shape: Shape) -> Sequence[Any]:
        """Return a Bind's parameters as values. Raises SqlError 08P01, and what their types raise."""
        values = message.values
        decoders = shape.decoders
        if len(values) != len(decoders):
            raise _wrong_count(len(values), self._name, len(decoders))
        return decode_parameters(decoders, values, message.portal) if values else values


def _same_columns(before: Columns | bytes, after: Columns) -> bool:
    if isinstance(before, bytes):
        return before == _digest(after)
    return _identity(before) == _identity(after)


def _identity(columns: Columns) -> list[tuple[str, int, int]] | None:
    """Return what a client may rely on."""
    return None if columns is None else [(c.name, c.type_oid, c.typmod) for c in columns]


def _digest(columns: Columns) -> bytes:
    identity = repr(_identity(columns)).encode(errors="surrogatepass")
    return hashlib.blake2b(identity, digest_size=_DIGEST_BYTES).digest()


def check_no_parameters(message: Bind) -> None:
    """Raise SqlError 08P01 if a Bind has values, for a statement that takes none."""
    if message.values:
        raise _wrong_count(len(message.values), message.statement.decode(), 0)


def _wrong_count(given: int, name: str, wanted: int) -> SqlError:
    return SqlError(
        "08P01",
        f"bind message supplies {given} parameters, "
        f'but prepared statement "{name}" requires {wanted}',
    )


class UtilityStatement:
    """A statement without parameters that a handler runs.

    `simple_formats` are those of its columns in the simple protocol, which cannot ask for any.
    """

    def __init__(
        self,
        state: SessionState,
        columns: Columns,
        run: Callable[[], UtilityResult],
        *,
        ends_failed_block: bool = False,
        simple_formats: tuple[int, ...] = (),
    ) -> None:
        self._state = state
        self._simple_formats = simple_formats
        self._columns = columns
        self._run = run
        self.ends_failed_block = ends_failed_block

    def describe(self) -> tuple[tuple[int, ...], Columns]:
        """See `Statement`."""
        return (), self._columns

    def bind(self, message: Bind) -> ResultPortal:
        """See `Statement`."""
        check_no_parameters(message)
        formats = self._simple_formats if message is SIMPLE_BIND else message.result_formats
        return ResultPortal(self._state, self._columns, formats, self._run)

    def settled(self) -> Settled:
        """See `Statement`."""
        return UNSETTLED


class TransactionStatement(UtilityStatement):
    """BEGIN, COMMIT and the like.

    `round` is the bytes of its usual round trip, `prologue` their answer up to its execution; see
    `dsql.session.prepared_round`.
    """

    def __init__(
        self, state: SessionState, run: Callable[[], UtilityResult], *, ends_failed_block: bool
    ) -> None:
        super().__init__(state, None, run, ends_failed_block=ends_failed_block)
        self.run = run
        self.round: bytes | None = None
        self.prologue = b""


class EmptyStatement:
    """An empty query string."""

    ends_failed_block = True

    def __init__(self, state: SessionState) -> None:
        self._state = state

    def describe(self) -> tuple[tuple[int, ...], Columns]:
        """See `Statement`."""
        return (), None

    def bind(self, message: Bind) -> EmptyPortal:
        """See `Statement`."""
        del message
        return EmptyPortal(self._state)

    def settled(self) -> Settled:
        """See `Statement`."""
        return UNSETTLED


def check_may_run(state: SessionState, statement: Statement) -> None:
    """Raise SqlError 25P02 unless the statement may run in the block as it is."""
    if not statement.ends_failed_block:
        state.check_not_failed()


class MovedStatement:
    """A statement that was prepared in another process, until it is needed here.

    Then `make` makes it again from its source. `types` and `columns` are what `QueryStatement.settled`
    has returned.
    """

    __slots__ = ("columns", "make", "types")

    def __init__(
        self, types: tuple[int, ...], columns: bytes, make: Callable[[MovedStatement], Statement]
    ) -> None:
        self.types = types
        self.columns = columns
        self.make = make

    def settled(self) -> Settled:
        """See `Statement`: what it was made with."""
        return self.types, self.columns
