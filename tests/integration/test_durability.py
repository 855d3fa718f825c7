"""What was acknowledged is there after every process was killed; what was rolled back is not."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import psycopg
from running_cluster import RunningCluster

ROUNDS = 3
WRITERS = 4
ROWS_PER_ROUND = 150


class Diary:
    """What four writers were told about the rows that they wrote."""

    def __init__(self) -> None:
        self.acknowledged: set[int] = set()
        self.unknown: set[int] = set()
        self.rolled_back: set[int] = set()
        self.numbers = itertools.count()
        self.changed = threading.Condition()

    def note(self, where: set[int], number: int) -> None:
        with self.changed:
            where.add(number)
            self.changed.notify_all()

    def wait_for_acknowledged(self, count: int) -> None:
        with self.changed:
            goal = len(self.acknowledged) + count
            assert self.changed.wait_for(lambda: len(self.acknowledged) >= goal, 30)


def write_until_the_end(dsn: dict[str, str], diary: Diary) -> None:
    """Insert rows, every third one in vain, until the server is gone."""
    with psycopg.connect(**dsn) as connection:
        while True:
            number = next(diary.numbers)
            try:
                connection.execute("insert into diary values (%s, %s)", [number, "x" * 500])
                if number % 3 == 0:
                    connection.rollback()
                    diary.note(diary.rolled_back, number)
                    continue
                diary.note(diary.unknown, number)
                connection.commit()
                diary.note(diary.acknowledged, number)
            except psycopg.OperationalError:
                return


def rows(cluster: RunningCluster) -> set[int]:
    with psycopg.connect(**cluster.dsn()) as connection:
        return {row[0] for row in connection.execute("select id from diary").fetchall()}


def run(cluster: RunningCluster, statement: str) -> Any:
    with psycopg.connect(**cluster.dsn(), autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else None


def test_every_acknowledged_row_survives_kill_9_in_the_middle_of_writing(
    own_cluster: RunningCluster,
) -> None:
    cluster, diary = own_cluster, Diary()
    run(cluster, "create table diary (id int primary key, words text)")
    for _ in range(ROUNDS):
        dsn = cluster.dsn()
        writers = [
            threading.Thread(target=write_until_the_end, args=(dsn, diary)) for _ in range(WRITERS)
        ]
        for writer in writers:
            writer.start()
        diary.wait_for_acknowledged(ROWS_PER_ROUND)
        cluster.kill()
        for writer in writers:
            writer.join(20)
        cluster.start()
        found = rows(cluster)
        assert diary.acknowledged <= found, f"lost: {sorted(diary.acknowledged - found)}"
        assert not found & diary.rolled_back
        assert found <= diary.unknown  # nothing that nobody tried to commit


def test_schema_indexes_and_roles_survive_kill_9(own_cluster: RunningCluster) -> None:
    cluster = own_cluster
    run(cluster, "create table kept (id int primary key, v text unique, n numeric default 7)")
    run(cluster, "insert into kept (id, v) values (1, 'one'), (2, 'two')")
    (job,) = run(cluster, "create index async on kept (n)")
    run(cluster, f"call sys.wait_for_job('{job[0]}')")
    run(cluster, "create role reader with login")
    cluster.kill()
    cluster.start()
    assert run(cluster, "select * from kept order by id") == [(1, "one", 7), (2, "two", 7)]
    indexes = "select indexname from pg_indexes where tablename = 'kept' order by 1"
    assert run(cluster, indexes) == [("kept_n_idx",), ("kept_pkey",), ("kept_v_key",)]
    valid = "select bool_and(indisvalid) from pg_index where indrelid = 'kept'::regclass"
    assert run(cluster, valid) == [(True,)]
    assert run(cluster, "select rolcanlogin from pg_roles where rolname = 'reader'") == [(True,)]
    run(cluster, "insert into kept (id, v) values (3, 'three')")
    cluster.kill()
    cluster.start()
    assert run(cluster, "select count(*) from kept") == [(3,)]
