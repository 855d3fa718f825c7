"""The usual round trip of a prepared statement, answered in one go.

Drivers send Bind, Describe (some leave it out), Execute and Sync in one packet, to the unnamed portal:

    B [] name formats count | values ... | result formats   D P []   E [] 0   S
    ------- head ----------                --------------- tail -------------

For one statement and one driver everything but the values is the same each time. It is compared as bytes
with what it was the last time and never parsed again; BEGIN and COMMIT have no values and are compared as a
whole. Whatever looks different in the least, or would be
an error, is left to the handlers of the single messages, which have to come to the same answers.
"""

from __future__ import annotations

import struct
from typing import Any

from dsql.errors import SqlError
from dsql.session.block import State
from dsql.session.compiled import CompiledQuery, Shape
from dsql.session.extended import READY
from dsql.session.interrupts import HELD
from dsql.session.portal import QueryPortal, SpentPortal, run_to_end, send_notices
from dsql.session.state import SessionState
from dsql.session.statement import QueryStatement, TransactionStatement
from dsql.wire import backend, frontend

BIND = ord("B")
_HEADER_BYTES = 5
_NAME_AT = 6  # behind the name of the unnamed portal
_END = b"E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04"
_DESCRIBED_END = b"D\0\0\0\x06P\0" + _END
_NULL = -1
_IDLE, _OPEN = State.IDLE, State.OPEN
_completions = {tag: backend.command_complete(tag) for tag in ("BEGIN", "COMMIT", "ROLLBACK")}
_unpack_length = struct.Struct("!i").unpack_from


class PreparedRound:
    """What stays the same from round to round of one statement."""

    __slots__ = (
        "after_bind",
        "decoders",
        "emit",
        "head",
        "portal",
        "prologue",
        "query",
        "tail",
        "tail_bytes",
        "values_at",
    )

    def __init__(
        self, state: SessionState, query: CompiledQuery, shape: Shape, head: bytes, tail: bytes
    ) -> None:
        self.query = query
        self.decoders = shape.decoders
        self.emit = query.emitter(shape)
        self.head = head
        self.tail = tail
        described = tail.endswith(_DESCRIBED_END)
        self.after_bind = len(_DESCRIBED_END if described else _END) + 1
        self.values_at = _HEADER_BYTES + len(head)
        self.tail_bytes = len(tail)
        self.prologue = backend.BIND_COMPLETE + (shape.description if described else b"")
        self.portal = QueryPortal.spent(state, query, shape)

    def decode(self, data: bytes) -> list[Any] | None:
        """Return the parameters; None if there is anything wrong with the message."""
        size = len(data)
        if _unpack_length(data, 1)[0] != size - self.after_bind:
            return None
        start = self.values_at
        values: list[Any] = []
        try:
            for decode in self.decoders:
                at = start + 4
                length = _unpack_length(data, start)[0]
                start = at + length
                if length >= 0:
                    values.append(decode(data[at:start]))
                elif length == _NULL:
                    values.append(None)
                    start = at
                else:
                    return None
        except Exception:  # the handler of Bind finds the right words for it
            return None
        return values if start == size - self.tail_bytes else None


class PreparedRounds:
    """Answers such rounds for one session."""

    def __init__(self, state: SessionState) -> None:
        self._state = state
        self._block = state.block
        self._interrupts = state.interrupts
        self._statements = state.statements
        self._out = state.out
        self._spent = SpentPortal(state, backend.NO_DATA, b"")

    def be_used(self, *, used: bool) -> None:
        """Answer no round until it is `used` again: of a client whose names have to be converted."""
        self._statements = self._state.statements if used else {}

    def answer(self, data: bytes) -> bool:
        """Answer `data` if it is one such round and nothing else; else append nothing and return False.

        It starts with `BIND`; what does not cannot be one.
        An error that it raises is that of the round, whose Sync has not been answered yet.
        """
        statement = self._statements.get(data[_NAME_AT : data.find(0, _NAME_AT)])
        if type(statement) is not QueryStatement:
            return type(statement) is TransactionStatement and self._run(statement, data)
        block = self._block
        idle = block.state is _IDLE
        if not idle and block.state is not _OPEN:
            return False
        known = statement.round
        if known is None or not (data.startswith(known.head, 5) and data.endswith(known.tail)):
            known = statement.round = self._learn(statement, data)
            if known is None:
                return False
        parameters = known.decode(data)
        if block.renews:
            self._state.look_again()
        if parameters is None or not statement.is_current(block.catalog):
            return False
        if known.query.is_outdated:
            return False
        self._out += known.prologue
        self._state.said = known.query.text
        run_to_end(self._state, known.query, known.emit, parameters)
        if idle:
            block.commit()
            self._out += backend.READY_IDLE
        else:
            self._interrupts.state = HELD
            self._state.portals[b""] = known.portal
            self._out += backend.READY_IN_BLOCK
        return True

    def _run(self, statement: TransactionStatement, data: bytes) -> bool:
        """Answer the round of a transaction statement."""
        state = self._block.state
        if state is not _OPEN and state is not _IDLE:
            return False
        if data != statement.round and not self._learn_whole(statement, data):
            return False
        out = self._out
        out += statement.prologue
        self._state.portals.pop(b"", None)
        self._state.context.start_statement()
        result = statement.run()
        if result.notices:
            send_notices(self._state, result.notices)
        out += _completions.get(result.tag) or backend.command_complete(result.tag)
        state = self._block.state
        if state is _OPEN:
            self._state.portals[b""] = self._spent
        out += READY[state]
        return True

    def _learn_whole(self, statement: TransactionStatement, data: bytes) -> bool:
        """Take a round without values apart for the first time; return whether it is one."""
        described = data.endswith(_DESCRIBED_END)
        end = len(data) - len(_DESCRIBED_END if described else _END)
        if not data.endswith(_END) or _unpack_length(data, 1)[0] != end - 1:
            return False
        try:
            message = frontend.parse_bind(data[_HEADER_BYTES:end])
        except SqlError:
            return False
        if message.portal or message.values:
            return False
        statement.round = data
        statement.prologue = backend.BIND_COMPLETE + (backend.NO_DATA if described else b"")
        return True

    def _learn(self, statement: QueryStatement, data: bytes) -> PreparedRound | None:
        """Take a round apart for the first time; None if it is none."""
        if not data.endswith(_END):
            return None
        end = len(data) - len(_DESCRIBED_END if data.endswith(_DESCRIBED_END) else _END)
        if _unpack_length(data, 1)[0] != end - 1:
            return None
        try:
            message = frontend.parse_bind(data[_HEADER_BYTES:end])
            query = statement.compiled()
            shape = query.shape(message.formats, message.result_formats)
        except SqlError:
            return None
        if message.portal or len(message.values) != len(shape.decoders):
            return None
        values_at = _NAME_AT + len(message.statement) + 1 + 2 * len(message.formats) + 4
        tail_at = end - 2 - 2 * len(message.result_formats)
        return PreparedRound(
            self._state, query, shape, data[_HEADER_BYTES:values_at], data[tail_at:]
        )
