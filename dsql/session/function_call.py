"""FunctionCall, the protocol's fast path: one function by its OID, with its arguments, and its result back.

libpq's PQfn sends it, and what is built upon that. It is run as the query `SELECT schema.function($1, ...)`
with the function's own argument types, so that it passes the privileges, cancellation and transactions
of every other query.
"""

from __future__ import annotations

from dsql.catalog.catalog import Catalog
from dsql.errors import SqlError, unsupported
from dsql.functions import registry as functions
from dsql.functions.function import Function
from dsql.session.block import State
from dsql.session.compiled import decode_values, encoders, expand_result_formats
from dsql.session.extended import READY
from dsql.session.portal import QueryPortal
from dsql.session.state import SessionState
from dsql.session.statement import QueryStatement
from dsql.sql.gate import parse_statement
from dsql.sql.sql_functions import callee_of
from dsql.types import oids
from dsql.types import registry as types
from dsql.wire import backend, frontend


class FunctionCalls:
    """Handles FunctionCall messages."""

    def __init__(self, state: SessionState) -> None:
        self._state = state

    def call(self, body: bytes) -> None:
        """Call a function; outside a block that is a transaction of its own."""
        state, block = self._state, self._state.block
        message = frontend.parse_function_call(body)
        state.interrupts.begin_statement()
        state.check_not_failed()
        result = self._run(_find(message.function, block.catalog), message)
        if block.state is State.IMPLICIT:
            block.commit()
        state.interrupts.hold()
        state.out += backend.function_call_response(result)
        state.out += READY[block.state]

    def _run(self, function: Function, message: frontend.FunctionCall) -> bytes | None:
        state, count = self._state, len(function.argument_types)
        _check_arguments(function, message)
        parameters = ", ".join(f"${number}" for number in range(1, count + 1))
        text = f'SELECT "{function.schema}"."{function.name}"({parameters})'
        statement = QueryStatement(state, parse_statement(text), function.argument_types, "")
        query = statement.compiled()
        shape = query.shape(message.formats, (message.result_format,))
        values = decode_values(shape.decoders, message.values, "function argument", "")
        ((value,),) = QueryPortal(state, query, shape, values).fetch(None)
        assert query.columns is not None
        codes = expand_result_formats((message.result_format,), 1)
        (encode,) = encoders(query.columns, codes, state.settings.formats)
        return None if value is None else encode(value)


def _find(oid: int, catalog: Catalog) -> Function:
    """Return a function that may be called in this way. Raises SqlError 42883, 0A000."""
    own = catalog.functions.get(oid)
    callee = functions.by_oid(oid) if own is None else callee_of(own, catalog)
    if callee is None:
        raise SqlError("42883", f"function with OID {oid} does not exist")
    if not isinstance(callee, Function) or callee.returns_set:
        raise unsupported(f'cannot call function "{callee.name}" via fastpath interface')
    return callee


def _check_arguments(function: Function, message: frontend.FunctionCall) -> None:
    given, wanted = len(message.values), len(function.argument_types)
    if given != wanted:
        raise SqlError(
            "08P01",
            f"function call message contains {given} arguments but function requires {wanted}",
        )
    if len(message.formats) > 1 and len(message.formats) != given:
        raise SqlError(
            "08P01",
            f"function call message contains {len(message.formats)} argument formats "
            f"but {given} arguments",
        )
    for oid in function.argument_types:
        kind = types.get(oid)
        if kind.kind == "p" and oid != oids.CSTRING:
            raise unsupported(f"cannot accept a value of type {kind.name}")
