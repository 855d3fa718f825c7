"""What transactions of each isolation level see, and which of them can commit beside others."""

from __future__ import annotations

import itertools
import random

import pytest
from memory_server import Peer, Server, letters, tags

OC000 = ("40001", "change conflicts with another transaction (OC000)")
OC001 = ("40001", "schema has been updated by another transaction (OC001)")
LEVELS = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")


@pytest.fixture
def peers(postgres: Server) -> tuple[Peer, Peer]:
    first, second = postgres.connect(), postgres.connect()
    first.query("CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL, kind text)")
    first.query("CREATE INDEX ON t (kind)")
    first.query("INSERT INTO t VALUES (1, 10, 'a'), (2, 20, 'b'), (3, 30, 'a')")
    return first, second


def run(peer: Peer, *texts: str) -> None:
    for text in texts:
        peer.rows(text)


def values(peer: Peer, text: str = "SELECT n FROM t ORDER BY id") -> list[int]:
    return [int(row[0] or 0) for row in peer.rows(text)]


def levels(*peers: Peer, level: str = "SERIALIZABLE") -> None:
    for peer in peers:
        run(peer, f"BEGIN ISOLATION LEVEL {level}")


# ---------------------------------------------------------------- READ COMMITTED


def test_read_committed_is_the_default_where_it_is_postgresqls(postgres, server):
    assert postgres.connect().rows("SHOW transaction_isolation") == [[b"read committed"]]
    assert server.connect().rows("SHOW transaction_isolation") == [[b"repeatable read"]]


@pytest.mark.parametrize(
    ("level", "seen"),
    [(LEVELS[0], [11, 20, 30]), (LEVELS[1], [10, 20, 30]), (LEVELS[2], [10, 20, 30])],
)
def test_statements_of_a_block_see_later_commits_in_read_committed_only(peers, level, seen):
    first, second = peers
    levels(first, level=level)
    assert values(first) == [10, 20, 30]
    run(second, "UPDATE t SET n = 11 WHERE id = 1")
    assert values(first) == seen


def test_an_update_goes_on_with_what_was_committed_before_it(peers):
    first, second = peers
    run(first, "BEGIN", "SELECT n FROM t WHERE id = 1")
    run(second, "UPDATE t SET n = 50 WHERE id = 1")
    run(first, "UPDATE t SET n = n + 1 WHERE id = 1", "COMMIT")
    assert values(second) == [51, 20, 30]


def test_each_write_counts_from_its_own_statement(peers):
    """The first one's snapshot is older than what the second one has overwritten."""
    first, second = peers
    run(first, "BEGIN", "SELECT pg_sleep(0)", "UPDATE t SET n = n + 1 WHERE id = 1")
    run(first, "SAVEPOINT so_it_cannot_run_again")
    run(second, "UPDATE t SET n = n + 100 WHERE id = 2")
    run(first, "UPDATE t SET n = n + 1 WHERE id = 2", "COMMIT")
    assert values(second) == [11, 121, 30]


def test_what_was_written_over_meanwhile_loses(peers):
    first, second = peers
    run(first, "BEGIN", "SAVEPOINT a", "UPDATE t SET n = n + 1 WHERE id = 1")
    run(second, "UPDATE t SET n = n + 100 WHERE id = 1")
    assert first.fails("SELECT n FROM t WHERE id = 1") == OC000
    assert tags(first.query("COMMIT")) == ["ROLLBACK"]
    assert values(second) == [110, 20, 30]


def test_own_rows_are_found_once_though_another_has_moved_them_in_an_index(peers):
    first, second = peers
    run(first, "BEGIN", "UPDATE t SET kind = 'c' WHERE id = 1")
    run(second, "UPDATE t SET kind = 'd' WHERE id = 1")
    found = [first.rows(f"SELECT id FROM t WHERE kind = '{kind}'") for kind in "acd"]
    assert found == [[[b"3"]], [[b"1"]], []]
    run(first, "COMMIT")
    assert second.rows("SELECT kind FROM t WHERE id = 1") == [[b"c"]]


def test_a_locked_row_that_was_changed_meanwhile_loses(peers):
    first, second = peers
    run(first, "BEGIN", "SAVEPOINT a", "SELECT n FROM t WHERE id = 1 FOR UPDATE")
    run(second, "UPDATE t SET n = 11 WHERE id = 1")
    assert first.fails("UPDATE t SET n = n + 1 WHERE id = 1") == OC000


def test_what_was_read_before_anything_was_written_need_not_come_out_the_same(peers):
    first, second = peers
    run(first, "BEGIN", "SELECT n FROM t WHERE id = 1", "UPDATE t SET n = n + 5 WHERE id = 1")
    run(second, "UPDATE t SET n = n + 1 WHERE id = 1")
    run(first, "COMMIT")
    assert values(first) == [16, 20, 30]


def test_what_was_read_under_a_lock_must_come_out_the_same(peers):
    first, second = peers
    run(first, "BEGIN", "SELECT n FROM t WHERE id = 1 FOR UPDATE")
    run(second, "UPDATE t SET n = n + 1 WHERE id = 1")
    assert first.fails("COMMIT") == OC000


def test_a_table_made_meanwhile_is_there_for_the_next_statement(peers):
    first, second = peers
    run(first, "BEGIN", "SAVEPOINT a", "INSERT INTO t VALUES (4, 40, 'c')")
    run(second, "CREATE TABLE u (id int PRIMARY KEY)")
    run(first, "INSERT INTO u VALUES (1)", "COMMIT")
    assert values(second, "SELECT id FROM u") == [1]


def test_a_table_that_is_changed_behind_the_first_write_to_it_is_a_conflict(peers):
    first, second = peers
    run(first, "BEGIN", "SAVEPOINT a", "INSERT INTO t VALUES (4, 40, 'c')")
    run(second, "ALTER TABLE t ADD COLUMN extra int")
    run(first, "INSERT INTO t VALUES (5, 50, 'c')")
    assert first.fails("COMMIT") == OC001


def test_an_open_cursor_and_what_is_beside_it_keep_their_snapshot(peers):
    first, second = peers
    run(first, "BEGIN", "DECLARE c CURSOR FOR SELECT n FROM t ORDER BY id")
    assert first.rows("FETCH c") == [[b"10"]]
    run(second, "UPDATE t SET n = n + 1")
    assert first.rows("FETCH c") == [[b"20"]]
    run(first, "CLOSE c")
    assert values(first) == [11, 21, 31]


def test_statements_of_a_script_see_what_is_committed_between_them(postgres, peers):
    first, second = peers
    plain, found = postgres.store.latest, []

    def latest() -> int:
        if not found:
            found.append(1)
            run(second, "UPDATE t SET n = 99 WHERE id = 3")
        return plain()

    run(first, "BEGIN", "SELECT 1")
    postgres.store.latest = latest
    assert values(first, "SELECT n FROM t WHERE id = 3; SELECT n FROM t WHERE id = 3") == [99, 99]


def test_a_deferred_constraint_is_checked_with_what_is_committed_by_then(postgres):
    first, second = postgres.connect(), postgres.connect()
    run(
        first,
        "CREATE TABLE parent (id int PRIMARY KEY)",
        "CREATE TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
        "BEGIN",
        "INSERT INTO child VALUES (5)",
    )
    run(second, "INSERT INTO parent VALUES (5)")
    run(first, "COMMIT")


# ---------------------------------------------------------------- SERIALIZABLE


@pytest.mark.parametrize("level", LEVELS)
def test_write_skew_is_prevented_by_serializable_only(peers, level):
    first, second = peers
    levels(*peers, level=level)
    for peer, row in zip(peers, (1, 2), strict=True):
        assert values(peer, "SELECT sum(n) FROM t WHERE id < 3") == [30]
        run(peer, f"UPDATE t SET n = n - 30 WHERE id = {row}")
    run(first, "COMMIT")
    if level == "SERIALIZABLE":
        assert second.fails("COMMIT") == OC000
    else:
        run(second, "COMMIT")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT count(*) FROM t",
        "SELECT count(*) FROM t WHERE kind = 'z'",
        "SELECT n FROM t WHERE id = 4",
        "SELECT n FROM t WHERE id > 3",
        "SELECT n FROM t ORDER BY id DESC LIMIT 1",
        "SELECT n FROM t WHERE kind IN ('y', 'z')",
    ],
)
def test_rows_that_would_have_been_found_are_a_conflict(peers, query):
    first, second = peers
    levels(first)
    run(first, query, "INSERT INTO t VALUES (9, 0, 'q')")
    run(
        second,
        "INSERT INTO t VALUES (4, 40, 'z')"
        if "DESC" not in query
        else "INSERT INTO t VALUES (8, 1, 'z')",
    )
    assert first.fails("COMMIT") == OC000


@pytest.mark.parametrize(
    ("query", "change"),
    [
        ("SELECT n FROM t WHERE id = 1", "UPDATE t SET n = 21 WHERE id = 2"),
        ("SELECT n FROM t WHERE id = 4", "INSERT INTO t VALUES (5, 0, 'c')"),
        ("SELECT n FROM t WHERE kind = 'a'", "INSERT INTO t VALUES (4, 0, 'c')"),
        ("SELECT n FROM t WHERE id < 3", "DELETE FROM t WHERE id = 3"),
        ("SELECT count(*) FROM t", "CREATE TABLE other (id int PRIMARY KEY)"),
    ],
)
def test_what_was_not_read_is_none(peers, query, change):
    first, second = peers
    levels(first)
    run(first, "SAVEPOINT so_it_cannot_run_again", query, "INSERT INTO t VALUES (9, 0, 'q')")
    run(second, change)
    run(first, "COMMIT")


@pytest.mark.parametrize(("order", "row"), [("", 60), ("DESC", 1)])
def test_a_scan_that_ends_early_has_not_read_the_rest(peers, order, row):
    first, second = peers
    run(second, "INSERT INTO t SELECT i, 0, 'c' FROM generate_series(4, 60) i")
    levels(first)
    run(first, "SAVEPOINT so_it_cannot_run_again", f"SELECT n FROM t ORDER BY id {order} LIMIT 1")
    run(first, "INSERT INTO t VALUES (90, 0, 'q')")
    run(second, f"DELETE FROM t WHERE id = {row}")
    run(first, "COMMIT")


def test_a_transaction_that_writes_nothing_always_commits(peers):
    first, second = peers
    levels(first)
    assert sum(values(first)) == 60
    run(second, "UPDATE t SET n = 0")
    assert sum(values(first)) == 60
    run(first, "COMMIT")


def test_a_read_only_transaction_sees_no_state_that_no_order_has(peers):
    """Fekete, O'Neil and O'Neil's anomaly: two that write, one that reads between their commits."""
    first, second = peers
    reader = second
    levels(first)
    run(first, "SELECT n FROM t WHERE id IN (1, 2)", "UPDATE t SET n = -11 WHERE id = 1")
    run(second, "UPDATE t SET n = 120 WHERE id = 2")
    levels(reader)
    assert values(reader, "SELECT n FROM t WHERE id < 3 ORDER BY id") == [10, 120]
    run(reader, "COMMIT")
    assert first.fails("COMMIT") == OC000


def test_a_lost_transaction_runs_again_where_all_answers_come_out_the_same(peers):
    first, second = peers
    levels(first)
    run(first, "SELECT count(*) FROM t", "UPDATE t SET n = n + 1 WHERE id = 1")
    run(second, "UPDATE t SET n = n + 100 WHERE id = 1")
    run(first, "COMMIT")
    assert values(second) == [111, 20, 30]


def test_the_default_level_holds_for_single_statements_too(peers):
    first, _ = peers
    run(first, "SET default_transaction_isolation = serializable")
    run(first, "INSERT INTO t SELECT 4, sum(n), 'sum' FROM t")
    assert first.rows("SHOW transaction_isolation") == [[b"serializable"]]
    assert values(first) == [10, 20, 30, 60]


def test_reads_stay_when_a_savepoint_is_given_up(peers):
    first, second = peers
    levels(first)
    run(first, "SAVEPOINT a", "SELECT n FROM t WHERE id = 2", "ROLLBACK TO a")
    run(second, "UPDATE t SET n = 0 WHERE id = 2")
    run(first, "UPDATE t SET n = 0 WHERE id = 1")
    assert first.fails("COMMIT") == OC000


# ---------------------------------------------------------------- any level


@pytest.mark.parametrize("level", LEVELS)
def test_no_increment_is_lost(postgres, peers, level):
    choose = random.Random(7)
    sessions = [*peers, postgres.connect(), postgres.connect()]
    open_blocks: dict[int, int] = {}
    expected = 60
    for _ in range(400):
        number = choose.randrange(4)
        session = sessions[number]
        if number not in open_blocks:
            levels(session, level=level)
            open_blocks[number] = 0
        elif choose.random() < 0.6:
            step, row = choose.randrange(1, 5), choose.randrange(1, 4)
            open_blocks[number] += step
            texts = [f"UPDATE t SET n = n + {step} WHERE id = {row}"]
            if choose.random() < 0.2:
                texts.append(f"SELECT n FROM t WHERE id = {row}")
            if any("E" in letters(session.query(text)) for text in texts):
                session.query("ROLLBACK")
                del open_blocks[number]
        else:
            made = open_blocks.pop(number)
            if tags(session.query("COMMIT")) == ["COMMIT"]:
                expected += made
    for number in open_blocks:
        run(sessions[number], "ROLLBACK")
    assert sum(values(peers[0])) == expected


@pytest.mark.parametrize("seed", range(3))
def test_serializable_transactions_are_as_if_run_one_after_the_other(postgres, peers, seed):
    """Each counts a kind of rows and adds one that says the count: in the order of commits they add up."""
    choose = random.Random(seed)
    sessions = [*peers, postgres.connect()]
    running: set[int] = set()
    keys, committed = itertools.count(100), 0
    for _ in range(120):
        number = choose.randrange(3)
        if number not in running:
            levels(sessions[number])
            running.add(number)
            count = values(sessions[number], "SELECT count(*) FROM t WHERE kind = 'x'")[0]
            run(sessions[number], f"INSERT INTO t VALUES ({next(keys)}, {count}, 'x')")
        else:
            running.discard(number)
            committed += tags(sessions[number].query("COMMIT")) == ["COMMIT"]
    for number in running:
        run(sessions[number], "ROLLBACK")
    assert sorted(values(peers[0], "SELECT n FROM t WHERE kind = 'x'")) == list(range(committed))
    assert committed > 10


# ---------------------------------------------------------------- exported snapshots


def test_who_imports_a_snapshot_sees_what_its_exporter_sees(peers):
    first, second = peers
    levels(first, level="REPEATABLE READ")
    ((identifier,),) = first.rows("SELECT pg_export_snapshot()")
    run(second, "UPDATE t SET n = 0", "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY")
    run(second, f"SET TRANSACTION SNAPSHOT '{identifier.decode()}'")
    assert values(second) == [10, 20, 30]
    run(second, "COMMIT")
    assert values(second) == [0, 0, 0]


def test_a_snapshot_is_exported_until_its_transaction_ends(peers):
    first, second = peers
    levels(first, level="READ COMMITTED")
    ((identifier,),) = first.rows("SELECT pg_export_snapshot()")
    run(second, "UPDATE t SET n = 0")
    assert values(first) == [10, 20, 30]
    run(first, "COMMIT")
    name = identifier.decode()
    unknown = ("22023", f'invalid snapshot identifier: "{name}"')
    levels(second, level="REPEATABLE READ")
    assert second.fails(f"SET TRANSACTION SNAPSHOT '{name}'") == unknown
    run(second, "ROLLBACK")
    levels(second, level="REPEATABLE READ")
    assert second.fails("SET TRANSACTION SNAPSHOT 'abc'")[0] == "22023"
    run(second, "ROLLBACK", "BEGIN")
    assert second.fails(f"SET TRANSACTION SNAPSHOT '{name}'") == (
        "0A000",
        "a snapshot-importing transaction must have isolation level SERIALIZABLE or REPEATABLE READ",
    )
    run(second, "ROLLBACK", "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT 1")
    assert second.fails(f"SET TRANSACTION SNAPSHOT '{name}'") == (
        "25001",
        "SET TRANSACTION SNAPSHOT must be called before any query",
    )
