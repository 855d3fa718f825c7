"""The query processor's side of a commit: ask, and never guess.

A commit goes to the zone that leads, and is sent again only where it was refused: then nothing was done.
One whose answer is lost (the connection broke, the leader changed or is silent) may or may not be in the
journal. The other zones are asked for the transaction by its id, while the first answer is still waited
for, and the answer to that is final: committed, or aborted for good. Only if nobody can tell in time does
the outcome stay unknown. A leader that nobody answers may be the one that is cut off: where it cannot
commit, the other zones are asked as well, for a moment.

All activities of a process share one connection to each zone (`adjudicator.dialing`).
"""

from __future__ import annotations

import os
import select

from adjudicator.dialing import Connect, Prepare, ZoneConnections
from adjudicator.listening import Feed, NotificationFeed
from adjudicator.messages import (
    TRANSACTION_ID_BYTES,
    Request,
    Verdict,
    decode_identity,
    encode_commit,
    encode_status,
)
from adjudicator.zone_connection import LOST, UNSENT, Question, Reply, ZoneConnection, ZoneFeed
from dsql.hub.waiter import Blocking, Waiter
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

__all__ = ["AdjudicatorClient", "Feed", "NotificationFeed", "ZoneFeed", "hello"]

_PATIENCE_SECONDS = 0.05  # some times what a commit takes; then the other zones are asked as well
_HEARTBEAT_SECONDS = 10.0
_REACH_SECONDS = 5.0  # until a zone takes the request at all
_RESOLVE_SECONDS = 20.0  # for asking about a lost outcome, reconnecting included
_ELSEWHERE_SECONDS = 0.25  # some times what an election takes
_DYING_SECONDS = 0.1  # so long a zone that has died may still take connections
_RETRY_SECONDS_MIN, _RETRY_SECONDS_MAX = 0.01, 0.25
_PREPARE_MICROSECONDS = 1_000_000  # between two commits that see to it that every zone can be asked

_HEARTBEAT = bytes((Request.HEARTBEAT,))

_NOT_DONE = (UNSENT, Verdict.NOT_LEADER)
_UNCERTAIN = (LOST, Verdict.UNKNOWN)
_STRANDED = (Verdict.UNAVAILABLE, Verdict.UNDECIDED)  # a zone without a majority


def hello(cluster: str) -> bytes:
    """Return what the opener of a connection sends first: a whole frame, for `socket.sendall`."""
    return frame(encode(Hello(cluster)))


class AdjudicatorClient:
    """One query processor's connections to its cluster's adjudicators.

    `azs` are the cluster's zones, sorted. `connect(az)` returns the zone and a socket on
    which `hello` has been sent, to that zone or, for "", to the one that most likely leads; it raises
    OSError, and may give way to others. `prepare(az)` may have one made for a later `connect(az)`; it does
    not wait, and returns whether that will not either. With a `waiter` that has others, `flush` has to be
    called after each round of theirs.

    A commit is sent to one zone; if that is silent for `patience_seconds`, all others are asked about it.
    `zones` are the connections, for who listens to the same zones.
    """

    def __init__(
        self,
        azs: list[str],
        connect: Connect,
        *,
        prepare: Prepare = lambda _: True,
        patience_seconds: float = _PATIENCE_SECONDS,
        reach_seconds: float = _REACH_SECONDS,
        resolve_seconds: float = _RESOLVE_SECONDS,
        waiter: Waiter | None = None,
    ) -> None:
        self._azs = azs
        self._patience_seconds = patience_seconds
        self._reach_seconds = reach_seconds
        self._resolve_seconds = resolve_seconds
        self._waiter: Waiter = waiter or Blocking()
        self._leader = ""  # the zone that is believed to lead, "" before the first connection
        self._prepare_at = 0  # a commit timestamp
        self._dead, self._dead_until = "", 0.0  # a zone that others may still take for the leader
        self.zones = self._zones = ZoneConnections(
            azs, connect, prepare, self._waiter, patience_seconds, self._died
        )

    def commit(self, encoded: bytes, transaction_id: bytes, premises: bytes = b"") -> CommitOutcome:
        """Commit an encoded WriteSet with this id, and return how it ended. Does not raise OSError.

        `premises`: encoded Premises, if there are any.
        """
        question = Question(transaction_id, self._waiter.current)
        try:
            reply = self._outcome(encoded, premises, question)
        finally:
            _forget(question)
        verdict, timestamp = reply
        if verdict == Verdict.COMMITTED:
            if timestamp >= self._prepare_at:
                self._prepare_at = timestamp + _PREPARE_MICROSECONDS
                self._zones.prepare()
            return Committed(timestamp)
        if verdict in (Verdict.DATA_CONFLICT, Verdict.SCHEMA_CONFLICT):
            return Conflict(schema=verdict == Verdict.SCHEMA_CONFLICT, met=timestamp)
        if verdict == Verdict.ABORTED:
            return Buried()
        if verdict in (Verdict.REFUSED, Verdict.FULL):
            return Refused(disk_full=verdict == Verdict.FULL)
        if verdict == Verdict.BEHIND:
            return Behind()
        return Unavailable() if verdict == Verdict.UNAVAILABLE else Unknown()

    def heartbeat(self) -> int:
        """Let an idle journal's time move on; return the new timestamp. Raises OSError."""
        ping = os.urandom(TRANSACTION_ID_BYTES)
        question = Question(ping, self._waiter.current)
        try:
            reply = self._ask(_HEARTBEAT + ping, question, _HEARTBEAT_SECONDS)
        finally:
            _forget(question)
        if reply is None or reply[0] != Verdict.COMMITTED:
            raise ConnectionError("no leader answers")
        return reply[1]

    def flush(self) -> None:
        """Send what all have asked in a round that is over, at once to each zone."""
        self._zones.flush()

    def close(self) -> None:
        """Close the connections."""
        self._zones.close()

    def _ask(self, request: bytes, question: Question, seconds: float) -> Reply | None:
        """Have the leader do something; None if it may have been done, and the answer is lost or late."""
        failures = 0
        while True:
            az = self._leader
            connection = self._zones.reach(az)
            reply: Reply | None = (UNSENT, 0)
            if connection is not None:
                az = connection.az
                self._leader = self._leader or az
                if self._has_room(connection, len(request)):
                    connection.ask(question, request)
                    reply = self._answer(connection, question, seconds)
            if reply is None or reply[0] in _UNCERTAIN:
                return None
            if reply[0] not in _NOT_DONE:
                return reply
            self._turn_away(az, self._named(reply[1]))
            failures += 1
            if self._wait_after(failures):
                return Verdict.UNAVAILABLE, 0

    def _answer(
        self, connection: ZoneConnection, question: Question, seconds: float
    ) -> Reply | None:
        """Return a zone's answer, None if it takes too long from when the request was sent."""
        monotonic, answers = self._waiter.monotonic, question.answers
        deadline = monotonic() + seconds
        while not answers:
            connection.wait(deadline)
            if not answers and (now := monotonic()) >= deadline:
                if connection.has_sent(question):
                    return None
                deadline = now + seconds
        return answers.pop(connection.az)

    def _has_room(self, connection: ZoneConnection, size: int) -> bool:
        """Return whether a zone takes a request, after others have been answered if need be."""
        if connection.has_room(size):
            return True
        monotonic = self._waiter.monotonic
        deadline = monotonic() + self._reach_seconds
        while connection.is_open and (now := monotonic()) < deadline:
            connection.wait(now + _RETRY_SECONDS_MIN)
            if connection.has_room(size):
                return connection.is_open
        return False

    def _wait_after(self, failures: int) -> bool:
        """Wait a little once every zone has been asked; return whether it has taken too long by now."""
        rounds, rest = divmod(failures, len(self._azs))
        if rest == 0:
            self._pause(_backoff(rounds))
        return sum(map(_backoff, range(1, rounds + 1))) >= self._reach_seconds

    def _pause(self, seconds: float) -> None:
        waiter = self._waiter
        until = waiter.monotonic() + seconds
        while waiter.monotonic() < until:
            waiter.wait(until)

    def _outcome(self, encoded: bytes, premises: bytes, question: Question) -> Reply:
        request = encode_commit(encoded, premises)
        reply = self._ask(request, question, self._patience_seconds)
        if reply is None:
            reply = self._resolve(encoded, question, self._azs, self._resolve_seconds)
        if reply[0] in _STRANDED:
            others = [az for az in self._azs if az != self._leader]
            found = self._resolve(encoded, question, others, _ELSEWHERE_SECONDS)
            if _is_final(found) and found[0] not in _STRANDED:
                reply = found
        return reply

    def _resolve(
        self, encoded: bytes, question: Question, zones: list[str], seconds: float
    ) -> Reply:
        """Ask all `zones` that have not the request itself for its outcome, until one can tell."""
        request = encode_status(question.transaction_id, decode_identity(encoded).start_timestamp)
        tries = dict.fromkeys(zones, 0)
        again_at = dict.fromkeys(zones, 0.0)
        monotonic = self._waiter.monotonic
        deadline = monotonic() + seconds
        reply: Reply = (Verdict.UNKNOWN, 0)
        while (now := monotonic()) < deadline:
            waiting = {connection.az for connection in question.waiting}
            due = [az for az in zones if az not in waiting and again_at[az] <= now]
            due.sort(key=lambda az: az == self._leader)  # lost: to reach it may take longest
            failed = {az for az in due if not self._send(az, question, request)}
            waiting = {connection.az for connection in question.waiting}
            wake_at = min([deadline, *(at for az, at in again_at.items() if az not in waiting)])
            self._await_any(question, max(now + _RETRY_SECONDS_MIN, wake_at))
            answered, question.answers = question.answers, {}
            final = [az for az in sorted(answered) if _is_final(answered[az])]
            if final:
                self._leader, reply = final[0], answered[final[0]]
                break
            for az in failed | (answered.keys() & tries.keys()):
                tries[az] += 1
                again_at[az] = now + _backoff(tries[az])
        _leave_silent(question)
        self._prepare_at = 0  # who has left a zone should be able to come back
        return reply

    def _send(self, az: str, question: Question, request: bytes) -> bool:
        # While somebody may answer, nobody else is waited for: the agent may be stopped, or gone.
        connection = self._zones.reach(az, may_wait=not question.waiting)
        if connection is None or not connection.has_room(len(request)):
            return False
        connection.ask(question, request)
        return True

    def _await_any(self, question: Question, until: float) -> None:
        """Wait until a zone has said something or is lost, or so long."""
        waiter = self._waiter
        while not question.answers and (now := waiter.monotonic()) < until:
            if waiter.alone and question.waiting:
                self._poll(list(question.waiting), min(until - now, self._patience_seconds))
            else:
                waiter.wait(min([until, *(zone.watch(until) for zone in question.waiting)]))

    def _poll(self, zones: list[ZoneConnection], seconds: float) -> None:
        """Take what one of several zones says. Blocks."""
        poll = select.poll()
        named = {}
        for zone in zones:
            zone.flush()
            if zone.is_open:
                named[zone.fileno()] = zone
                poll.register(zone.fileno(), select.POLLIN)
        for descriptor, _ in poll.poll(seconds * 1000):
            named[descriptor].receive()

    def _died(self, number: int) -> None:
        """A zone has died, says another one. If it is back by now, an outcome is asked for in vain."""
        if az := self._named(number):
            self._dead, self._dead_until = az, self._waiter.monotonic() + _DYING_SECONDS
            self._zones.lose(az)
            self._turn_away(az, "")

    def _turn_away(self, az: str, named: str) -> None:
        """Believe in another leader than `az`, unless somebody does already."""
        if named and named == self._dead and self._waiter.monotonic() < self._dead_until:
            named = ""
        if named or self._leader == az:
            self._leader = named or self._behind(az)

    def _named(self, number: int) -> str:
        """Return the zone that a refusal names, "" if it names none."""
        return self._azs[number - 1] if 0 < number <= len(self._azs) else ""

    def _behind(self, az: str) -> str:
        """Return the zone to try after this one."""
        return self._azs[(self._azs.index(az) + 1) % len(self._azs)] if az else self._azs[0]


def _is_final(reply: Reply) -> bool:
    return reply[0] not in _NOT_DONE and reply[0] not in _UNCERTAIN


def _forget(question: Question) -> None:
    """Take no answers any more from those that have not given one."""
    for connection in question.waiting:
        connection.forget(question)


def _leave_silent(question: Question) -> None:
    """Give up the connections on which nothing at all has come since they were asked."""
    for connection, answers in list(question.waiting.items()):
        if connection.answers == answers:
            connection.lose()


def _backoff(count: int) -> float:
    return min(_RETRY_SECONDS_MIN * 2.0 ** min(count, 10), _RETRY_SECONDS_MAX)
