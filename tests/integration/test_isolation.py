"""Snapshot isolation between real sessions: the anomalies of the "hermitage" table, and locking reads.

T1, T2, T3 are transactions on different connections. Each test has a table with the rows (1, 10), (2, 20).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
from running_cluster import RunningCluster

Connection = psycopg.Connection[Any]
OC000 = "change conflicts with another transaction (OC000)"
OC001 = "schema has been updated by another transaction (OC001)"


class Sessions:
    """Connections to one table of their own. `table` has the columns id, value, code (unique)."""

    def __init__(self, cluster: RunningCluster, stack: ExitStack) -> None:
        self._dsn = cluster.dsn()
        self._stack = stack
        self.table = f"t_{uuid.uuid4().hex[:8]}"
        self.admin = self.open(autocommit=True)
        self.admin.execute(
            f"create table {self.table} (id int primary key, value int, code int unique)"
        )
        self.admin.execute(f"insert into {self.table} values (1, 10, 1), (2, 20, 2)")

    def open(self, *, autocommit: bool = False) -> Connection:
        return self._stack.enter_context(psycopg.connect(**self._dsn, autocommit=autocommit))

    def begin(self, count: int) -> list[Connection]:
        """Return transactions that have their snapshots."""
        connections = [self.open() for _ in range(count)]
        for connection in connections:
            connection.execute("select 1")
        return connections

    def set(self, connection: Connection, row: int, value: int) -> None:
        done = connection.execute(f"update {self.table} set value = {value} where id = {row}")
        assert done.rowcount == 1

    def read(self, connection: Connection, condition: str = "true") -> dict[int, int]:
        query = f"select id, value from {self.table} where {condition}"
        return dict(connection.execute(query).fetchall())

    def committed(self) -> dict[int, int]:
        return self.read(self.admin)


@pytest.fixture
def sessions(cluster: RunningCluster) -> Iterator[Sessions]:
    with ExitStack() as stack:
        yield Sessions(cluster, stack)


def assert_conflict(commit: Callable[[], object], message: str = OC000) -> None:
    with pytest.raises(psycopg.errors.SerializationFailure) as caught:
        commit()
    assert caught.value.diag.message_primary == message


def test_g0_dirty_write_is_prevented(sessions: Sessions) -> None:
    t1, t2 = sessions.begin(2)
    sessions.set(t1, 1, 11)
    sessions.set(t2, 1, 12)
    sessions.set(t1, 2, 21)
    t1.commit()
    sessions.set(t2, 2, 22)
    assert_conflict(t2.commit)
    assert sessions.committed() == {1: 11, 2: 21}


def test_g1a_aborted_read_is_prevented(sessions: Sessions) -> None:
    t1, t2 = sessions.begin(2)
    sessions.set(t1, 1, 101)
    assert sessions.read(t2) == {1: 10, 2: 20}
    t1.rollback()
    assert sessions.read(t2) == {1: 10, 2: 20}
    t2.commit()


def test_g1b_intermediate_read_is_prevented(sessions: Sessions) -> None:
    t1, t2 = sessions.begin(2)
    sessions.set(t1, 1, 101)
    assert sessions.read(t2) == {1: 10, 2: 20}
    sessions.set(t1, 1, 11)
    t1.commit()
    assert sessions.read(t2) == {1: 10, 2: 20}
    t2.commit()
    assert sessions.read(t2) == {1: 11, 2: 20}


def test_g1c_circular_information_flow_is_prevented(sessions: Sessions) -> None:
    t1, t2 = sessions.begin(2)
    sessions.set(t1, 1, 11)
    sessions.set(t2, 2, 22)
    assert sessions.read(t1, "id = 2") == {2: 20}
    assert sessions.read(t2, "id = 1") == {1: 10}
    t1.commit()
    t2.commit()


def test_otv_observed_transaction_does_not_vanish(sessions: Sessions) -> None:
    t1, t2, t3 = sessions.begin(3)
    sessions.set(t1, 1, 11)
    sessions.set(t1, 2, 19)
    sessions.set(t2, 1, 12)
    t1.commit()
    assert sessions.read(t3) == {1: 10, 2: 20}
    sessions.set(t2, 2, 18)
    assert_conflict(t2.commit)
    assert sessions.read(t3) == {1: 10, 2: 20}
    t3.commit()
    assert sessions.read(t3) == {1: 11, 2: 19}


def test_pmp_predicate_reads_see_one_snapshot(sessions: Sessions) -> None:
    t1, t2 = sessions.begin(2)
    assert sessions.read(t1, "value = 30") == {}
    t2.execute(f"insert into {sessions.table} values (3, 30, 3)")
    t2.commit()
    assert sessions.read(t1, "value % 3 = 0") == {}
    t1.commit()


def test_pmp_write_predicates_conflict(sessions: Sessions) -> None:
    t1, t2 = sessions.begin(2)
    t1.execute(f"update {sessions.table} set value = value + 10")
    assert t2.execute(f"delete from {sessions.table} where value = 20").rowcount == 1
    t1.commit()
    assert_conflict(t2.commit)
    assert sessions.committed() == {1: 20, 2: 30}


def test_p4_lost_update_is_prevented(sessions: Sessions) -> None:
    t1, t2 = sessions.begin(2)
    assert sessions.read(t1, "id = 1") == sessions.read(t2, "id = 1")
    sessions.set(t1, 1, 11)
    sessions.set(t2, 1, 11)
    t1.commit()
    assert_conflict(t2.commit)


def test_g_single_read_skew_is_prevented(sessions: Sessions) -> None:
    t1, t2 = sessions.begin(2)
    assert sessions.read(t1, "id = 1") == {1: 10}
    sessions.set(t2, 1, 12)
    sessions.set(t2, 2, 18)
    t2.commit()
    assert sessions.read(t1, "id = 2") == {2: 20}
    assert sessions.read(t1, "value % 5 = 0") == {1: 10, 2: 20}
    assert t1.execute(f"delete from {sessions.table} where value = 20").rowcount == 1
    assert_conflict(t1.commit)


def test_g2_item_write_skew_is_allowed(sessions: Sessions) -> None:
    t1, t2 = sessions.begin(2)
    assert sessions.read(t1) == sessions.read(t2)
    sessions.set(t1, 1, 11)
    sessions.set(t2, 2, 21)
    t1.commit()
    t2.commit()
    assert sessions.committed() == {1: 11, 2: 21}


def test_g2_item_write_skew_is_prevented_with_for_update(sessions: Sessions) -> None:
    t1, t2 = sessions.begin(2)
    for transaction in (t1, t2):
        transaction.execute(f"select * from {sessions.table} for update")
    sessions.set(t1, 1, 11)
    sessions.set(t2, 2, 21)
    t1.commit()
    assert_conflict(t2.commit)
    assert sessions.committed() == {1: 11, 2: 20}


def test_g2_phantoms_are_allowed(sessions: Sessions) -> None:
    t1, t2 = sessions.begin(2)
    for number, transaction in ((3, t1), (4, t2)):
        assert sessions.read(transaction, "value % 3 = 0") == {}
        transaction.execute(f"insert into {sessions.table} values ({number}, 30, {number})")
    t1.commit()
    t2.commit()
    assert len(sessions.committed()) == 4


# What one transaction does to row 1. Key columns are id and code, both members of unique indexes.
ACTIONS = {
    "insert": "insert into {t} values (3, 30, 3)",
    "delete": "delete from {t} where id = 1",
    "update key": "update {t} set code = code + 100 where id = 1",
    "for update": "select * from {t} where id = 1 for update",
    "update": "update {t} set value = value + 1 where id = 1",
    "for key share": "select * from {t} where id = 1 for key share",
}
KEY_WRITERS = ("delete", "update key", "for update")
COMPATIBLE = {
    ("update", "for key share"),
    ("for key share", "update"),
    ("for key share", "for key share"),
}


@pytest.mark.parametrize("second", [*KEY_WRITERS, "update", "for key share"])
@pytest.mark.parametrize("first", [*KEY_WRITERS, "update", "for key share"])
def test_conflict_matrix(sessions: Sessions, first: str, second: str) -> None:
    t1, t2 = sessions.begin(2)
    t1.execute(ACTIONS[first].format(t=sessions.table))
    t2.execute(ACTIONS[second].format(t=sessions.table))
    t1.commit()
    if (first, second) in COMPATIBLE:
        t2.commit()
    else:
        assert_conflict(t2.commit)


@pytest.mark.parametrize("values", ["(3, 0, 3)", "(3, 0, 4)", "(4, 0, 3)"])
def test_two_inserts_of_one_key_conflict(sessions: Sessions, values: str) -> None:
    t1, t2 = sessions.begin(2)
    t1.execute(f"insert into {sessions.table} values (3, 30, 3)")
    t2.execute(f"insert into {sessions.table} values {values}")
    t1.commit()
    assert_conflict(t2.commit)


def test_a_key_that_is_visible_already_is_a_unique_violation(sessions: Sessions) -> None:
    (t1,) = sessions.begin(1)
    with pytest.raises(psycopg.errors.UniqueViolation):
        t1.execute(f"insert into {sessions.table} values (1, 0, 9)")


def test_a_transaction_reads_its_own_writes(sessions: Sessions) -> None:
    (t1,) = sessions.begin(1)
    t1.execute(f"insert into {sessions.table} values (3, 30, 3)")
    sessions.set(t1, 1, 11)
    t1.execute(f"delete from {sessions.table} where id = 2")
    assert sessions.read(t1) == {1: 11, 3: 30}
    by_code = f"select id from {sessions.table} where code in (1, 2, 3) order by code"
    assert t1.execute(by_code).fetchall() == [(1,), (3,)]
    assert sessions.committed() == {1: 10, 2: 20}
    t1.commit()
    assert sessions.committed() == {1: 11, 3: 30}


def test_a_commit_is_seen_at_once_by_every_other_session(sessions: Sessions) -> None:
    writer, *readers = (sessions.open(autocommit=True) for _ in range(5))
    for value in range(300):
        sessions.set(writer, 1, value)
        reader = readers[value % len(readers)]
        assert sessions.read(reader, "id = 1") == {1: value}


def test_a_commit_is_seen_at_once_by_a_new_session(sessions: Sessions) -> None:
    for value in range(10):
        sessions.set(sessions.admin, 2, value)
        with sessions.open() as newcomer:
            assert sessions.read(newcomer, "id = 2") == {2: value}


def test_schema_change_fails_who_used_the_old_schema(sessions: Sessions) -> None:
    (t1,) = sessions.begin(1)
    sessions.set(t1, 1, 11)
    sessions.admin.execute(f"alter table {sessions.table} add column more text")
    assert_conflict(t1.commit, OC001)
    t1.rollback()
    sessions.set(t1, 1, 11)
    t1.commit()


def test_schema_change_of_another_table_disturbs_nobody(sessions: Sessions) -> None:
    (t1,) = sessions.begin(1)
    sessions.set(t1, 1, 11)
    sessions.admin.execute(f"create table {sessions.table}_other (id int primary key)")
    t1.commit()


def test_second_of_two_schema_changes_fails(sessions: Sessions) -> None:
    t1, t2 = sessions.begin(2)
    t1.rollback()
    t2.rollback()
    t1.execute(f"alter table {sessions.table} add column one int")
    t2.execute(f"alter table {sessions.table} add column two int")
    t1.commit()
    assert_conflict(t2.commit, OC001)


def refused(connection: Connection, *statements: str) -> tuple[str | None, str | None]:
    """Return SQLSTATE and message of the last statement; those before it must succeed."""
    *before, last = statements
    for statement in before:
        connection.execute(statement)
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(last)
    connection.rollback()
    return caught.value.sqlstate, caught.value.diag.message_primary


def test_exactly_3000_rows_are_a_transaction(sessions: Sessions) -> None:
    (t1,) = sessions.begin(1)
    insert = f"insert into {sessions.table} select n, n, n from generate_series(101, %s) n"
    assert t1.execute(insert, [3_100]).rowcount == 3_000
    t1.commit()
    assert len(sessions.committed()) == 3_002


def test_the_statement_that_exceeds_3000_rows_fails(sessions: Sessions) -> None:
    (t1,) = sessions.begin(1)
    insert = f"insert into {sessions.table} select n, n, n from generate_series(101, 3100) n"
    one_more = f"update {sessions.table} set value = 0 where id = 1"
    assert refused(t1, insert, one_more) == ("54000", "transaction row limit exceeded")
    assert refused(t1, insert.replace("3100", "3101")) == (
        "54000",
        "transaction row limit exceeded",
    )
    assert sessions.committed() == {1: 10, 2: 20}


def test_the_statement_that_writes_more_than_10_mib_fails(sessions: Sessions) -> None:
    sessions.admin.execute(f"create table {sessions.table}_wide (id int primary key, v text)")
    (t1,) = sessions.begin(1)
    insert = f"insert into {sessions.table}_wide select n, repeat('x', 1000000) from "
    with pytest.raises(psycopg.errors.ProgramLimitExceeded) as caught:
        t1.execute(insert + "generate_series(1, 600) n")
    assert caught.value.diag.message_primary == "transaction size limit 10mb exceeded"
    assert caught.value.diag.message_detail == "Current transaction size 11mb > 10mb"
    t1.rollback()
    t1.execute(insert + "generate_series(1, 10) n")
    t1.commit()


def test_schema_and_data_changes_do_not_mix(sessions: Sessions) -> None:
    (t1,) = sessions.begin(1)
    t1.rollback()
    mixed = ("0A000", "ddl and dml are not supported in the same transaction")
    create = f"create table {sessions.table}_mixed (id int primary key)"
    insert = f"insert into {sessions.table} values (5, 5, 5)"
    assert refused(t1, create, insert) == mixed
    assert refused(t1, insert, create) == mixed
    assert refused(t1, create, create.replace("mixed", "more")) == (
        "0A000",
        "multiple ddl statements not supported in a transaction",
    )
    t1.execute(create)
    t1.rollback()
    t1.execute(create)
    t1.commit()


REFUSED = {
    "begin isolation level serializable": "Unsupported isolation level: SERIALIZABLE",
    "set transaction isolation level serializable": "Unsupported isolation level: SERIALIZABLE",
    "set transaction read only": 'setting configuration parameter "TRANSACTION" not supported',
    "savepoint s": "unsupported transaction statement: SAVEPOINT",
    "lock table {t}": "unsupported statement: Lock",
    "select * from {t} for share": (
        "locking clauses other than FOR UPDATE/FOR KEY SHARE are not supported"
    ),
    "truncate {t}": "unsupported statement: Truncate",
    "create index on {t} (value)": "unsupported mode. please use CREATE INDEX ASYNC.",
}


@pytest.mark.parametrize("statement", REFUSED)
def test_what_the_architecture_has_no_room_for_is_refused(
    sessions: Sessions, statement: str
) -> None:
    said = refused(sessions.open(autocommit=True), statement.format(t=sessions.table))
    assert said == ("0A000", REFUSED[statement])


def test_a_refusal_in_a_block_fails_the_block(sessions: Sessions) -> None:
    t1 = sessions.open(autocommit=True)
    t1.execute("begin")
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        t1.execute("savepoint s")
    for statement in ("select 1", "savepoint s"):
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            t1.execute(statement)
    assert t1.execute("commit").statusmessage == "ROLLBACK"
