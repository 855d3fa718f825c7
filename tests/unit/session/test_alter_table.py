"""ALTER TABLE on tables that others write to. That answers are PostgreSQL's is in `tests/differential`."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from memory_server import Peer, Server, errors

from dsql.transaction.interface import CommitOutcome


@pytest.fixture
def peers(postgres: Server) -> tuple[Peer, Peer]:
    one, other = postgres.connect(), postgres.connect()
    one.rows("CREATE TABLE t (id int PRIMARY KEY, a int)")
    one.rows("INSERT INTO t VALUES (1, 1)")
    return one, other


def _before_next_commit(server: Server, act: Callable[[], object]) -> None:
    """Have something happen when the next commit reaches the store, before it counts."""
    store, commit = server.store, server.store.commit

    def commit_behind(encoded: bytes, identity: bytes, premises: bytes = b"") -> CommitOutcome:
        store.commit = commit  # type: ignore[method-assign]
        act()
        return commit(encoded, identity, premises)

    store.commit = commit_behind  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("change", "sqlstate"),
    [
        ("ALTER a SET NOT NULL", "23502"),
        ("ADD CHECK (a > 0)", "23514"),
        ("ADD FOREIGN KEY (a) REFERENCES t", "23503"),
    ],
)
def test_a_row_that_was_written_meanwhile_is_found(postgres, peers, change, sqlstate):
    one, other = peers
    values = "(2, NULL)" if "NULL" in change else "(2, -7)"
    _before_next_commit(postgres, lambda: other.rows(f"INSERT INTO t VALUES {values}"))
    assert one.fails(f"ALTER TABLE t {change}")[0] == sqlstate
    other.rows("INSERT INTO t VALUES (3, NULL), (4, -8)")
    assert one.rows("SELECT count(*) FROM t WHERE a IS NULL OR a < 0") in ([[b"3"]], [[b"4"]])


def test_rows_older_than_a_column_have_its_default_whoever_writes_them(postgres, peers):
    one, other = peers
    _before_next_commit(postgres, lambda: other.rows("INSERT INTO t VALUES (2, 2)"))
    one.rows("ALTER TABLE t ADD COLUMN b int NOT NULL DEFAULT 5")
    other.rows("UPDATE t SET a = 9 WHERE id = 1")
    assert one.rows("SELECT * FROM t ORDER BY id") == [[b"1", b"9", b"5"], [b"2", b"2", b"5"]]


def test_a_failed_constraint_takes_its_column_back(peers):
    one, _ = peers
    one.rows("INSERT INTO t VALUES (2, 2)")
    for constraint in ("UNIQUE", "CHECK (b > 5)", "REFERENCES t"):
        assert errors(one.query(f"ALTER TABLE t ADD COLUMN b int DEFAULT 5 {constraint}"))
        assert one.fails("SELECT b FROM t")[0] == "42703"


def test_an_index_over_rows_older_than_its_column_finds_them(peers):
    one, _ = peers
    one.rows("ALTER TABLE t ADD COLUMN b int DEFAULT 5")
    one.rows("CREATE INDEX ON t (b)")
    assert one.rows("SELECT id FROM t WHERE b = 5") == [[b"1"]]
    one.rows("UPDATE t SET b = 6")
    assert one.rows("SELECT id FROM t WHERE b = 5") == []


def test_dsql_takes_bare_columns_only(server):
    peer = server.connect()
    peer.rows("CREATE TABLE t (id int PRIMARY KEY)")
    refusal = ("0A000", "ALTER TABLE ADD COLUMN with constraint not supported")
    assert peer.fails("ALTER TABLE t ADD COLUMN a int DEFAULT 5") == refusal
    message = "unsupported ALTER TABLE ALTER COLUMN ... SET NOT NULL statement"
    assert peer.fails("ALTER TABLE t ALTER id SET NOT NULL") == ("0A000", message)
    peer.rows("ALTER TABLE t ADD COLUMN a int")


def test_a_row_that_was_written_meanwhile_gets_the_new_type(postgres, peers):
    one, other = peers
    _before_next_commit(postgres, lambda: other.rows("INSERT INTO t VALUES (2, 20)"))
    one.rows("ALTER TABLE t ALTER a TYPE text USING 'n' || a")
    assert other.rows("SELECT a FROM t ORDER BY id") == [[b"n1"], [b"n20"]]
    other.rows("INSERT INTO t VALUES (3, 'x')")


def test_a_block_that_replaces_rows_twice_replaces_them_once(peers):
    one, other = peers
    one.rows("BEGIN")
    one.rows("ALTER TABLE t ALTER a TYPE text")
    assert one.rows("SELECT a FROM t") == [[b"1"]]
    one.rows("ALTER TABLE t ALTER id TYPE bigint, ADD CHECK (a <> '2')")
    one.rows("COMMIT")
    assert other.fails("INSERT INTO t VALUES (2, '2')")[0] == "23514"
    types = (
        "SELECT atttypid::regtype FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0"
    )
    assert other.rows(types) == [[b"bigint"], [b"text"]]
    assert other.rows("SELECT count(*) FROM sys.jobs WHERE status <> 'completed'") == [[b"0"]]


def test_what_rows_cannot_become_leaves_them_as_they_are(peers):
    one, _ = peers
    one.rows("ALTER TABLE t ADD COLUMN b text DEFAULT 'long'")
    assert one.fails("ALTER TABLE t ALTER b TYPE varchar(2)")[0] == "22001"
    one.rows("UPDATE t SET b = b || 'er'")
    assert one.rows("SELECT b FROM t") == [[b"longer"]]


def test_a_key_that_rows_have_no_value_for_is_not_added(postgres: Server) -> None:
    peer = postgres.connect()
    peer.query("CREATE TABLE t (a int)")
    peer.query("INSERT INTO t VALUES (1)")
    refused = ("23502", 'column "k" of relation "t" contains null values')
    assert peer.fails("ALTER TABLE t ADD COLUMN k int PRIMARY KEY") == refused
    assert peer.rows("SELECT * FROM t") == [[b"1"]]
    peer.query("ALTER TABLE t ADD COLUMN k int DEFAULT 5 PRIMARY KEY")
    peer.query("ALTER TABLE t ADD COLUMN s serial")
    assert peer.rows("SELECT a, k, s FROM t") == [[b"1", b"5", b"1"]]
    peer.query("CREATE TABLE none (a int)")
    peer.query("ALTER TABLE none ADD COLUMN k int PRIMARY KEY")
    assert peer.fails("INSERT INTO none VALUES (1)")[0] == "23502"
    peer.query("INSERT INTO none VALUES (1, 2)")
    assert peer.rows("SELECT * FROM none") == [[b"1", b"2"]]
