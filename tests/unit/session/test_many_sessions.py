"""Several sessions in one process, as a query processor runs them."""

from __future__ import annotations

import logging
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from memory_server import Peer, Server, errors, rows

from dsql.hub.hub import Hub
from dsql.session.log_names import named
from dsql.session.record import decode
from dsql.session.roster import Roster
from dsql.session.session import Session
from dsql.session.signals import listen
from dsql.tls.connection import open_connection
from dsql.wire import client

ENDLESS = "SELECT count(*) FROM generate_series(1, 1000000000)"


class Process:
    """A hub with sessions in the main thread; their clients talk in threads."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.roster = Roster(self.hub)
        self.server = Server("postgres")
        self.environment = self.server.environment(self.hub)
        self.numbers = 0
        self.peers: list[Peer] = []
        self.shedding = 0  # so many sessions at the next tick
        self.moves = 0
        self.sessions: dict[int, Session] = {}
        self.evacuates = False  # at the next tick of the first session
        self.evacuated: set[int] = set()

    def start(self) -> tuple[int, Peer]:
        """Start a session; return its number and its client."""
        self.numbers += 1
        session, peer = self.server.pair(self.environment, process_id=self.numbers)
        self.peers.append(peer)
        number = self.numbers
        self.hub.spawn(lambda: self._live(number, session))
        return number, peer

    def evacuate(self) -> None:
        """Have all depart that wait, while somebody computes; they go on as other tasks."""
        for number, departure in self.roster.evacuate(self.hub.replace):
            self.evacuated.add(number)
            client = self.sessions[number]._connection._socket.dup()
            connection = open_connection(client, None, self.hub)
            session = Session(decode(departure.record), connection, self.environment)
            self.hub.spawn(partial(self._live, number, session))

    def _live(self, number: int, session: Session) -> None:
        self.sessions[number] = session
        self.hub.on_hurry(session._connection.hurry)
        with self.roster.entered(number, session):
            departure = session.run()
        if departure is not None:
            self.moves += 1
            origin, old = decode(departure.record), session._connection._socket
            assert origin.process_id == session.connection_id
            connection = open_connection(socket.socket(fileno=old.detach()), None, self.hub)
            self._live(number, Session(origin, connection, self.environment))

    def run(self, *talks: Callable[[], Any]) -> list[Any]:
        """Run the hub until all of these, each in a thread, have returned; return what they do."""
        with ThreadPoolExecutor(len(talks)) as threads:
            talking: list[Future[Any]] = [threads.submit(talk) for talk in talks]
            for talk in talking:
                talk.add_done_callback(self._end_if_failed)
            self.hub.run(lambda: self.hub.tasks == 0)
            return [talk.result(10) for talk in talking]

    def _end_if_failed(self, talk: Future[Any]) -> None:
        if talk.exception() is not None:
            for peer in self.peers:
                peer.socket.close()

    def tick(self, frame: Any) -> None:
        self.roster.shed(self.shedding)
        self.shedding = 0
        if self.evacuates and self.roster.running is self.sessions[1]:
            self.evacuates = False
            signal.setitimer(signal.ITIMER_PROF, 0)  # in a process, the agent's line is atomic
            self.evacuate()
            signal.setitimer(signal.ITIMER_PROF, 0.002, 0.002)
        running = self.roster.running
        if running is not None:
            running.interrupts.tick(frame)
            if self.hub.tasks > 1:
                running.interrupts.give_way(self.hub.give_way, frame)

    def hear(self, frame: Any) -> None:
        """Cancel the first session, as a query processor does what its agent says."""
        self.roster.cancel(1)
        running = self.roster.running
        if running is not None:
            running.interrupts.tick(frame)

    def terminate(self, frame: Any) -> None:
        self.roster.end(frame)


@pytest.fixture
def process() -> Iterator[Process]:
    made = Process()
    numbers = (signal.SIGTERM, signal.SIGIO, signal.SIGPROF)
    before = [signal.getsignal(number) for number in numbers]
    listen(made)
    yield made
    signal.setitimer(signal.ITIMER_PROF, 0)
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)
    made.hub.close()


def test_what_met_a_session_that_was_taken_apart_learns_that_it_runs_nothing(
    process: Process,
) -> None:
    session, peer = process.server.pair(process.environment)
    peer.send(client.query("SELECT 1"), client.terminate())
    process.hub.spawn(lambda: session.run() and None)
    process.hub.run(lambda: process.hub.tasks == 0)
    peer.socket.close()
    session.interrupts.hold()  # as an end in the midst of a statement leaves it
    assert session.statement
    session.take_apart()
    assert session.statement == 0


def say(number: int) -> None:
    thread = threading.main_thread().ident
    assert thread is not None
    signal.pthread_kill(thread, signal.Signals(number))


def cancelled(peer: Peer) -> str:
    """Cancel until that does not come too early any more; return the SQLSTATE that the client gets."""
    while not select.select([peer.socket], [], [], 0.1)[0]:
        say(signal.SIGIO)
    (fields,) = errors(peer.until_ready())
    return fields["C"]


def leave(peer: Peer) -> None:
    peer.send(client.terminate())
    peer.socket.close()


def compute_until(answered: threading.Event, busy: Peer) -> None:
    """Have a statement compute until the others have been answered, then cancel it and leave."""
    busy.until_ready()
    busy.send(client.query(ENDLESS))
    assert answered.wait(30)
    assert cancelled(busy) == "57014"
    leave(busy)


def test_sessions_take_turns(process: Process) -> None:
    def ask(peer: Peer, name: str) -> list[Any]:
        peer.until_ready()
        peer.query(f"SET application_name TO '{name}'")
        found = [peer.rows("SELECT current_setting('application_name')") for _ in range(30)]
        leave(peer)
        return found

    peers = [process.start()[1] for _ in range(5)]
    found = process.run(*(lambda n=n, p=p: ask(p, f"s{n}") for n, p in enumerate(peers)))
    assert found == [[[[f"s{number}".encode()]]] * 30 for number in range(5)]


def test_transactions_of_several_sessions_are_apart(process: Process) -> None:
    (_, first), (_, second) = process.start(), process.start()

    def talk() -> None:
        first.until_ready(), second.until_ready()
        first.query("CREATE TABLE t (id int PRIMARY KEY)")
        first.query("BEGIN")
        second.query("BEGIN")
        first.query("INSERT INTO t VALUES (1)")
        assert second.rows("SELECT * FROM t") == []
        second.query("INSERT INTO t VALUES (2)")
        assert first.rows("SELECT * FROM t") == [[b"1"]]
        first.query("COMMIT")
        second.query("ROLLBACK")
        assert second.rows("SELECT * FROM t") == [[b"1"]]
        leave(first)
        leave(second)

    process.run(talk)


def test_a_long_statement_holds_up_nobody(process: Process) -> None:
    (_, busy), (_, other) = process.start(), process.start()
    answered = threading.Event()

    def ask() -> None:
        other.until_ready()
        for number in range(20):
            assert other.rows(f"SELECT {number}") == [[str(number).encode()]]
        answered.set()
        leave(other)

    process.run(lambda: compute_until(answered, busy), ask)


def test_a_cancel_hits_its_session_and_no_neighbour(process: Process) -> None:
    (_, first), (_, second) = process.start(), process.start()

    def sleep() -> None:
        first.until_ready()
        first.send(client.query("SELECT pg_sleep(1000)"))
        assert cancelled(first) == "57014"
        leave(first)

    def compute() -> None:
        second.until_ready()
        answers = second.query("SELECT count(*) FROM generate_series(1, 300000)")
        assert rows(answers) == [[b"300000"]]
        leave(second)

    process.run(sleep, compute)


def test_sessions_leave_a_long_statement_if_they_are_asked_to(process: Process) -> None:
    """Each that waits for its client does, also where that has just said something."""
    (_, busy), (_, silent), (_, other) = process.start(), process.start(), process.start()
    answered = threading.Event()

    def compute() -> None:
        silent.until_ready()
        compute_until(answered, busy)

    def ask() -> None:
        other.until_ready()
        other.query("SET application_name TO 'mine'")
        while process.moves < 6:
            process.shedding = 3
            assert other.rows("SHOW application_name") == [[b"mine"]]
        assert silent.rows("SHOW application_name") == [[b""]]
        answered.set()
        leave(silent)
        leave(other)

    process.run(compute, ask)


def test_who_waits_for_its_client_is_evacuated_as_it_is_and_who_computes_is_not(
    process: Process,
) -> None:
    (_, busy), (silent_number, silent) = process.start(), process.start()
    writing_number, writing = process.start()
    answered = threading.Event()

    def ask() -> None:
        silent.until_ready()
        silent.query("SET application_name TO 'mine'")
        writing.until_ready()
        writing.query("CREATE TABLE t (id int PRIMARY KEY)")
        for peer in (silent, writing):
            peer.query("SELECT setseed(0.5)")
        first_number = writing.rows("SELECT random()")
        writing.query("BEGIN")
        writing.query("INSERT INTO t VALUES (1)")
        while len(process.evacuated) < 2:
            process.evacuates = True  # one that has given way is asked to depart by itself
            time.sleep(0.001)
        process.evacuates = False
        assert process.evacuated == {silent_number, writing_number}
        assert silent.rows("SHOW application_name") == [[b"mine"]]
        assert silent.rows("SELECT random()") == first_number
        assert writing.rows("SELECT id FROM t") == [[b"1"]]
        writing.query("COMMIT")
        assert silent.rows("SELECT id FROM t") == [[b"1"]]
        answered.set()
        leave(silent)
        leave(writing)

    process.run(lambda: compute_until(answered, busy), ask)


def test_what_keeps_a_session_is_told(process: Process, caplog: pytest.LogCaptureFixture) -> None:
    (_, busy), (_, kept) = process.start(), process.start()
    answered = threading.Event()

    def ask() -> None:
        kept.until_ready()
        kept.query("BEGIN")
        kept.query("DECLARE c CURSOR FOR SELECT 1")
        process.shedding = 2
        while "it has open portals" not in {getattr(r, "reason", "") for r in caplog.records}:
            time.sleep(0.001)
        assert kept.rows("FETCH c") == [[b"1"]]
        answered.set()
        leave(kept)

    with caplog.at_level("INFO"):
        process.run(lambda: compute_until(answered, busy), ask)
    assert not process.moves


def test_a_client_that_does_not_read_holds_up_nobody(process: Process) -> None:
    (_, slow), (_, other) = process.start(), process.start()
    answered = threading.Event()

    def read_late() -> None:
        slow.until_ready()
        slow.send(client.query("SELECT repeat('x', 1000) FROM generate_series(1, 20000)"))
        assert answered.wait(30)
        assert len(rows(slow.until_ready())) == 20_000
        leave(slow)

    def ask() -> None:
        other.until_ready()
        for _ in range(20):
            assert other.rows("SELECT 1") == [[b"1"]]
        answered.set()
        leave(other)

    process.run(read_late, ask)


def test_sleeping_sessions_hold_up_nobody(process: Process) -> None:
    sleeping = [process.start()[1] for _ in range(10)]
    _, other = process.start()
    answered = threading.Event()

    def sleep(peer: Peer) -> None:
        peer.until_ready()
        peer.send(client.query("SELECT pg_sleep(1000)"))
        assert answered.wait(30)
        peer.socket.close()

    def ask() -> None:
        other.until_ready()
        for _ in range(20):
            assert other.rows("SELECT 1") == [[b"1"]]
        answered.set()
        leave(other)

    process.run(ask, *(lambda p=p: sleep(p) for p in sleeping))


def test_random_numbers_belong_to_their_session(process: Process) -> None:
    (_, first), (_, second) = process.start(), process.start()

    def talk() -> None:
        first.until_ready(), second.until_ready()
        for peer in (first, second):
            peer.rows("SELECT setseed(0.5)")
        assert first.rows("SELECT random()") == second.rows("SELECT random()")
        assert first.rows("SELECT random()") == second.rows("SELECT random()")
        leave(first)
        leave(second)

    process.run(talk)


def test_the_end_of_the_process_is_told_to_every_client(process: Process) -> None:
    peers = [process.start()[1] for _ in range(3)]

    def talk() -> None:
        for peer in peers:
            peer.until_ready()
        peers[0].send(client.query(ENDLESS))
        peers[1].send(client.query("SELECT pg_sleep(1000)"))
        time.sleep(0.1)
        say(signal.SIGTERM)
        for peer in peers:
            (fields,) = errors(peer.until("E"))
            assert (fields["S"], fields["C"]) == ("FATAL", "57P01")
            peer.socket.close()

    process.run(talk)


def test_statements_that_hold_too_much_together_fail_one_by_one(process: Process) -> None:
    (_, first), (_, second) = process.start(), process.start()
    memory = process.environment.memory
    gathered = "array_agg(repeat('x', 1000) || g)"
    many = f"SELECT array_length({gathered}, 1) FROM generate_series(1, 20000) g"
    some = f"SELECT array_length({gathered}, 1) FROM generate_series(1, 2000) g"

    def talk() -> None:
        first.until_ready(), second.until_ready()
        first.query("BEGIN")
        first.query(
            f"DECLARE c CURSOR FOR SELECT unnest({gathered}) FROM generate_series(1, 30000) g"
        )
        assert len(first.rows("FETCH 10 FROM c")) == 10
        memory.max = memory.used + 10_000_000
        assert second.fails(many)[0] == "53200"
        assert second.rows(some) == [[b"2000"]]
        first.query("ROLLBACK")
        assert second.rows(many) == [[b"20000"]]
        leave(first)
        leave(second)

    process.run(talk)
    assert memory.used == 0


def test_a_log_line_names_the_connection_that_it_is_about(
    process: Process, monkeypatch, caplog
) -> None:
    # Not what is compiled as well, which compiled code calls without looking it up.
    monkeypatch.setattr("dsql.session.session.report_changes", lambda *_: 1 / 0)
    (_, first), (number, second) = process.start(), process.start()

    def talk() -> None:
        first.until_ready(), second.until_ready()
        first.rows("SELECT 1")
        second.send(client.query("SET application_name TO 'a'"))
        second.until("E")
        second.socket.close()
        leave(first)

    with named("the cluster", process.roster):
        process.run(talk)
        logging.getLogger("elsewhere").warning("no session runs")
    names = [(line["cluster"], line.get("connection")) for line in map(vars, caplog.records)]
    assert names == [("the cluster", number), ("the cluster", None)]
    logging.getLogger("elsewhere").warning("named no more")
    assert "cluster" not in vars(caplog.records[-1])
