"""SQL's cursors: DECLARE, FETCH, MOVE, CLOSE.

A cursor is a portal under its name, shared with the extended protocol as in PostgreSQL, and gone with its
transaction, unless it was declared WITH HOLD: then the commit reads all its rows, and it is the session's
until it is closed. It goes backward if it was declared SCROLL or WITH HOLD, and not NO SCROLL; PostgreSQL
lets others do so where their plan can.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dsql.ddl.nodes import enum_name, inner
from dsql.ddl.result import UtilityResult
from dsql.errors import SqlError, unsupported
from dsql.executor.program import OutputColumn
from dsql.session.compiled import encoders
from dsql.session.pipeline import ParameterTypes
from dsql.session.portal import QueryPortal, ResultPortal, append_row
from dsql.session.scrolling import Fetched, Scroll
from dsql.session.state import SessionState
from dsql.session.statement import Columns, QueryStatement, Settled, UtilityStatement
from dsql.sql.gate import ParsedStatement
from dsql.wire import backend
from dsql.wire.frontend import Bind

# PostgreSQL's CURSOR_OPT_* bits.
_BINARY, _SCROLL, _NO_SCROLL, _INSENSITIVE, _ASENSITIVE, _HOLD = 1, 2, 4, 8, 16, 32
_ALL = (1 << 63) - 1  # FETCH_ALL
_STRENGTHS = {
    "LCS_FORKEYSHARE": "FOR KEY SHARE",
    "LCS_FORSHARE": "FOR SHARE",
    "LCS_FORNOKEYUPDATE": "FOR NO KEY UPDATE",
    "LCS_FORUPDATE": "FOR UPDATE",
}


class CursorPortal:
    """A declared cursor. `statement`: how many of its transaction had begun before."""

    def __init__(self, state: SessionState, query: QueryPortal, text: str, options: int) -> None:
        self._state = state
        self._query = query
        self._options = options
        self._text = text
        self._created = state.context.statement_timestamp
        self.statement = state.block.transaction.statements
        scrolls = bool(options & (_SCROLL | _HOLD)) and not options & _NO_SCROLL
        self._scrolls = scrolls
        self.scroll = Scroll(query.fetch, lambda: state.context.memory, scrolls=scrolls)
        self.description = query.description

    @property
    def columns(self) -> tuple[OutputColumn, ...]:
        """The result's columns."""
        return self._query.columns or ()

    @property
    def is_binary(self) -> bool:
        """Whether FETCH answers in binary format in the simple protocol."""
        return bool(self._options & _BINARY)

    @property
    def outlives(self) -> bool:
        """Whether it is to outlive its transaction."""
        return bool(self._options & _HOLD)

    def execute(self, row_limit: int) -> None:
        """See `dsql.session.portal.Portal`."""
        state, columns = self._state, self.columns
        found = self.scroll.forward(row_limit or None)
        encode = encoders(columns, (0,) * len(columns), state.settings.formats)
        for row in found.rows:
            append_row(state.out, row, encode)
            state.flush_rows(state.out)
        if row_limit and found.length == row_limit:
            state.out += backend.PORTAL_SUSPENDED
        else:
            state.out += backend.command_complete(f"SELECT {found.length}")

    def epilogue(self) -> None:
        """See `dsql.session.portal.Portal`."""

    def row(self, name: str) -> Mapping[str, Any]:
        """Return its row of pg_cursors."""
        return {
            "name": name,
            "statement": self._text,
            "is_holdable": self.outlives,
            "is_binary": self.is_binary,
            "is_scrollable": self._scrolls,
            "creation_time": self._created,
        }


class DeclareStatement:
    """A DECLARE; see `dsql.session.statement.Statement`. Its parameters are its query's."""

    ends_failed_block = False

    def __init__(
        self, state: SessionState, parsed: ParsedStatement, declared: ParameterTypes
    ) -> None:
        _check_options(parsed.node)
        self._state = state
        self._parsed = parsed
        node = inner(parsed.node.query)
        self._query = QueryStatement(state, replace(parsed, node=node, name="Select"), declared, "")

    def describe(self) -> tuple[tuple[int, ...], Columns]:
        """See `Statement`."""
        return self._query.described().parameter_types, None

    def settled(self) -> Settled:
        """See `Statement`."""
        return self._query.settled()

    def settle(self, types: tuple[int, ...], columns: bytes) -> None:
        """See `QueryStatement`."""
        self._query.settle(types, columns)

    def bind(self, message: Bind) -> ResultPortal:
        """See `Statement`."""
        query = self._query.described()
        if query.writes:
            message_ = "DECLARE CURSOR must not contain data-modifying statements in WITH"
            raise unsupported(message_)
        values = self._query.decode(message, query.shape(message.formats, ()))
        return ResultPortal(self._state, None, (), lambda: self._run(values))

    def _run(self, values: Sequence[Any]) -> UtilityResult:
        state, node = self._state, self._parsed.node
        if not node.options & _HOLD and not state.block.is_block:
            raise SqlError("25P01", "DECLARE CURSOR can only be used in transaction blocks")
        name = node.portalname.encode()
        if name in state.portals:
            raise SqlError("42P03", f'cursor "{node.portalname}" already exists')
        query = self._query.bind_values(values, ())
        state.portals[name] = CursorPortal(state, query, self._parsed.text, node.options)
        state.block.progress.holds_cursors |= bool(node.options & _HOLD)
        return UtilityResult("DECLARE CURSOR")


def _check_options(node: Any) -> None:
    """Raise SqlError 42P11, 0A000 for options that exclude each other, or what the query does."""
    options = node.options
    for both, words in (
        (_SCROLL | _NO_SCROLL, "SCROLL and NO SCROLL"),
        (_ASENSITIVE | _INSENSITIVE, "ASENSITIVE and INSENSITIVE"),
    ):
        if options & both == both:
            raise SqlError("42P11", f"cannot specify both {words}")
    for wrapped in inner(node.query).locking_clause:
        lock = _STRENGTHS[enum_name(inner(wrapped), "strength")]
        for option, sqlstate, words, kind in (
            (_HOLD, "0A000", f"DECLARE CURSOR WITH HOLD ... {lock} is not supported", "Holdable"),
            (_SCROLL, "0A000", f"DECLARE SCROLL CURSOR ... {lock} is not supported", "Scrollable"),
            (
                _INSENSITIVE,
                "42P11",
                f"DECLARE INSENSITIVE CURSOR ... {lock} is not valid",
                "Insensitive",
            ),
        ):
            if options & option:
                raise SqlError(sqlstate, words, detail=f"{kind} cursors must be READ ONLY.")


def hold_cursors(state: SessionState) -> None:
    """Have the cursors WITH HOLD of a transaction that commits outlive it: read what is left of them."""
    for name, portal in state.portals.items():
        if isinstance(portal, CursorPortal) and portal.outlives and name not in state.held:
            portal.scroll.finish()
            state.held[name] = portal


def forget_since(state: SessionState, statement: int) -> None:
    """Forget the cursors that were declared behind a savepoint, which stands before a statement."""
    gone = [
        name
        for name, portal in state.portals.items()
        if isinstance(portal, CursorPortal) and portal.statement >= statement
    ]
    for name in gone:
        if name not in state.held:
            del state.portals[name]


def run_close(parsed: ParsedStatement, state: SessionState) -> UtilityResult:
    """Run CLOSE name or CLOSE ALL."""
    name = parsed.node.portalname
    if not name:
        close_all(state)
        return UtilityResult("CLOSE CURSOR ALL")
    _find(state, name)
    del state.portals[name.encode()]
    state.held.pop(name.encode(), None)
    return UtilityResult("CLOSE CURSOR")


def close_all(state: SessionState) -> None:
    """Forget all portals, those that are held too."""
    state.held.clear()
    state.portals.clear()


def describe_cursors(state: SessionState) -> Iterator[Mapping[str, Any]]:
    """Yield a row of pg_cursors for each cursor."""
    for name, portal in state.portals.items():
        if isinstance(portal, CursorPortal):
            yield portal.row(name.decode())


def fetch_statement(state: SessionState, parsed: ParsedStatement) -> UtilityStatement:
    """Return the statement of a FETCH or MOVE. In the simple protocol a cursor's BINARY has its say."""
    state.check_not_failed()
    node = parsed.node
    if node.ismove:
        return UtilityStatement(state, None, lambda: _run_fetch(node, state))
    cursor = _find(state, node.portalname)
    return UtilityStatement(
        state,
        cursor.columns,
        lambda: _run_fetch(node, state),
        simple_formats=(1,) if isinstance(cursor, CursorPortal) and cursor.is_binary else (),
    )


def _run_fetch(node: Any, state: SessionState) -> UtilityResult:
    portal = _find(state, node.portalname)
    direction = enum_name(node, "direction").removeprefix("FETCH_")
    if isinstance(portal, QueryPortal):
        scroll = Scroll(portal.fetch, lambda: state.context.memory, scrolls=False)
    else:
        scroll = portal.scroll
    found = _move(scroll, direction, node.how_many, passes=node.ismove)
    if node.ismove:
        return UtilityResult(f"MOVE {found.length}")
    return UtilityResult(f"FETCH {found.length}", portal.columns or (), found.rows)


def _move(scroll: Scroll, direction: str, count: int, *, passes: bool) -> Fetched:
    """Move in a direction, as PostgreSQL's grammar names it. `passes`: nobody wants the rows."""
    if direction == "ABSOLUTE":
        return scroll.absolute(count)
    if direction == "RELATIVE" and count:
        return scroll.relative(count)
    backward = direction == "BACKWARD"
    if count < 0:
        backward, count = not backward, -count
    if count == 0:
        return Fetched(int(scroll.on_row), ()) if passes else scroll.again()
    if not backward:
        return scroll.forward(None if count == _ALL else count)
    if count == _ALL and passes:
        return scroll.to_start()
    return scroll.backward(None if count == _ALL else count)


def _find(state: SessionState, name: str) -> QueryPortal | CursorPortal:
    portal = state.portals.get(name.encode())
    if portal is None:
        raise SqlError("34000", f'cursor "{name}" does not exist')
    if not isinstance(portal, QueryPortal | CursorPortal):
        raise SqlError("42809", f'"{name}" is not a query that can be fetched from')
    return portal
