"""The query processor's side of a commit: ask, and never guess.

A commit whose answer is lost (the connection broke, the leader changed, the deadline passed) may or
may not be in the journal. It is never sent again; instead the current leader is asked for the
transaction by its id, and the answer to that is final: committed, or aborted for good. Only if
nobody can be asked in time does the outcome stay unknown.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from adjudicator.messages import (
    TRANSACTION_ID_BYTES,
    Request,
    Verdict,
    decode_identity,
    decode_reply,
    encode_status,
)
from dsql.rpc.client import BlockingConnection
from dsql.rpc.framing import frame
from dsql.rpc.messages import Hello, encode
from dsql.transaction.interface import CommitOutcome, Committed, Conflict, Refused, Unknown

_ANSWER_SECONDS = 10.0
_RESOLVE_SECONDS = 20.0  # for asking about a lost outcome, reconnecting included
_RECONNECT_SECONDS = 0.02

_COMMIT = bytes((Request.COMMIT,))
_HEARTBEAT = bytes((Request.HEARTBEAT,))
_PING = b"\xff" * TRANSACTION_ID_BYTES


def hello(cluster: str) -> bytes:
    """Return what the opener of a connection sends first: a whole frame, for `socket.sendall`."""
    return frame(encode(Hello(cluster)))


class AdjudicatorClient:
    """One query processor's connection to its cluster's adjudicator. Blocking.

    `connected` is a socket on which `hello` has been sent, None if no leader could be reached yet;
    `reconnect` returns another such one to the current leader, or raises OSError.
    """

    def __init__(
        self,
        connected: socket.socket | None,
        reconnect: Callable[[], socket.socket],
        *,
        answer_seconds: float = _ANSWER_SECONDS,
        resolve_seconds: float = _RESOLVE_SECONDS,
    ) -> None:
        self._connection = None if connected is None else BlockingConnection(connected)
        self._reconnect = reconnect
        self._answer_seconds = answer_seconds
        self._resolve_seconds = resolve_seconds

    def commit(self, encoded: bytes, transaction_id: bytes) -> CommitOutcome:
        """Commit an encoded WriteSet with this id, and return how it ended. Does not raise OSError."""
        try:
            verdict, timestamp = self._ask(_COMMIT + encoded, transaction_id, self._answer_seconds)
        except OSError:
            return self._resolve(encoded, transaction_id)
        if verdict == Verdict.COMMITTED:
            return Committed(timestamp)
        if verdict == Verdict.UNKNOWN:
            return self._resolve(encoded, transaction_id)
        if verdict in (Verdict.REFUSED, Verdict.FULL):
            return Refused(disk_full=verdict == Verdict.FULL)
        return Conflict(schema=verdict == Verdict.SCHEMA_CONFLICT)

    def heartbeat(self) -> int:
        """Let an idle journal's time move on; return the new timestamp. Raises OSError."""
        return self._ask(_HEARTBEAT + _PING, _PING, self._answer_seconds)[1]

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def connect(self) -> BlockingConnection:
        """Return the connection, made now if there is none. Raises OSError."""
        if self._connection is None:
            self._connection = BlockingConnection(self._reconnect())
        return self._connection

    def _ask(self, request: bytes, transaction_id: bytes, seconds: float) -> tuple[int, int]:
        """Return (verdict, timestamp). Any OSError means that the answer is lost."""
        connection = self.connect()
        try:
            connection.send(request, seconds)
            while True:
                about, verdict, timestamp = decode_reply(connection.receive(seconds))
                if about == transaction_id:
                    return verdict, timestamp
        except OSError:
            self.close()
            raise

    def _resolve(self, encoded: bytes, transaction_id: bytes) -> CommitOutcome:
        question = encode_status(transaction_id, decode_identity(encoded).start_timestamp)
        deadline = time.monotonic() + self._resolve_seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                verdict, timestamp = self._ask(question, transaction_id, left)
            except OSError:
                time.sleep(_RECONNECT_SECONDS)
                continue
            if verdict == Verdict.COMMITTED:
                return Committed(timestamp)
            if verdict == Verdict.ABORTED:
                return Conflict(schema=False)
            self.close()  # not the leader any more
            time.sleep(_RECONNECT_SECONDS)
        return Unknown()
