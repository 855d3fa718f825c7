"""What a statement keeps in temporary space ends with it, and its end is not its session's."""

import gc
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from memory_server import tags

LARGE = "generate_series(1, 8000) a"
LONG = "repeat(md5(a::text), 8)"
OTHER = "generate_series(10, 8009) b"
OTHER_LONG = "repeat(md5(b::text), 8)"
STATEMENTS = [
    f"select {LONG} v from {LARGE} order by v offset 7999",
    f"select count(*) from (select {LONG} from {LARGE} union select {OTHER_LONG} from {OTHER}) t",
    f"select count(*) from (select {LONG} from {LARGE} intersect select {OTHER_LONG} from {OTHER}) t",
    f"select count(*) from {LARGE} full join {OTHER} on {LONG} = {OTHER_LONG}",
    f"with c as materialized (select a, {LONG} from {LARGE}) select count(*) from c",
    "with recursive r (n, t) as (select 1, '' union select n + 1, repeat(md5(n::text), 8) from r"
    " where n < 8000) select count(*) from r",
    f"select count(*) from {LARGE} where {LONG} not in (select repeat(md5(b::text || 'x'), 8) from"
    " generate_series(1, 8000) b)",
    f"select count(distinct {LONG}) from {LARGE}",
    f"select count(*) from (select a, {LONG}, count(*) from {LARGE} group by cube (1, 2)) t",
    f"select percentile_disc(0.5) within group (order by {LONG}) from {LARGE}",
    f"select max(r) from (select rank() over (order by {LONG}) r from {LARGE}) t",
    f"explain analyze select {LONG} v from {LARGE} order by v",
    f"insert into t select a, {LONG} from {LARGE} order by 2 offset 7999",
    "insert into t select a + 100000, v from t, generate_series(1, 20000) a order by v, a offset 19999",
    f"update t set v = 'new' from (select distinct {LONG} m from {LARGE}) s where m = t.v",
    f"delete from t using (select {LONG} m from {LARGE} order by 1) s where m = t.v returning id",
]


@pytest.fixture
def peer(postgres):
    peer = postgres.connect()
    peer.query("create table t (id int primary key, v text); insert into t values (0, md5('9'))")
    peer.query("set work_mem = '1MB'")
    return peer


def temporary_bytes(server) -> int:
    gc.collect()
    (environment,) = server.environments
    return os.fstat(environment.temporary._file).st_size


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file of this process grow beyond 300 KB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("text", STATEMENTS)
def test_neither_a_limit_nor_a_full_disk_ends_more_than_a_statement(postgres, peer, text):
    peer.query("set temp_file_limit = '256kB'")
    message = "temporary file size exceeds temp_file_limit (256kB)"
    assert peer.fails(text) == ("53400", message)
    assert temporary_bytes(postgres) == 0
    peer.query("reset temp_file_limit")
    with full_disk():
        message = "could not write to temporary file: No space left on device"
        assert peer.fails(text) == ("53100", message)
    assert temporary_bytes(postgres) == 0
    answered = tags(peer.query(text))
    assert answered
    assert temporary_bytes(postgres) == 0


@pytest.mark.one_process
def test_a_cursor_reads_on_in_temporary_space_and_gives_it_back(postgres, peer):
    peer.query(
        "begin; declare c cursor for with recursive r (n, t) as"
        " (select 1, '' union all select n + 1, md5(n::text) from r) select n, t from r"
    )
    assert len(peer.rows("fetch 20000 from c")) == 20_000
    held = temporary_bytes(postgres)
    assert held > 500_000
    assert peer.rows("fetch 1 from c")[0][0] == b"20001"
    peer.query("close c")
    assert temporary_bytes(postgres) == 0


def test_a_recursion_without_end_goes_on_until_its_cursor_meets_the_limit(postgres, peer):
    peer.query("set temp_file_limit = '1MB'")
    peer.query(
        "begin; declare c cursor for with recursive r (n) as (select 1 union all select n + 1 from r)"
        " select n from r"
    )
    assert peer.rows("fetch 1 from c") == [[b"1"]]
    assert peer.fails("fetch all from c")[0] == "53400"
    peer.query("rollback")
    assert temporary_bytes(postgres) == 0
