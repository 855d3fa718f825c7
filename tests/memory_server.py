"""Real sessions over socketpairs with a store in memory behind them, for tests without processes."""

from __future__ import annotations

import contextvars
import os
import select
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import repeat
from typing import Any

import msgspec

from adjudicator.client import NotificationFeed
from adjudicator.messages import Verdict, encode_heard
from dsql.ddl.job_runner import JobRunner, Store
from dsql.hub.waiter import Blocking, Waiter
from dsql.session.activity import Activity
from dsql.session.activity import decode as decode_activity
from dsql.session.departure import Departure
from dsql.session.environment import Environment
from dsql.session.handed import HandedSession
from dsql.session.lost_transactions import LostTransactions
from dsql.session.record import decode
from dsql.session.session import Session
from dsql.tls.connection import open_connection
from dsql.transaction.interface import (
    CommitOutcome,
    Committed,
    Conflict,
    Mode,
    Premises,
    WriteSet,
)
from dsql.transaction.manager import POSTGRES_LIMITS, TransactionManager
from dsql.wire import client
from storage.snapshot import snapshot_too_old

TIME_MICROSECONDS = 1_767_225_600_000_000  # 2026-01-01 00:00:00 UTC, whenever a session asks

_decode = msgspec.msgpack.Decoder(WriteSet).decode
_decode_premises = msgspec.msgpack.Decoder(Premises).decode

# Each session moves to another process whenever it may, with the bytes of its record.
MOVES = "DSQL_TEST_PARK_SECONDS" in os.environ

ARN = "arn:aws:iam::111122223333:role/client"  # who signs the tokens of all sessions


class MemorySnapshot:
    def __init__(self, store: MemoryStore, timestamp: int, rows: dict[bytes, bytes]) -> None:
        self._rows = rows
        self._store = store
        self.timestamp = timestamp
        self.bytes_read = 0

    def get(self, key: bytes) -> bytes | None:
        value = self._rows.get(key)
        self.bytes_read += len(value or b"")
        return value

    def is_outdated(self, keys: Iterable[bytes], since: int) -> bool:
        return any(self._store.changed.get(key, 0) > since for key in keys)

    def may_have(self, keys: Iterable[bytes]) -> bool:
        return any(key in self._rows for key in keys)

    def scan(self, low: bytes, high: bytes, *, reverse: bool = False) -> Iterator[Any]:
        found = sorted(row for row in self._rows.items() if low <= row[0] < high)
        return iter(found[::-1] if reverse else found)


class MemoryStore:
    """Replica, clock and committer in one: a dict, and the last commit of every key.

    What was is forgotten as soon as nobody reads it any more.
    """

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.changed: dict[bytes, int] = {}
        self.now = 1
        self.readers: dict[object, tuple[int, dict[bytes, bytes]]] = {}
        self.feeds: list[NotificationFeed] = []

    def snapshot(self, timestamp: int, reader: object) -> MemorySnapshot:
        known = [(self.now, self.rows), *self.readers.copy().values()]
        rows = next((rows for shown, rows in known if shown == timestamp), None)
        if rows is None:
            raise snapshot_too_old()
        self.readers[reader] = timestamp, rows
        return MemorySnapshot(self, timestamp, rows)

    def release(self, reader: object) -> None:
        self.readers.pop(reader, None)

    def latest(self) -> int:
        return self.now

    def commit(self, encoded: bytes, transaction_id: bytes, premises: bytes = b"") -> CommitOutcome:
        writes = _decode(encoded)
        rests_on = _decode_premises(premises) if premises else Premises()
        start, changed = writes.start_timestamp, self.changed
        for entries, delays in (
            (writes.checks, rests_on.check_delays),
            (writes.writes, rests_on.write_delays),
        ):
            for (key, mode, *_), delay in zip(entries, delays or repeat(0), strict=False):
                if changed.get(key, 0) > start + delay and mode != Mode.BLIND:
                    return Conflict(mode == Mode.CATALOG, changed[key])
        if any(changed.get(key, 0) > start for key in rests_on.keys):
            return Conflict(schema=False)
        for low, high in rests_on.ranges:
            if any(low <= key < high and at > start for key, at in changed.items()):
                return Conflict(schema=False)
        now, rows, changed = self.now + 1, self.rows.copy(), self.changed.copy()
        for key, _, value in writes.writes:
            changed[key] = now
            if value is None:
                rows.pop(key, None)
            else:
                rows[key] = value
        # In one step: no interrupt finds half of a commit.
        self.now, self.rows, self.changed = now, rows, changed
        if writes.notifications:
            body = encode_heard(b"", now, msgspec.msgpack.encode(writes.notifications))
            for feed in self.feeds:
                feed.said("az", feed._name, Verdict.HEARD, now, body)
        return Committed(self.now)


# A session's thread is used again by later ones: for every thread that has ever called the parser, it takes
# one of the 1,024 keys for thread-specific data that a process has.
_threads = ThreadPoolExecutor(1_000)


class Peer:
    """The client's end. Answers come as (letter, body) up to and including ReadyForQuery."""

    def __init__(self, ours: socket.socket) -> None:
        self.socket = ours
        ours.settimeout(60)  # a busy machine may starve a thread for long
        self._rest = b""

    def send(self, *messages: bytes) -> None:
        self.socket.sendall(b"".join(messages))

    def until_ready(self) -> list[tuple[str, bytes]]:
        answers: list[tuple[str, bytes]] = []
        while not answers or answers[-1][0] != "Z":
            answers += self.read()
        return answers

    def until(self, letter: str) -> list[tuple[str, bytes]]:
        answers: list[tuple[str, bytes]] = []
        while letter not in {kind for kind, _ in answers}:
            answers += self.read()
        return answers

    def read(self) -> list[tuple[str, bytes]]:
        data = self.socket.recv(65_536)
        assert data, "the session has ended"
        answers, self._rest = client.split_answers(self._rest + data)
        return answers

    def ask(self, *messages: bytes) -> list[tuple[str, bytes]]:
        self.send(*messages)
        return self.until_ready()

    def ask_for_the_last_time(self, text: str) -> list[tuple[str, bytes]]:
        """Return the answers to a query that the session ends with."""
        self.send(client.query(text))
        answers: list[tuple[str, bytes]] = []
        while data := self.socket.recv(65_536):
            answers += client.split_answers(data)[0]
        return answers

    def query(self, text: str) -> list[tuple[str, bytes]]:
        return self.ask(client.query(text))

    def rows(self, text: str) -> list[list[bytes | None]]:
        answers = self.query(text)
        assert "E" not in letters(answers), errors(answers)
        return rows(answers)

    def fails(self, text: str) -> tuple[str, str]:
        found = errors(self.query(text))
        assert found, "no error"
        return found[0]["C"], found[0]["M"]


def letters(answers: list[tuple[str, bytes]]) -> str:
    return "".join(kind for kind, _ in answers)


def rows(answers: list[tuple[str, bytes]]) -> list[list[bytes | None]]:
    return [client.row_values(body) for kind, body in answers if kind == "D"]


def tags(answers: list[tuple[str, bytes]]) -> list[str]:
    return [body[:-1].decode() for kind, body in answers if kind == "C"]


def errors(answers: list[tuple[str, bytes]]) -> list[dict[str, str]]:
    return [client.error_fields(body) for kind, body in answers if kind == "E"]


def notices(answers: list[tuple[str, bytes]]) -> list[dict[str, str]]:
    return [client.error_fields(body) for kind, body in answers if kind == "N"]


class Server:
    """Starts sessions on one store, each in a thread of its own."""

    def __init__(self, profile: str, *, profile_changes: bool = False, moves: bool = MOVES) -> None:
        self.store = MemoryStore()
        self.profile = profile
        self.profile_changes = profile_changes
        self.park_seconds = 0.0 if moves else float("inf")
        self.departures: list[Departure] = []
        self.is_parked = False
        self.environments: list[Environment] = []
        self.sessions: list[Session] = []
        self.lives: list[Future[None]] = []
        self.peers: list[Peer] = []
        self.lost = LostTransactions()

    def environment(self, waiter: Waiter | None = None) -> Environment:
        limits = POSTGRES_LIMITS if self.profile == "postgres" else None
        manager = TransactionManager(self.store, self.store, self.store, limits)
        waiter = waiter or Blocking()
        # Nobody is asked: the store tells all.
        feed = NotificationFeed(["az"], lambda az: None, waiter, lambda run: run, self.store.latest)
        self.store.feeds.append(feed)
        environment = Environment(
            "a" * 26,
            self.profile,
            manager.begin,
            request_jobs=lambda: jobs.run_pending(time.sleep),
            run_job=lambda job, pause: jobs.run_and_report(job.identifier, pause),
            give_up_job=lambda job, reason: jobs.give_up(job.identifier, reason),
            look_around=lambda pause: self.look_around(),
            lost=self.lost,
            signal=self.signal,
            profile_changes=self.profile_changes,
            since=TIME_MICROSECONDS,
            stored_bytes=lambda: sum(len(key) + len(row) for key, row in self.store.rows.items()),
            now=lambda: TIME_MICROSECONDS,
            waiter=waiter,
            feed=feed,
        )
        jobs = JobRunner(Store(manager.begin, environment.catalogs.current, lambda: 0))
        return environment

    def look_around(self) -> list[Activity]:
        """What sessions see of each other; none of them may have moved."""
        running = zip(self.sessions, self.lives, strict=False)
        found = (decode_activity(one.activity()) for one, life in running if not life.done())
        return [activity for activity in found if activity is not None]

    def signal(self, process_id: int, pause: object, *, ends: bool) -> None:
        (found,) = (one for one in self.sessions if one.connection_id == process_id)
        if ends:
            found.interrupts.terminate()
        else:
            found.interrupts.cancel()

    def refuses(self, **parameters: str) -> dict[str, str]:
        """Return the FATAL error that a connection ends with before it is ready."""
        return errors(self.start(**parameters).until("E"))[0]

    def connect(self, **parameters: str) -> Peer:
        peer = self.start(**parameters)
        peer.greeting = peer.until_ready()
        return peer

    def pair(
        self,
        environment: Environment,
        pending: bytes = b"",
        process_id: int = 7,
        **parameters: str,
    ) -> tuple[Session, Peer]:
        """A session that does not run yet, and its client."""
        ours, theirs = socket.socketpair()
        names = {"user": "admin", "database": "postgres"} | parameters
        user = names["user"]
        begun = ("a" * 26, user, "postgres", ARN, names, process_id, 8, "", None, pending)
        handed = HandedSession(*begun)
        connection = open_connection(theirs, None, environment.waiter)
        return Session(handed, connection, environment), Peer(ours)

    def live(self, session: Session) -> None:
        """Run a session to its end, with all its moves to other processes."""
        client = session._connection._socket
        if not self.park_seconds:
            session._connection.never_block()
        session._park_at = session._environment.monotonic() + self.park_seconds
        session._park_seconds = self.park_seconds
        self.running = session
        departure = session.run()
        while departure is not None:
            self.departures.append(departure)
            if departure.deadline is not None:
                self.is_parked = True
                patience = departure.deadline - time.monotonic()
                select.select([client], [], [], max(0.0, min(patience, 60.0)))
            self.running = arrived = self.arrive(client, departure)
            departure = contextvars.Context().run(arrived.run)

    def wait_until_silent(self) -> bool:
        """Wait until the only session has moved, or found why it cannot; return whether it has.

        In a transaction it waits for its client elsewhere, outside of one where nobody runs it.
        """
        deadline = time.monotonic() + 10
        while not self.is_parked and self.running._park_at != float("inf"):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        return self.is_parked

    def arrive(self, client: socket.socket, departure: Departure) -> Session:
        """Return a session that has come to another process."""
        environment = self.environment()
        record = decode(departure.record)
        connection = open_connection(client, record.tls, environment.waiter)
        connection.never_block()
        receive = connection.receive

        def hear() -> bytes:
            data = receive()
            self.is_parked = False
            return data

        def arrived() -> None:
            departure.release()
            self.is_parked = True

        connection.receive = hear  # type: ignore[method-assign]
        return Session(record, connection, environment, self.park_seconds, arrived)

    def start(
        self, environment: Environment | None = None, pending: bytes = b"", **parameters: str
    ) -> Peer:
        environment = environment or self.environment()
        number = 7 + len(self.peers)
        session, peer = self.pair(environment, pending, number, **parameters)
        life = _threads.submit(contextvars.Context().run, self.live, session)
        self.environments.append(environment)
        self.sessions.append(session)
        self.lives.append(life)
        self.peers.append(peer)
        return peer

    def stop(self) -> None:
        for peer in self.peers:
            peer.socket.close()
        for life in self.lives:
            life.result(60)


def before_next_commit(server: Server, act: Callable[[], None]) -> None:
    """Have something happen when the next commit reaches the store, before it counts."""
    store, commit = server.store, server.store.commit

    def commit_behind(encoded: bytes, identity: bytes, premises: bytes = b"") -> CommitOutcome:
        store.commit = commit  # type: ignore[method-assign]
        act()
        return commit(encoded, identity, premises)

    store.commit = commit_behind  # type: ignore[method-assign]
