"""Foreign keys in sessions: who meets whom at the commit, whose rights count, what moves, what is replayed.

That answers are PostgreSQL's is compared in `tests/differential/foreign_keys.sql`.
"""

from __future__ import annotations

import random
import threading

import msgspec
import pytest
from memory_server import ARN, MemoryStore, Peer, Server, errors, letters, rows, tags

from adjudicator.conflict_set import DATA_CONFLICT, SCHEMA_CONFLICT, ConflictSet
from adjudicator.messages import NO_PREMISES, KeyEntry, decode_premises
from dsql.transaction.interface import CommitOutcome, Committed, Conflict, WriteSet
from dsql.wire import client

OC000 = ("40001", "change conflicts with another transaction (OC000)")
ORPHAN = 'insert or update on table "child" violates foreign key constraint "child_parent_fkey"'
KEPT = (
    'update or delete on table "parent" violates foreign key constraint '
    '"child_parent_fkey" on table "child"'
)

_decode = msgspec.msgpack.Decoder(WriteSet).decode


class DecidingStore(MemoryStore):
    """A store whose commits are decided as an adjudicator does."""

    def __init__(self) -> None:
        super().__init__()
        self._set = ConflictSet(0, 0)
        self._lock = threading.Lock()

    def commit(self, encoded: bytes, transaction_id: bytes, premises: bytes = b"") -> CommitOutcome:
        asked = _decode(encoded)
        checks = [KeyEntry(key, mode) for key, mode in asked.checks]
        writes = [KeyEntry(key, mode) for key, mode, _ in asked.writes]
        with self._lock:
            rests_on = decode_premises(premises) if premises else NO_PREMISES
            decided = self._set.decide(
                asked.start_timestamp, checks, writes, self.now + 1, rests_on
            )
            if decided in (DATA_CONFLICT, SCHEMA_CONFLICT):
                return Conflict(decided == SCHEMA_CONFLICT)
            rows, changed = self.rows.copy(), self.changed.copy()
            for key, _, value in asked.writes:
                changed[key] = decided
                if value is None:
                    rows.pop(key, None)
                else:
                    rows[key] = value
            self.now, self.rows, self.changed = decided, rows, changed
        return Committed(decided)


def _tables(peer: Peer, action: str = "") -> None:
    peer.rows("CREATE TABLE parent (id int PRIMARY KEY, code int UNIQUE, note text)")
    peer.rows(f"CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent {action})")


def _pair(server: Server, action: str = "") -> tuple[Peer, Peer]:
    server.store = DecidingStore()
    one, other = server.connect(), server.connect()
    _tables(one, action)
    one.rows("INSERT INTO parent VALUES (1, 10, 'a'), (2, 20, 'b')")
    return one, other


@pytest.mark.parametrize(
    ("first", "second", "meets"),
    [
        ("INSERT INTO child VALUES (1, 1)", "DELETE FROM parent WHERE id = 1", True),
        ("DELETE FROM parent WHERE id = 1", "INSERT INTO child VALUES (1, 1)", True),
        ("INSERT INTO child VALUES (1, 1)", "UPDATE parent SET id = 3 WHERE id = 1", True),
        ("INSERT INTO child VALUES (1, 1)", "UPDATE parent SET code = 3 WHERE id = 1", True),
        ("INSERT INTO child VALUES (1, 1)", "UPDATE parent SET note = 'x' WHERE id = 1", False),
        ("UPDATE parent SET note = 'x' WHERE id = 1", "INSERT INTO child VALUES (1, 1)", False),
        ("INSERT INTO child VALUES (1, 1)", "INSERT INTO child VALUES (2, 1)", False),
        ("INSERT INTO child VALUES (1, 1)", "DELETE FROM parent WHERE id = 2", False),
    ],
)
def test_a_child_meets_who_takes_its_parent_away_and_nobody_else(server, first, second, meets):
    one, other = _pair(server)
    one.rows("BEGIN")
    other.rows("BEGIN")
    one.rows(first)
    other.rows(second)
    one.rows("COMMIT")
    if meets:
        assert other.fails("COMMIT") == OC000
    else:
        other.rows("COMMIT")


@pytest.mark.parametrize("seed", range(4))
def test_transactions_at_random_never_leave_an_orphan(postgres, seed):
    one, _ = _pair(postgres, "ON DELETE CASCADE ON UPDATE CASCADE")
    one.rows("CREATE TABLE guest (id int PRIMARY KEY, parent int REFERENCES parent)")
    peers, dice = [postgres.connect() for _ in range(4)], random.Random(seed)
    for _ in range(250):
        dice.choice(peers).query(_at_random(dice))
    for peer in peers:
        peer.query("ROLLBACK")
    for table in ("child", "guest"):
        orphans = (
            f"SELECT c.* FROM {table} c LEFT JOIN parent p ON p.id = c.parent WHERE p.id IS NULL"
        )
        assert one.rows(orphans) == []
    assert one.rows("SELECT FROM child UNION ALL SELECT FROM guest LIMIT 1")


def _at_random(dice: random.Random) -> str:
    parent, row = dice.randrange(3), dice.randrange(12)
    return dice.choice(
        (
            "BEGIN",
            "COMMIT",
            f"INSERT INTO parent VALUES ({parent}, {row})",
            f"INSERT INTO child VALUES ({row}, {parent})",
            f"INSERT INTO guest VALUES ({row}, {parent})",
            f"UPDATE child SET parent = {parent} WHERE id = {row}",
            f"UPDATE parent SET id = id + 1 WHERE id = {parent}",
            f"DELETE FROM parent WHERE id = {parent}",
            f"DELETE FROM guest WHERE id = {row}",
        )
    )


def test_who_knows_nothing_of_a_new_foreign_key_fails(server):
    one, other = server.connect(), server.connect()
    one.rows("CREATE TABLE parent (id int PRIMARY KEY)")
    one.rows("INSERT INTO parent VALUES (1)")
    other.rows("BEGIN")
    other.rows("DELETE FROM parent")
    one.rows("CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent)")
    assert other.fails("COMMIT")[0] == "40001"


def test_rows_of_cascades_count(server):
    peer = server.connect()
    _tables(peer, "ON DELETE CASCADE")
    peer.rows("INSERT INTO parent VALUES (1)")
    for start in (0, 2_000):
        peer.rows(f"INSERT INTO child SELECT n, 1 FROM generate_series({start}, {start + 1_999}) n")
    assert peer.fails("DELETE FROM parent") == ("54000", "transaction row limit exceeded")


def test_a_prepared_write_is_checked_like_any_other(server):
    peer = server.connect()
    _tables(peer)
    peer.ask(client.parse("INSERT INTO child VALUES ($1, $2)", "w"), client.sync())

    def insert(number: bytes) -> list[tuple[str, bytes]]:
        bind = client.bind([number, number], statement="w")
        return peer.ask(bind, client.execute(), client.sync())

    for number in (b"1", b"2"):
        assert [error["M"] for error in errors(insert(number))] == [ORPHAN]
    peer.rows("INSERT INTO parent VALUES (1)")
    for _ in range(2):
        assert tags(insert(b"1")) == ["INSERT 0 1"]
        peer.rows("DELETE FROM child")


def test_a_lost_transaction_with_checks_is_replayed(postgres):
    one, other = _pair(postgres)
    one.rows("BEGIN")
    one.rows("INSERT INTO child VALUES (1, 1)")
    one.rows("UPDATE parent SET note = note || 'x' WHERE id = 2")
    other.rows("UPDATE parent SET note = 'new' WHERE id = 2")
    one.rows("COMMIT")
    assert one.rows("SELECT note FROM parent WHERE id = 2") == [[b"newx"]]


def test_a_replay_checks_again(postgres):
    one, other = _pair(postgres, "DEFERRABLE INITIALLY DEFERRED")
    one.rows("BEGIN")
    one.rows("INSERT INTO child VALUES (1, 1)")
    other.rows("DELETE FROM parent WHERE id = 1")
    assert one.fails("COMMIT")[0] in ("23503", "40001")
    assert one.rows("SELECT * FROM child") == []


def test_actions_run_with_the_rights_of_the_childs_owner(server):
    admin = server.connect()
    admin.rows("CREATE ROLE boss LOGIN")
    admin.rows(f"AWS IAM GRANT boss TO '{ARN}'")
    _tables(admin, "ON DELETE CASCADE")
    admin.rows("INSERT INTO parent VALUES (1)")
    admin.rows("INSERT INTO child VALUES (1, 1)")
    admin.rows("GRANT DELETE, SELECT ON parent TO boss")
    boss = server.connect(user="boss")
    assert boss.fails("DELETE FROM child") == ("42501", "permission denied for table child")
    boss.rows("DELETE FROM parent")
    assert admin.rows("SELECT * FROM child") == []


def test_values_that_a_role_may_not_read_are_not_told(server):
    admin = server.connect()
    admin.rows("CREATE ROLE clerk LOGIN")
    admin.rows(f"AWS IAM GRANT clerk TO '{ARN}'")
    _tables(admin)
    admin.rows("GRANT INSERT ON child TO clerk")
    answers = server.connect(user="clerk").query("INSERT INTO child VALUES (1, 7)")
    assert errors(answers)[0]["D"] == 'Key is not present in table "parent".'


def test_references_is_a_privilege(server):
    admin = server.connect()
    admin.rows("CREATE ROLE maker LOGIN")
    admin.rows(f"AWS IAM GRANT maker TO '{ARN}'")
    admin.rows("GRANT CREATE ON SCHEMA public TO maker")
    admin.rows("CREATE TABLE parent (id int PRIMARY KEY, code int UNIQUE)")
    maker = server.connect(user="maker")
    make = "CREATE TABLE child (parent int REFERENCES parent)"
    assert maker.fails(make) == ("42501", "permission denied for table parent")
    admin.rows("GRANT REFERENCES (id) ON parent TO maker")
    maker.rows(make)
    other = "CREATE TABLE other (code int REFERENCES parent (code))"
    assert maker.fails(other) == ("42501", "permission denied for table parent")


def test_dsql_takes_a_new_foreign_key_not_valid_and_validates_in_the_background(server):
    peer = server.connect()
    peer.rows("CREATE TABLE parent (id int PRIMARY KEY)")
    peer.rows("CREATE TABLE child (id int PRIMARY KEY, parent int)")
    peer.rows("INSERT INTO child VALUES (1, 7)")
    add = "ALTER TABLE child ADD FOREIGN KEY (parent) REFERENCES parent"
    assert peer.fails(add) == ("0A000", "unsupported ALTER TABLE ADD CONSTRAINT statement")
    peer.rows(f"{add} NOT VALID")
    assert peer.fails("INSERT INTO child VALUES (2, 8)") == ("23503", ORPHAN)
    validate = "VALIDATE CONSTRAINT child_parent_fkey"
    assert peer.fails(f"ALTER TABLE child {validate}")[0] == "0A000"
    assert _validated(peer, validate) == (b"failed", b"f")
    peer.rows("INSERT INTO parent VALUES (7)")
    assert _validated(peer, validate) == (b"completed", b"t")


def _validated(peer: Peer, validate: str) -> tuple[bytes | None, bytes | None]:
    """Return the status of the job, and whether the constraint is known to hold for all rows."""
    answers = peer.query(f"ALTER TABLE ASYNC child {validate}")
    ((job,),) = rows(answers)
    assert tags(answers) == ["ALTER TABLE"]
    assert job is not None
    ((status,),) = peer.rows(f"SELECT status FROM sys.jobs WHERE job_id = '{job.decode()}'")
    ((holds,),) = peer.rows("SELECT convalidated FROM pg_constraint WHERE contype = 'f'")
    return status, holds


@pytest.mark.one_process
def test_a_session_with_deferred_checks_stays_where_it_is(postgres):
    postgres.park_seconds = 0.0
    peer = postgres.connect()
    _tables(peer, "DEFERRABLE INITIALLY DEFERRED")
    peer.rows("BEGIN")
    peer.rows("INSERT INTO child VALUES (1, 1)")
    assert not postgres.wait_until_silent()
    assert peer.fails("COMMIT") == ("23503", ORPHAN)


def test_copy_checks_at_its_end(server):
    peer = server.connect()
    peer.rows("CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree)")

    def copy(lines: bytes) -> list[tuple[str, bytes]]:
        peer.send(client.query("COPY tree FROM STDIN"))
        peer.until("G")
        return peer.ask(client.copy_data(lines), client.copy_done())

    assert tags(copy(b"1\t2\n2\t1\n")) == ["COPY 2"]
    assert errors(copy(b"3\t4\n"))[0]["C"] == "23503"
    assert peer.rows("SELECT id FROM tree ORDER BY 1") == [[b"1"], [b"2"]]


def test_a_statement_is_not_complete_before_its_commit_is(postgres: Server) -> None:
    peer = postgres.connect()
    peer.query("CREATE TABLE parent (id int PRIMARY KEY)")
    peer.query(
        "CREATE TABLE child (id int PRIMARY KEY,"
        " parent int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)"
    )
    assert letters(peer.query("INSERT INTO child VALUES (1, 7)")) == "EZ"
    assert letters(peer.query("SELECT 1; INSERT INTO child VALUES (1, 7)")) == "TDCEZ"
    assert letters(peer.query("INSERT INTO child VALUES (1, 7) RETURNING id")) == "TDEZ"
    assert peer.rows("SELECT * FROM child") == []
