import logging
import signal
import threading
import time
from dataclasses import replace

import pytest
from memory_server import Server, errors, letters, rows

from dsql.hub.waiter import Blocking
from dsql.session.environment import Environment
from dsql.session.signals import listen
from dsql.wire import client

ENDLESS = "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b"


def statuses(answers):
    return dict(body[:-1].decode().split("\0") for kind, body in answers if kind == "S")


def test_the_greeting_is_that_of_postgresql_16(peer):
    assert letters(peer.greeting) == "R" + "S" * 13 + "KZ"
    assert peer.greeting[0] == ("R", bytes(4))
    found = statuses(peer.greeting)
    assert found["server_version"] == "16.15"
    assert found["TimeZone"] == "UTC"
    assert found["session_authorization"] == "admin"
    assert found["is_superuser"] == "off"
    assert peer.greeting[-2] == ("K", b"\0\0\0\7\0\0\0\x08")


def test_the_postgres_profile_says_the_version_that_it_is_compared_with(postgres):
    peer = postgres.connect()
    assert statuses(peer.greeting)["server_version"] == "15.18"
    text = "SELECT version(), current_setting('server_version_num')"
    assert peer.rows(text) == [[b"PostgreSQL 15.18", b"150018"]]
    peer.query("RESET ALL")
    assert peer.rows("SHOW server_version") == [[b"15.18"]]


def test_startup_parameters_and_options_become_defaults(server):
    peer = server.connect(application_name="me", options="-c TimeZone=Asia/Tokyo -cdatestyle=SQL")
    found = statuses(peer.greeting)
    assert (found["application_name"], found["TimeZone"]) == ("me", "Asia/Tokyo")
    assert found["DateStyle"] == "SQL, MDY"
    peer.query("SET timezone TO 'UTC'")
    peer.query("RESET ALL")
    assert peer.rows("SHOW timezone") == [[b"Asia/Tokyo"]]


def test_a_client_without_an_encoding_gets_and_sends_utf8(server):
    peer = server.connect(client_encoding="SQL_ASCII")
    assert statuses(peer.greeting)["client_encoding"] == "SQL_ASCII"
    assert peer.rows("SELECT 'é', pg_client_encoding()") == [["é".encode(), b"SQL_ASCII"]]
    (fields,) = errors(peer.ask(client.message(b"Q", b"SELECT '\xe9'\0")))
    assert (fields["C"], fields["M"]) == (
        "22021",
        'invalid byte sequence for encoding "UTF8": 0xe9 0x27',
    )


def test_a_bad_startup_value_ends_the_session(server):
    peer = server.start(TimeZone="Nowhere/Land")
    (fields,) = errors(peer.until("E"))
    assert (fields["S"], fields["C"]) == ("FATAL", "22023")


def test_the_client_is_greeted_before_anything_is_opened(server):
    environment = server.environment()
    greeted, order = threading.Event(), []
    environment.prepare = lambda: order.append(greeted.wait(5))
    peer = server.start(environment)
    peer.until_ready()
    greeted.set()
    assert peer.rows("SELECT 1") == [[b"1"]]
    assert order == [True]


def test_random_numbers_do_not_follow_another_sessions_seed(server):
    draw = "SELECT setseed(0.5), random()"
    peer = server.connect()
    ((_, first),) = peer.rows(draw)
    assert peer.rows(draw) == [[b"", first]]
    ((second,),) = peer.rows("SELECT random()")
    peer.rows(draw)
    assert server.connect().rows("SELECT random()") != [[second]]


def test_bytes_already_read_by_the_relay_are_served(server):
    peer = server.start(pending=client.query("SELECT 7"))
    answers = peer.until("D")
    assert rows(answers) == [[b"7"]]


def test_a_framing_error_ends_the_session_with_a_fatal_error(server, peer):
    peer.send(b"Q\0\0\0\0")
    (fields,) = errors(peer.until("E"))
    assert (fields["S"], fields["C"], fields["M"]) == ("FATAL", "08P01", "invalid message length")
    server.lives[0].result(5)


def test_terminate_rolls_back_and_closes(server, peer):
    peer.query("CREATE TABLE t (id int PRIMARY KEY)")
    peer.query("BEGIN")
    peer.query("INSERT INTO t VALUES (1)")
    peer.send(client.terminate())
    assert peer.socket.recv(1) == b""
    assert server.connect().rows("SELECT * FROM t") == []


def test_an_internal_error_is_logged_once_and_shown_as_an_id(server, caplog, monkeypatch):
    def fail(*_):
        raise ValueError("secret detail")

    monkeypatch.setattr("dsql.session.simple.make_statement", fail)
    peer = server.connect()
    with caplog.at_level(logging.ERROR):
        (fields,) = errors(peer.query("SHOW timezone"))
    assert fields["C"] == "XX000"
    assert "secret" not in fields["M"]
    (record,) = caplog.records
    assert record.log_id in fields["M"]
    monkeypatch.undo()
    assert peer.rows("SELECT 1") == [[b"1"]]


class Running:
    """Hears signals for the session that runs in the main thread."""

    def __init__(self):
        self.session = None

    def tick(self, frame):
        self.session.interrupts.tick(frame)

    def hear(self, frame):
        self.session.interrupts.cancel()
        self.session.interrupts.tick(frame)

    def terminate(self, frame):
        self.session.interrupts.terminate(frame)


@pytest.fixture
def signals():
    """Those of a query processor, for a session that runs in the main thread as there."""
    running = Running()
    numbers = (signal.SIGTERM, signal.SIGIO, signal.SIGPROF)
    before = [signal.getsignal(number) for number in numbers]
    listen(running)
    yield running
    signal.setitimer(signal.ITIMER_PROF, 0)
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def test_a_signal_cancels_the_running_statement(signals):
    server = Server("dsql")
    session, peer = server.pair(server.environment())
    signals.session = session
    found = []

    def talk() -> None:
        peer.until_ready()
        peer.send(client.query(ENDLESS))
        time.sleep(0.1)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGIO)
        found.extend(errors(peer.until_ready()))
        peer.socket.close()

    talking = threading.Thread(target=talk)
    talking.start()
    session.run()
    talking.join()
    assert [(fields["C"], fields["M"]) for fields in found] == [
        ("57014", "canceling statement due to user request")
    ]


def test_statement_timeout_interrupts_a_statement(signals):
    server = Server("postgres")
    session, peer = server.pair(server.environment())
    signals.session = session
    peer.send(client.query("SET statement_timeout = '50ms'"), client.query(ENDLESS))
    peer.send(client.query("SET statement_timeout = 0"), client.query("SELECT 1"))
    peer.send(client.terminate())
    session.run()
    answers = peer.until("D")
    (fields,) = errors(answers)
    assert (fields["C"], fields["M"]) == ("57014", "canceling statement due to statement timeout")
    assert rows(answers)[-1] == [b"1"]
    peer.socket.close()


def test_a_vanished_client_ends_a_statement(signals):
    server = Server("dsql")
    session, peer = server.pair(server.environment())
    signals.session = session
    peer.send(client.query(ENDLESS), client.query("SELECT 1"))
    peer.socket.close()
    session.run()


def test_a_cancel_that_comes_too_late_cancels_nothing(server, peer):
    peer.query("SELECT 1")
    server.sessions[0].interrupts.cancel()
    assert peer.rows("SELECT 1") == [[b"1"]]


def test_a_cancel_comes_too_late_for_an_answer_that_the_client_does_not_take(server, peer):
    (session,) = server.sessions
    send = session._connection.send

    def stall(data):
        session.interrupts.cancel()
        session._connection.on_stall()
        send(data)

    session._connection.send = stall
    assert peer.rows("SELECT 1") == [[b"1"]]
    assert peer.rows("SELECT 2") == [[b"2"]]


def test_what_nobody_expected_between_two_statements_is_said(server, monkeypatch):
    def fail(_state):
        raise RuntimeError("a bug")

    monkeypatch.setattr("dsql.session.session.report_changes", fail)
    session, peer = server.pair(server.environment())
    peer.send(client.query("SET timezone TO 'Asia/Tokyo'"))
    session.run()
    (fields,) = errors(peer.until("E"))
    assert (fields["S"], fields["C"]) == ("FATAL", "XX000")
    assert "a bug" not in fields["M"]
    peer.socket.close()


@pytest.mark.one_process
def test_a_terminated_session_says_so_when_it_is_idle(server, peer):
    server.sessions[0].interrupts.terminate()
    (fields,) = errors(peer.until("E"))
    assert (fields["S"], fields["C"]) == ("FATAL", "57P01")
    assert fields["M"] == "terminating connection due to administrator command"
    assert peer.socket.recv(1) == b""


@pytest.mark.one_process
def test_an_old_session_ends_when_idle_but_not_inside_a_transaction(server):
    plain = server.environment()
    clock = [0.0]
    environment = Environment(
        plain.cluster,
        plain.profile,
        plain.begin,
        session_seconds_max=10,
        waiter=Blocking(lambda: clock[0]),
    )
    peer = server.start(environment)
    peer.until_ready()
    peer.query("BEGIN")
    clock[0] = 11
    assert peer.rows("SELECT 1") == [[b"1"]]
    peer.send(client.query("COMMIT"))
    (fields,) = errors(peer.until("E"))
    assert (fields["S"], fields["C"]) == ("FATAL", "57P01")


@pytest.mark.parametrize(
    ("parameter", "begin", "sqlstate", "reason"),
    [
        ("idle_session_timeout", "", "57P05", "idle-session timeout"),
        (
            "idle_in_transaction_session_timeout",
            "BEGIN",
            "25P03",
            "idle-in-transaction timeout",
        ),
        (
            "idle_in_transaction_session_timeout",
            "BEGIN; SELECT x",
            "25P03",
            "idle-in-transaction timeout",
        ),
    ],
)
def test_a_silent_client_is_left(postgres, parameter, begin, sqlstate, reason):
    peer = postgres.connect()
    peer.query(f"SET {parameter} = '20ms'")
    if begin:
        peer.query(begin)
    (fields,) = errors(peer.until("E"))
    assert (fields["S"], fields["C"]) == ("FATAL", sqlstate)
    assert fields["M"] == f"terminating connection due to {reason}"


def test_a_timeout_outside_of_transactions_does_not_end_one(postgres):
    peer = postgres.connect()
    peer.query("SET idle_session_timeout = '1ms'; BEGIN")
    peer.query("SET LOCAL idle_session_timeout = 0")
    assert peer.rows("SELECT pg_sleep(0.01), 1") == [[b"", b"1"]]


def test_a_running_statement_that_is_too_old_ends(signals):
    server = Server("dsql")
    plain = server.environment()
    session, peer = server.pair(plain)
    signals.session = session
    peer.send(client.query("BEGIN"), client.query("SELECT 1"))
    manager = plain.begin.__self__
    limits = replace(manager._surroundings.limits, age_seconds_max=0.05)
    manager._surroundings = replace(manager._surroundings, limits=limits)
    peer.send(client.query(ENDLESS), client.terminate())
    session.run()
    (fields,) = errors(peer.until("E"))
    assert (fields["C"], fields["M"]) == ("54000", "transaction age limit of 0.05s exceeded")
    peer.socket.close()


def test_vectors_of_rows_begin_at_zero_and_are_grouped(postgres: Server):
    peer = postgres.connect()
    peer.query("create table v (a int2vector); insert into v values ('7 8'), (null), ('7 8')")
    assert peer.rows("select a, a[0], count(*) from v group by a, a[0] order by 3 desc") == [
        [b"7 8", b"7", b"2"],
        [None, None, b"1"],
    ]
