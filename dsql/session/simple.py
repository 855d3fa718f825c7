"""The simple protocol: a script in one message, one result per statement.

All statements of a script outside a block are one implicit transaction.
"""

from __future__ import annotations

from dsql.session.block import State
from dsql.session.extended import READY
from dsql.session.pipeline import parse
from dsql.session.state import SessionState
from dsql.session.statement import SIMPLE_BIND, check_may_run
from dsql.session.utility import make_statement
from dsql.sql.gate import ParsedStatement
from dsql.wire import backend, frontend


class SimpleProtocol:
    """Handles Query messages."""

    def __init__(self, state: SessionState) -> None:
        self._state = state

    def query(self, body: bytes) -> None:
        """Run a script to its end or first error."""
        state, block = self._state, self._state.block
        state.statements.pop(b"", None)
        script = parse(frontend.parse_query(body), state.environment.plans)
        if not script:
            state.out += backend.EMPTY_QUERY_RESPONSE
        for parsed in script:
            self._run(parsed)
        if block.state is State.IMPLICIT:
            block.commit()
        state.out += READY[block.state]

    def _run(self, parsed: ParsedStatement) -> None:
        state = self._state
        if state.block.state is State.FAILED and parsed.name != "Transaction":
            state.check_not_failed()
        statement = make_statement(state, parsed)
        check_may_run(state, statement)
        portal = statement.bind(SIMPLE_BIND)
        if portal.description is not backend.NO_DATA:
            state.out += portal.description
        portal.execute(0)
