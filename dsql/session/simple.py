"""The simple protocol: a script in one message, one result per statement.

All statements of a script outside a block are one implicit transaction. A query whose literals can be
taken for parameters is run by the plan of all queries that differ from it in those only: a lone one before
it is parsed, one of a script after that.
"""

from __future__ import annotations

from collections import OrderedDict

from dsql.catalog.catalog import Catalog
from dsql.errors import SqlError
from dsql.session.block import State
from dsql.session.executing import ExecutePortal
from dsql.session.extended import READY
from dsql.session.interrupts import HELD
from dsql.session.pipeline import QUERIES, parse, parsed_before
from dsql.session.portal import DeniedPortal, Portal, QueryPortal, ResultPortal
from dsql.session.state import SessionState
from dsql.session.statement import SIMPLE_BIND, QueryStatement, check_may_run
from dsql.session.utility import make_statement
from dsql.sql.gate import ParsedStatement
from dsql.sql.normalize import normalize
from dsql.sql.script import Script
from dsql.wire import backend, frontend
from dsql.wire.frontend import Bind

_KNOWN_MAX = 500
_Key = tuple[str, tuple[int, ...]]


class SimpleProtocol:
    """Handles Query messages."""

    def __init__(self, state: SessionState) -> None:
        self._state = state
        self._normalized = NormalizedQueries(state)

    def query(self, body: bytes) -> None:
        """Run a script to its end or first error; each statement has statement_timeout for itself."""
        state = self._state
        interrupts, block, out = state.interrupts, state.block, state.out
        if state.settings.statement_timeout_seconds:
            interrupts.begin_statement()
        state.said = body
        state.statements.pop(b"", None)
        text, plans = frontend.parse_query(body), state.environment.plans
        script = parsed_before(text, plans)
        portal = self._normalized.bind(text) if script is None else None
        if portal is not None:
            self._execute(portal)
        elif len(script := script or parse(text, plans)) == 1:
            (only,) = script
            if only.long_names:
                state.notice_long_names(only.long_names)
            self._run(only.parsed())
        elif script:
            self._run_all(script)
        else:
            out += backend.EMPTY_QUERY_RESPONSE
        if block.state is State.IMPLICIT:
            self._commit()
        interrupts.state = HELD
        out += READY[block.state]

    def _commit(self) -> None:
        """Commit what the script has done. Its last statement is not complete if that fails."""
        out = self._state.out
        try:
            self._state.block.commit()
        except SqlError:
            del out[_last_completion(out) :]
            raise

    def _run_all(self, script: Script) -> None:
        state, interrupts = self._state, self._state.interrupts
        state.block.in_script = True
        try:
            for statement in script:
                interrupts.resume()
                interrupts.begin_statement()
                if statement.long_names:
                    state.notice_long_names(statement.long_names)
                portal = self._normalized.bind(statement.text)
                if portal is None:
                    self._run(statement.parsed())
                else:
                    self._execute(portal)
                interrupts.end_statement()
        finally:
            state.block.in_script = False

    def _run(self, parsed: ParsedStatement) -> None:
        state = self._state
        if state.block.state is State.FAILED and parsed.name != "Transaction":
            state.check_not_failed()
        if state.block.renews and parsed.name != "Transaction":
            state.look_again()
        statement = make_statement(state, parsed)
        check_may_run(state, statement)
        self._execute(statement.bind(SIMPLE_BIND))

    def _execute(self, portal: Portal) -> None:
        out = self._state.out
        position = len(out)
        if portal.description is not backend.NO_DATA:
            out += portal.description
        try:
            portal.execute(0)
        except SqlError:
            if isinstance(portal, ExecutePortal | DeniedPortal) or (
                isinstance(portal, ResultPortal) and not portal.has_run
            ):
                del out[position:]  # what fails before it has a row describes nothing
            raise


def _last_completion(out: bytearray) -> int:
    """Return where the CommandComplete begins that is the last of these messages, else their end."""
    start = at = 0
    while at < len(out):
        start, at = at, at + 1 + int.from_bytes(out[at + 1 : at + 5], "big")
    return start if out[start : start + 1] == b"C" else at


class NormalizedQueries:
    """The queries of one session with their literals taken out, under one catalog and one set of settings.

    A text that cannot be compiled that way is not tried again: the original text decides about it, and
    words its error.
    """

    def __init__(self, state: SessionState) -> None:
        self._state = state
        self._catalog: Catalog | None = None
        self._generation = -1
        self._known: OrderedDict[_Key, QueryStatement | None] = OrderedDict()

    def bind(self, text: str) -> Portal | None:
        """Return a portal for a query, None if the text has to be taken as it is.

        So has that of a client whose encoding the constants are not in any more.
        """
        if self._state.block.state is State.FAILED or self._state.settings.encoding is not None:
            return None
        normalized = normalize(text)
        if normalized is None:
            return None
        if self._state.block.renews:
            self._state.look_again()
        statement = self._statement((normalized.text, normalized.types))
        if statement is None:
            return None
        values: list[bytes | None] = [constant.encode() for constant in normalized.constants]
        try:
            portal = statement.bind(Bind(b"", b"", (), values, ()))
            if isinstance(portal, QueryPortal):
                portal.compute_early()
        except SqlError:
            return None  # a constant that its type does not take, or a function
        return portal

    def _statement(self, key: _Key) -> QueryStatement | None:
        catalog, generation = self._state.block.catalog, self._state.settings.generation
        if catalog is not self._catalog or generation != self._generation:
            self._known.clear()
            self._catalog, self._generation = catalog, generation
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        statement = self._known[key] = self._compile(key)
        if len(self._known) > _KNOWN_MAX:
            self._known.popitem(last=False)
        return statement

    def _compile(self, key: _Key) -> QueryStatement | None:
        text, types = key
        try:
            script = parse(text, self._state.environment.plans)
            if len(script) != 1:
                return None
            (only,) = script
            parsed = only.parsed()
            if parsed.name not in QUERIES or parsed.long_names:
                return None
            statement = QueryStatement(self._state, parsed, types, "")
            if statement.compiled().program.plan.is_generic:
                return None
        except SqlError:
            return None
        return statement
