"""What sessions see of each other, and who may interrupt whom."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from memory_server import ARN, Peer, Server, errors, notices, rows

from dsql.errors import SqlError
from dsql.session.control import LookAround, Signal, ToAgent
from dsql.session.lost_transactions import KEPT, LostTransaction, LostTransactions
from dsql.session.surveys import Surveys
from dsql.transaction.interface import CommitOutcome
from dsql.wire import client


def pid(peer: Peer) -> bytes:
    ((found,),) = peer.rows("SELECT pg_backend_pid()")
    assert found is not None
    return found


def seen(peer: Peer, of: bytes, columns: str) -> list[bytes | None]:
    (found,) = peer.rows(f"SELECT {columns} FROM pg_stat_activity WHERE pid = {of.decode()}")
    return found


@pytest.fixture
def postgres() -> Iterator[Server]:
    server = Server("postgres", moves=False)
    yield server
    server.stop()


@pytest.fixture
def other(postgres: Server) -> Peer:
    """A session of another role, which has the rights of nobody else."""
    admin = postgres.connect()
    admin.query("CREATE ROLE other LOGIN")
    admin.query(f"AWS IAM GRANT other TO '{ARN}'")
    return postgres.connect(user="other", application_name="other's")


def test_a_session_sees_what_the_others_of_its_role_do(postgres: Server) -> None:
    one, two = postgres.connect(application_name="app"), postgres.connect()
    one.query("BEGIN; SELECT 'hello'")
    state = "state, query, usename, application_name, datname, wait_event, xact_start IS NOT NULL"
    assert seen(two, pid(one), state)[:2] == [b"idle in transaction", b"SELECT pg_backend_pid()"]
    assert seen(two, pid(one), state)[2:] == [b"admin", b"app", b"postgres", b"ClientRead", b"t"]
    one.query("SELECT nonsense")
    assert seen(two, pid(two), "state") == [b"active"]
    found = two.rows("SELECT state FROM pg_stat_activity WHERE state LIKE '%aborted%'")
    assert found == [[b"idle in transaction (aborted)"]]


def test_of_prepared_statements_the_text_is_seen(postgres: Server) -> None:
    one, two = postgres.connect(), postgres.connect()
    number = pid(one)
    one.ask(client.parse("SELECT $1::int + 1", "p"), client.sync())
    for value in (b"1", b"2"):
        one.ask(client.bind([value], statement="p"), client.execute(), client.sync())
        two.query("SELECT 1")
        assert seen(two, number, "query") == [b"SELECT $1::int + 1"]


def test_what_another_role_does_is_hidden(postgres: Server, other: Peer) -> None:
    admin = postgres.connect()
    hidden = seen(other, pid(admin), "query, state, client_addr, backend_start, usename")
    assert hidden == [b"<insufficient privilege>", None, None, None, b"admin"]
    assert seen(other, pid(other), "state, application_name") == [b"active", b"other's"]


def test_a_statement_is_cancelled_by_another_session(postgres: Server) -> None:
    one, two = postgres.connect(), postgres.connect()
    number = pid(one)
    one.send(client.query("SELECT pg_sleep(60)"))
    assert seen(two, number, "pid") == [number]
    while seen(two, number, "state") != [b"active"]:
        pass
    assert two.rows(f"SELECT pg_cancel_backend({number.decode()})") == [[b"t"]]
    assert errors(one.until_ready())[0]["C"] == "57014"


def test_a_session_is_ended_by_another_one(postgres: Server) -> None:
    one, two = postgres.connect(), postgres.connect()
    number = pid(one).decode()
    assert two.rows(f"SELECT pg_terminate_backend({number}, 10000)") == [[b"t"]]
    (fields,) = errors(one.until("E"))
    assert (fields["S"], fields["C"]) == ("FATAL", "57P01")
    assert two.rows(f"SELECT pg_terminate_backend({number})") == [[b"f"]]


@pytest.mark.parametrize("call", ["cancel_backend(77777)", "terminate_backend(77777, 9)"])
def test_who_names_no_session_is_warned(postgres: Server, call: str) -> None:
    answers = postgres.connect().query(f"SELECT pg_{call}")
    (notice,) = notices(answers)
    assert rows(answers) == [[b"f"]]
    assert (notice["S"], notice["C"]) == ("WARNING", "01000")
    assert notice["M"] == "PID 77777 is not a PostgreSQL backend process"


def test_a_session_that_interrupts_itself_gets_no_row(postgres: Server) -> None:
    one = postgres.connect()
    cancelled = one.query("SELECT pg_cancel_backend(pg_backend_pid())")
    assert (rows(cancelled), errors(cancelled)[0]["C"]) == ([], "57014")
    ended = one.ask_for_the_last_time("SELECT pg_terminate_backend(pg_backend_pid())")
    assert (rows(ended), errors(ended)[0]["C"]) == ([], "57P01")


def test_only_who_has_a_sessions_role_may_interrupt_it(postgres: Server, other: Peer) -> None:
    admin = postgres.connect()
    number = pid(admin).decode()
    assert other.fails(f"SELECT pg_cancel_backend({number})") == (
        "42501",
        "permission denied to cancel query",
    )
    assert other.fails(f"SELECT pg_terminate_backend({number})") == (
        "42501",
        "permission denied to terminate process",
    )
    assert rows(admin.query("SELECT 1")) == [[b"1"]]


class Agent:
    """What a query processor's surveys ask, and a clock that goes on while they wait."""

    def __init__(self) -> None:
        self.now = 0.0
        self.told: list[ToAgent] = []
        self.surveys = Surveys(self.told.append, lambda: self.now)

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def answer(self, seconds: float) -> None:
        """Pause, while the last question is answered with what makes no sense."""
        self.pause(seconds)
        last = self.told[-1]
        assert isinstance(last, LookAround)
        self.surveys.heard(last.inquiry, (b"nonsense",), last=True)

    def leave(self, seconds: float) -> None:
        self.pause(seconds)
        self.surveys.deserted()


def test_those_who_look_at_the_same_time_ask_once() -> None:
    agent = Agent()
    for _ in range(100):
        assert agent.surveys.look_around(agent.answer) == []
    assert agent.told == [LookAround(1)]
    agent.pause(0.1)
    agent.surveys.look_around(agent.answer)
    assert agent.told == [LookAround(1), LookAround(2)]


def test_signals_are_few_however_many_want_to_send_them() -> None:
    agent = Agent()
    for _ in range(100):
        agent.surveys.signal(7, agent.pause, ends=False)
    assert agent.told == [Signal(7, False)] * 100
    assert agent.now > 0.9


def test_nobody_waits_for_ever() -> None:
    agent = Agent()
    with pytest.raises(SqlError, match="does not answer"):
        agent.surveys.look_around(agent.pause)


def test_who_asked_an_agent_that_leaves_is_told_and_may_ask_the_next_one() -> None:
    agent = Agent()
    with pytest.raises(SqlError, match="does not answer"):
        agent.surveys.look_around(agent.leave)
    assert agent.surveys.look_around(agent.answer) == []
    assert agent.told == [LookAround(1), LookAround(2)]


def waits(peer: Peer, of: bytes) -> list[bytes | None]:
    columns = "state, wait_class, wait_event"
    (found,) = peer.rows(f"SELECT {columns} FROM sys.sessions WHERE pid = {of.decode()}")
    return found


@pytest.mark.parametrize("profile", ["dsql", "postgres"])
def test_sessions_are_seen_by_what_they_wait_for(profile: str) -> None:
    server = Server(profile, moves=False)
    try:
        one, two = server.connect(), server.connect()
        ((number,),) = one.rows("SELECT pid FROM sys.sessions WHERE wait_event = 'OnCpu'")
        assert number is not None
        assert waits(two, number) == [b"idle", b"Client", b"ClientRead"]
        one.send(client.query("SELECT pg_sleep(60)"))
        while waits(two, number) != [b"active", b"Timeout", b"PgSleep"]:
            pass
        two.query("BEGIN")
        ((me,),) = two.rows("SELECT pid FROM sys.sessions WHERE wait_event = 'OnCpu'")
        assert me != number
    finally:
        server.stop()


def test_who_waits_for_a_lock_is_seen_to(postgres: Server) -> None:
    one, two = postgres.connect(), postgres.connect()
    number = pid(one)
    two.query("SELECT pg_advisory_lock(7)")
    one.send(client.query("SELECT pg_advisory_lock(7)"))
    while waits(two, number) != [b"active", b"Lock", b"advisory"]:
        pass
    assert seen(two, number, "wait_event_type, wait_event") == [b"Lock", b"advisory"]
    two.query("SELECT pg_advisory_unlock(7)")
    one.until_ready()
    assert waits(two, number) == [b"idle", b"Client", b"ClientRead"]


def test_of_another_role_it_is_not_seen_what_it_waits_for(postgres: Server, other: Peer) -> None:
    admin = postgres.connect()
    number = pid(admin).decode()
    columns = "role_name, state, wait_event, query, client_addr"
    (found,) = other.rows(f"SELECT {columns} FROM sys.sessions WHERE pid = {number}")
    assert found == [b"admin", None, None, None, None]


CONFLICTS = (
    "SELECT pid, role_name, code, relation, key, query, winner_pid, winner_role FROM sys.conflicts"
)


def own_pid(peer: Peer) -> bytes | None:
    """In the dsql profile there is no pg_backend_pid."""
    ((found,),) = peer.rows("SELECT pid FROM sys.sessions WHERE wait_event = 'OnCpu'")
    return found


def lose(one: Peer, two: Peer, statement: str, other: str) -> None:
    one.query("BEGIN")
    one.query("SELECT count(*) FROM t")
    one.query(statement)
    two.query(other)
    assert [error["C"] for error in errors(one.query("COMMIT"))] == ["40001"]


@pytest.fixture
def dsql() -> Iterator[Server]:
    server = Server("dsql", moves=False)
    server.connect().query("CREATE TABLE t (a int, b date, n int, PRIMARY KEY (a, b))")
    server.connect().query("INSERT INTO t VALUES (1, '2026-01-02', 0), (2, '2026-01-02', 0)")
    yield server
    server.stop()


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("UPDATE t SET n = 1 WHERE a = 1", b"UPDATE t SET n = $1 WHERE a = $2"),
        ("DELETE FROM t WHERE a = 1", b"DELETE FROM t WHERE a = $1"),
    ],
)
def test_a_conflict_tells_key_statement_and_whose_commit_was_first(
    dsql: Server, statement: str, shown: bytes
) -> None:
    one, two = dsql.connect(), dsql.connect()
    loser, winner = own_pid(one), own_pid(two)
    lose(one, two, statement, "UPDATE t SET n = 2 WHERE a < 3")
    told = [
        *(loser, b"admin", b"OC000", b"public.t", b"Key (a, b)=(1, 2026-01-02)"),
        *(shown, winner, b"admin"),
    ]
    assert two.rows(CONFLICTS) == [told]


def test_of_a_statement_alone_its_own_text_is_told(dsql: Server) -> None:
    one, two = dsql.connect(), dsql.connect()
    commit = dsql.store.commit

    def overtaken(*asked: bytes) -> CommitOutcome:
        dsql.store.commit = commit  # type: ignore[method-assign]
        two.query("UPDATE t SET n = 2 WHERE a = 2")
        return commit(*asked)

    dsql.store.commit = overtaken  # type: ignore[method-assign]
    text = "UPDATE t SET n = 1 WHERE a = 2"
    assert [error["C"] for error in errors(one.query(text))] == ["40001"]
    ((query, key),) = two.rows("SELECT query, key FROM sys.conflicts")
    assert (query, key) == (text.encode(), b"Key (a, b)=(2, 2026-01-02)")


def test_conflicts_are_their_own_roles_and_keys_who_may_read_them(dsql: Server) -> None:
    admin, two = dsql.connect(), dsql.connect()
    admin.query("CREATE ROLE other LOGIN")
    admin.query(f"AWS IAM GRANT other TO '{ARN}'")
    admin.query("GRANT UPDATE ON t TO other")
    other = dsql.connect(user="other")
    lose(admin, two, "UPDATE t SET n = 1 WHERE a = 1", "UPDATE t SET n = 2 WHERE a = 1")
    assert other.rows(CONFLICTS) == []
    other.query("BEGIN")
    other.query("UPDATE t SET n = 3")
    two.query("UPDATE t SET n = 4 WHERE a = 2")
    assert [error["C"] for error in errors(other.query("COMMIT"))] == ["40001"]
    ((code, relation, key),) = other.rows("SELECT code, relation, key FROM sys.conflicts")
    assert (code, relation, key) == (b"OC000", b"public.t", None)


def test_as_many_conflicts_are_kept_as_fit(dsql: Server) -> None:
    one, two = dsql.connect(), dsql.connect()
    for _ in range(KEPT + 2):
        lose(one, two, "UPDATE t SET n = 1 WHERE a = 1", "UPDATE t SET n = 2 WHERE a = 1")
    assert two.rows("SELECT count(*) FROM sys.conflicts") == [[str(KEPT).encode()]]


def test_what_another_process_has_lost_comes_with_the_survey() -> None:
    told: list[ToAgent] = []
    surveys = Surveys(told.append, lambda: 0.0)
    lost = LostTransactions()
    lost.committed(7, 4711, 16384)
    lost.add(LostTransaction(1, 2, 10, "OC000", 0, "", "UPDATE", 7))

    def answer(_: float) -> None:
        surveys.heard(1, (b"\xc1", b"x", *lost.told()), last=True)

    (found,) = surveys.look_for_lost(answer)
    assert (found.query, found.winner, found.winner_role) == ("UPDATE", 4711, 16384)
    assert surveys.look_around(answer) == []
