"""The query processor's side of a commit: ask, and never guess.

A commit goes to the zone that leads, and is sent again only where it was refused: then nothing was done.
One whose answer is lost (the connection broke, the leader changed or is silent) may or may not be in the
journal. The other zones are asked for the transaction by its id, while the first answer is still waited
for, and the answer to that is final: committed, or aborted for good. Only if nobody can tell in time does
the outcome stay unknown. A leader that nobody answers may be the one that is cut off: where it cannot
commit, the other zones are asked as well, for a moment.
"""

from __future__ import annotations

import select
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
from dsql.transaction.interface import (
    Behind,
    Buried,
    CommitOutcome,
    Committed,
    Conflict,
    Refused,
    Unavailable,
    Unknown,
)

_PATIENCE_SECONDS = 0.05  # some times what a commit takes; then the other zones are asked as well
_HEARTBEAT_SECONDS = 10.0
_SEND_SECONDS = 0.25  # without a byte being taken: that zone stands still
_REACH_SECONDS = 5.0  # until a zone takes the request at all
_RESOLVE_SECONDS = 20.0  # for asking about a lost outcome, reconnecting included
_ELSEWHERE_SECONDS = 0.25  # some times what an election takes
_RETRY_SECONDS_MIN, _RETRY_SECONDS_MAX = 0.01, 0.25

_COMMIT = bytes((Request.COMMIT,))
_HEARTBEAT = bytes((Request.HEARTBEAT,))
_PING = b"\xff" * TRANSACTION_ID_BYTES

_NOT_FINAL = (Verdict.UNKNOWN, Verdict.NOT_LEADER)
_STRANDED = (Verdict.UNAVAILABLE, Verdict.UNDECIDED)  # a zone without a majority

Connect = Callable[[str], tuple[str, socket.socket]]
Reply = tuple[int, int]  # verdict, timestamp


def hello(cluster: str) -> bytes:
    """Return what the opener of a connection sends first: a whole frame, for `socket.sendall`."""
    return frame(encode(Hello(cluster)))


class AdjudicatorClient:
    """One query processor's connections to its cluster's adjudicators. Blocking.

    `azs` are the cluster's zones, sorted. `connect(az)` returns the zone and a socket on
    which `hello` has been sent, to that zone or, for "", to the one that most likely leads; it raises
    OSError. `pause` sleeps.

    A commit is sent to one zone; if that is silent for `patience_seconds`, all others are asked about it.
    """

    def __init__(
        self,
        azs: list[str],
        connect: Connect,
        *,
        patience_seconds: float = _PATIENCE_SECONDS,
        reach_seconds: float = _REACH_SECONDS,
        resolve_seconds: float = _RESOLVE_SECONDS,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._azs = azs
        self._connect = connect
        self._patience_seconds = patience_seconds
        self._reach_seconds = reach_seconds
        self._resolve_seconds = resolve_seconds
        self._pause = pause
        self._leader = ""  # the zone that is believed to lead, "" before the first connection
        self._connections: dict[str, BlockingConnection] = {}

    def commit(self, encoded: bytes, transaction_id: bytes) -> CommitOutcome:
        """Commit an encoded WriteSet with this id, and return how it ended. Does not raise OSError."""
        reply = self._ask(_COMMIT + encoded, transaction_id, self._patience_seconds)
        if reply is None:
            reply = self._resolve(encoded, transaction_id, self._azs, self._resolve_seconds)
        if reply[0] in _STRANDED:
            others = [az for az in self._azs if az != self._leader]
            found = self._resolve(encoded, transaction_id, others, _ELSEWHERE_SECONDS)
            reply = reply if found[0] in (*_NOT_FINAL, *_STRANDED) else found
        verdict, timestamp = reply
        if verdict == Verdict.COMMITTED:
            return Committed(timestamp)
        if verdict in (Verdict.DATA_CONFLICT, Verdict.SCHEMA_CONFLICT):
            return Conflict(schema=verdict == Verdict.SCHEMA_CONFLICT)
        if verdict == Verdict.ABORTED:
            return Buried()
        if verdict in (Verdict.REFUSED, Verdict.FULL):
            return Refused(disk_full=verdict == Verdict.FULL)
        if verdict == Verdict.BEHIND:
            return Behind()
        return Unavailable() if verdict == Verdict.UNAVAILABLE else Unknown()

    def heartbeat(self) -> int:
        """Let an idle journal's time move on; return the new timestamp. Raises OSError."""
        reply = self._ask(_HEARTBEAT + _PING, _PING, _HEARTBEAT_SECONDS)
        if reply is None or reply[0] != Verdict.COMMITTED:
            raise ConnectionError("no leader answers")
        return reply[1]

    def close(self) -> None:
        """Close the connections."""
        for az in list(self._connections):
            self._drop(az)

    def _ask(self, request: bytes, transaction_id: bytes, seconds: float) -> Reply | None:
        """Have the leader do something; None if it may have been done, and the answer is lost or late."""
        failures = 0
        while True:
            try:
                connection = self._connections.get(self._leader) or self._reach(self._leader)
                connection.send(request, _SEND_SECONDS)
            except OSError:  # a request that did not go out as a whole is never looked at
                self._drop(self._leader)
                self._leader = self._behind(self._leader)
            else:
                try:
                    reply = _receive(connection, transaction_id, seconds)
                except TimeoutError:
                    return None
                except OSError:
                    self._drop(self._leader)
                    return None
                if reply[0] == Verdict.UNKNOWN:
                    self._drop(self._leader)
                    return None
                if reply[0] != Verdict.NOT_LEADER:
                    return reply
                self._leader = self._named(reply[1]) or self._behind(self._leader)
            failures += 1
            if self._wait_after(failures):
                return Verdict.UNAVAILABLE, 0

    def _wait_after(self, failures: int) -> bool:
        """Sleep a little once every zone has been asked; return whether it has taken too long by now."""
        rounds, rest = divmod(failures, len(self._azs))
        if rest == 0:
            self._pause(_backoff(rounds))
        return sum(map(_backoff, range(1, rounds + 1))) >= self._reach_seconds

    def _resolve(
        self, encoded: bytes, transaction_id: bytes, zones: list[str], seconds: float
    ) -> Reply:
        """Ask all `zones` that have not the request itself for its outcome, until one can tell."""
        question = encode_status(transaction_id, decode_identity(encoded).start_timestamp)
        waiting = {self._leader} & self._connections.keys() & {*zones}
        tries = dict.fromkeys(zones, 0)
        again_at = dict.fromkeys(zones, 0.0)
        deadline = time.monotonic() + seconds
        while (now := time.monotonic()) < deadline:
            due = {az for az in zones if az not in waiting and again_at[az] <= now}
            asked = {az for az in sorted(due) if self._send(az, question)}
            waiting |= asked
            wake_at = min([deadline, *(at for az, at in again_at.items() if az not in waiting)])
            answered = self._await_any(waiting, max(_RETRY_SECONDS_MIN, wake_at - now))
            for az in sorted(answered):
                reply = self._take_reply(az, transaction_id)
                if reply is not None and reply[0] not in _NOT_FINAL:
                    self._leader = az
                    return self._settled(waiting - {az}, reply)
            for az in answered | (due - asked):
                tries[az] += 1
                again_at[az] = now + _backoff(tries[az])
            waiting -= answered
        return self._settled(waiting, (Verdict.UNKNOWN, 0))

    def _settled(self, waiting: set[str], reply: Reply) -> Reply:
        """Take no answers any more from those that have not given one."""
        for az in sorted(waiting):
            self._drop(az)
        return reply

    def _send(self, az: str, question: bytes) -> bool:
        try:
            connection = self._connections.get(az) or self._reach(az)
            connection.send(question, _SEND_SECONDS)
        except OSError:
            self._drop(az)
            return False
        return True

    def _await_any(self, zones: set[str], seconds: float) -> set[str]:
        """Return the zones that have said something, or are gone; none of them after so many seconds."""
        if not zones:
            self._pause(seconds)
            return set()
        poll = select.poll()
        named = {}
        for az in zones:
            named[self._connections[az].fileno()] = az
            poll.register(self._connections[az].fileno(), select.POLLIN)
        return {named[descriptor] for descriptor, _ in poll.poll(seconds * 1000)}

    def _take_reply(self, az: str, transaction_id: bytes) -> Reply | None:
        try:
            return _receive(self._connections[az], transaction_id, self._patience_seconds)
        except OSError:
            self._drop(az)
            return None

    def _reach(self, az: str) -> BlockingConnection:
        """Connect to a zone, or the likely leader. Raises OSError."""
        az, connected = self._connect(az)
        connection = BlockingConnection(connected)
        self._drop(az)
        self._connections[az] = connection
        self._leader = self._leader or az
        return connection

    def _drop(self, az: str) -> None:
        connection = self._connections.pop(az, None)
        if connection is not None:
            connection.close()

    def _named(self, number: int) -> str:
        """Return the zone that a refusal names, "" if it names none."""
        return self._azs[number - 1] if 0 < number <= len(self._azs) else ""

    def _behind(self, az: str) -> str:
        """Return the zone to try after this one."""
        return self._azs[(self._azs.index(az) + 1) % len(self._azs)] if az else self._azs[0]


def _backoff(count: int) -> float:
    return min(_RETRY_SECONDS_MIN * 2.0 ** min(count, 10), _RETRY_SECONDS_MAX)


def _receive(connection: BlockingConnection, transaction_id: bytes, seconds: float) -> Reply:
    """Return the answer that is about a transaction. Raises OSError."""
    while True:
        about, verdict, timestamp = decode_reply(connection.receive(seconds))
        if about == transaction_id:
            return verdict, timestamp
