"""A transaction that lost is run again where its client cannot tell, and only in the postgres profile."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from memory_server import Peer, Server, before_next_commit, rows, tags
from msgspec.structs import replace

from dsql.session import attempts, replay
from dsql.wire import client

OC000 = ("40001", "change conflicts with another transaction (OC000)")


@pytest.fixture
def peers(postgres: Server) -> tuple[Peer, Peer]:
    first, second = postgres.connect(), postgres.connect()
    first.query("CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL)")
    first.query("INSERT INTO t VALUES (1, 10), (2, 20), (3, 30)")
    return first, second


def run(peer: Peer, *texts: str) -> None:
    for text in texts:
        peer.rows(text)


def values(peer: Peer) -> list[int]:
    return [int(row[0] or 0) for row in peer.rows("SELECT n FROM t ORDER BY id")]


def overtaken(
    peers: tuple[Peer, Peer], *texts: str, by: str = "n = n + 1", begin: str = "BEGIN"
) -> Callable[[], None]:
    """Run `texts` in a block of the first session, then let the second one change row 1."""
    first, second = peers
    run(first, begin, *texts)
    run(second, f"UPDATE t SET {by} WHERE id = 1")
    return lambda: run(first, "COMMIT")


def test_update_goes_on_with_what_the_other_has_left(peers):
    overtaken(peers, "UPDATE t SET n = n + 100 WHERE id = 1")()
    assert values(peers[0]) == [111, 20, 30]


def test_everything_is_run_again_in_order(peers):
    overtaken(
        peers,
        "UPDATE t SET n = n + 100 WHERE id = 1",
        "INSERT INTO t SELECT 4, n FROM t WHERE id = 1",
        "DELETE FROM t WHERE id = 3",
    )()
    assert values(peers[0]) == [111, 20, 111]


def test_what_the_client_has_read_must_still_be_so(peers):
    first, _ = peers
    texts = "SELECT n FROM t WHERE id = 1", "UPDATE t SET n = 5 WHERE id = 1"
    overtaken(peers, *texts, begin="BEGIN ISOLATION LEVEL REPEATABLE READ")
    assert first.fails("COMMIT") == OC000
    assert values(first) == [11, 20, 30]


def test_reads_that_come_out_the_same_do_no_harm(peers):
    overtaken(peers, "SELECT n FROM t WHERE id = 2", "UPDATE t SET n = n + 5 WHERE id = 1")()
    assert values(peers[0]) == [16, 20, 30]


def test_number_of_rows_must_stay(peers):
    first, _ = peers
    overtaken(peers, "UPDATE t SET n = n + 1 WHERE n < 25", by="n = 99")
    assert first.fails("COMMIT") == OC000
    assert values(first) == [99, 20, 30]


def test_answer_that_was_not_sent_may_change(postgres, peers):
    first, second = peers
    before_next_commit(postgres, lambda: run(second, "UPDATE t SET n = 50 WHERE id = 1"))
    assert first.rows("UPDATE t SET n = n + 1 WHERE id = 1 RETURNING n") == [[b"51"]]
    assert values(first) == [51, 20, 30]


def test_prepared_statements_are_run_again_with_their_parameters(peers):
    first, second = peers
    first.ask(client.parse("UPDATE t SET n = n + $1 WHERE id = $2", "u"), client.message(b"S"))
    run(first, "BEGIN")
    for _ in range(3):  # the third is answered in one go
        answers = first.ask(
            client.bind([b"7", b"1"], statement="u"),
            client.describe(b"P"),
            client.message(b"E", bytes(5)),
            client.message(b"S"),
        )
        assert tags(answers) == ["UPDATE 1"]
    run(second, "UPDATE t SET n = 0 WHERE id = 1")
    run(first, "COMMIT")
    assert values(first) == [21, 20, 30]


@pytest.mark.parametrize("text", ["", "SELECT 1; SELECT 2", "COMMIT", "SELECT nonsense", "what"])
def test_a_moved_statement_that_makes_no_sense_is_not_run_again(text: str) -> None:
    server = Server("postgres", moves=True)
    first = server.connect()
    run(first, "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL)")
    run(first, "INSERT INTO t VALUES (1, 10)", "BEGIN", "UPDATE t SET n = n + 100 WHERE id = 1")
    assert server.wait_until_silent()
    recording = server.running._state.recording
    (statement,) = recording.records()
    recording.take_up((replace(statement, text=text),))
    second = Server("postgres", moves=False)
    second.store = server.store
    run(second.connect(), "UPDATE t SET n = n + 1 WHERE id = 1")
    assert first.fails("COMMIT") == OC000
    second.stop()
    server.stop()


@pytest.mark.parametrize("moves", [False, True])
def test_what_ran_in_several_processes_is_run_again_in_the_last_one(moves: bool) -> None:
    server, other = Server("postgres", moves=moves), Server("postgres", moves=False)
    other.store = server.store
    first, second = server.connect(), other.connect()
    run(first, "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL, d date)")
    run(first, "INSERT INTO t VALUES (1, 10), (2, 20)")
    update = "UPDATE t SET n = n + $1, d = $2 WHERE id = $3 RETURNING d"
    first.ask(client.parse(update, "u"), client.message(b"S"))
    run(first, "BEGIN", "UPDATE t SET n = n + 100 WHERE id = 1")
    for value in (b"7", b"8"):
        bind = client.bind([value, b"2026-01-02", b"1"], statement="u")
        answers = first.ask(bind, client.describe(b"P"), client.execute(), client.sync())
        assert rows(answers) == [[b"2026-01-02"]]
    assert server.wait_until_silent() is moves
    run(second, "UPDATE t SET n = 0 WHERE id = 1")
    run(first, "COMMIT")
    assert values(second) == [115, 20]
    run(first, "BEGIN", "UPDATE t SET n = 5 WHERE id = 2")
    assert first.rows("SELECT n FROM t WHERE id = 1") == [[b"115"]]
    run(second, "UPDATE t SET n = 0")
    assert first.fails("COMMIT") == OC000  # what the client has read is not so any more
    server.stop()
    other.stop()


@pytest.mark.parametrize(
    "texts",
    [
        ["SAVEPOINT a", "UPDATE t SET n = 5 WHERE id = 1"],
        ["UPDATE t SET n = 5 WHERE id = 1", "SAVEPOINT a", "ROLLBACK TO a"],
        ["SET LOCAL TimeZone = 'UTC'", "UPDATE t SET n = 5 WHERE id = 1", "SET TimeZone = 'CET'"],
        ["DECLARE c CURSOR FOR SELECT 1", "FETCH c", "UPDATE t SET n = 5 WHERE id = 1"],
        ["UPDATE t SET n = 5 WHERE id = 1", "EXPLAIN ANALYZE DELETE FROM t WHERE id = 3"],
        ["UPDATE t SET n = 5 WHERE id = 1", "CREATE TABLE u (a int)"],
        ["UPDATE t SET n = 5 WHERE id = 1", "COPY t TO STDOUT"],
        ["INSERT INTO t VALUES (7, 7)", "UPDATE t SET n = 5 WHERE id = 1", "TRUNCATE t"],
    ],
)
def test_transaction_that_did_anything_else_is_not_run_again(peers, texts):
    first, _ = peers
    overtaken(peers, *texts)
    assert first.fails("COMMIT")[0] == "40001"
    assert values(first) == [11, 20, 30]


def test_copied_rows_are_never_lost_in_a_second_run(peers):
    first, _ = peers
    run(first, "BEGIN", "UPDATE t SET n = 5 WHERE id = 1")
    first.send(client.query("COPY t FROM STDIN"))
    first.until("G")
    first.ask(client.message(b"d", b"8\t8\n"), client.message(b"c"))
    run(peers[1], "UPDATE t SET n = 11 WHERE id = 1")
    assert first.fails("COMMIT") == OC000
    assert values(first) == [11, 20, 30]


def test_pipelined_read_counts_as_read(peers, postgres):
    """What an implicit transaction has read before its first write is not run again."""
    first, second = peers
    before_next_commit(postgres, lambda: run(second, "UPDATE t SET n = 50 WHERE id = 1"))
    answers = first.query("SELECT n FROM t WHERE id = 1; UPDATE t SET n = n + 1 WHERE id = 1")
    assert rows(answers) == [[b"10"]]
    assert [kind for kind, _ in answers][-2:] == ["E", "Z"]
    assert values(first) == [50, 20, 30]


@pytest.mark.parametrize("limit", ["STATEMENTS_MAX", "ANSWERS_BYTES_MAX"])
def test_long_transactions_are_not_remembered(peers, monkeypatch, limit):
    monkeypatch.setattr(replay, limit, 3)
    overtaken(peers, *["UPDATE t SET n = n + 100 WHERE id = 1"] * 5)
    assert peers[0].fails("COMMIT") == OC000


def test_changed_catalog_is_not_run_again(peers):
    first, second = peers
    run(first, "BEGIN", "UPDATE t SET n = n + 1 WHERE id = 1")
    run(second, "UPDATE t SET n = n + 1 WHERE id = 1", "CREATE TABLE other (a int)")
    assert first.fails("COMMIT") == OC000


def test_it_gives_up_in_the_end(peers, postgres, monkeypatch):
    first, second = peers
    monkeypatch.setattr(attempts, "REPLAYS_MAX", 3)
    store, commit = postgres.store, postgres.store.commit
    overtakers = []

    def commit_behind(encoded: bytes, identity: bytes, premises: bytes = b""):
        store.commit = commit  # type: ignore[method-assign]
        overtakers.append(run(second, "UPDATE t SET n = n + 1 WHERE id = 1"))
        store.commit = commit_behind  # type: ignore[method-assign]
        return commit(encoded, identity, premises)

    store.commit = commit_behind  # type: ignore[method-assign]
    assert first.fails("UPDATE t SET n = n + 100 WHERE id = 1") == OC000
    assert len(overtakers) == 4
    store.commit = commit  # type: ignore[method-assign]
    assert values(first) == [14, 20, 30]


def test_dsql_profile_reports_the_conflict(server):
    first, second = server.connect(), server.connect()
    run(first, "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL)", "INSERT INTO t VALUES (1, 1)")
    overtaken((first, second), "UPDATE t SET n = n + 100 WHERE id = 1")
    assert first.fails("COMMIT") == OC000


def test_commit_that_is_applied_but_not_published_is_left_to_the_adjudicator(postgres, peers):
    """To begin anew would find the same snapshot; the adjudicator answers once it is published."""
    first, second = peers
    store, commit = postgres.store, postgres.store.commit
    asked = []
    run(first, "BEGIN", "UPDATE t SET n = n + 100 WHERE id = 1")
    published = store.now
    run(second, "UPDATE t SET n = n + 1 WHERE id = 1")
    applied, store.now = store.now, published

    def publish_and_commit(encoded: bytes, identity: bytes, premises: bytes = b""):
        asked.append(store.now)
        store.now = applied
        return commit(encoded, identity, premises)

    store.commit = publish_and_commit  # type: ignore[method-assign]
    run(first, "COMMIT")
    assert asked == [published, applied]
    store.commit = commit  # type: ignore[method-assign]
    assert values(first) == [111, 20, 30]
