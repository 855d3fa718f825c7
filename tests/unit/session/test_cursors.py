import os

import pytest
from memory_server import Server, tags


@pytest.fixture
def peer(postgres):
    return postgres.connect()


def test_a_cursor_is_fetched_from_and_closed(peer):
    peer.query("BEGIN; DECLARE c CURSOR FOR SELECT * FROM generate_series(1, 5)")
    assert peer.rows("FETCH 2 FROM c") == [[b"1"], [b"2"]]
    assert tags(peer.query("MOVE 1 FROM c")) == ["MOVE 1"]
    assert peer.rows("FETCH ALL FROM c") == [[b"4"], [b"5"]]
    assert tags(peer.query("FETCH c")) == ["FETCH 0"]
    assert tags(peer.query("CLOSE c")) == ["CLOSE CURSOR"]
    assert peer.fails("FETCH c") == ("34000", 'cursor "c" does not exist')


def test_a_cursor_ends_with_its_transaction(peer):
    peer.query("BEGIN; DECLARE c CURSOR FOR SELECT 1; COMMIT")
    assert peer.fails("FETCH c")[0] == "34000"


def test_a_cursor_needs_a_block(peer):
    assert peer.fails("DECLARE c CURSOR FOR SELECT 1") == (
        "25P01",
        "DECLARE CURSOR can only be used in transaction blocks",
    )


def test_a_cursor_only_goes_forward(peer):
    peer.query("BEGIN; DECLARE c CURSOR FOR SELECT 1")
    assert peer.fails("FETCH BACKWARD 1 FROM c") == ("55000", "cursor can only scan forward")


def test_a_pool_may_reset_its_connections(peer):
    assert tags(peer.query("CLOSE ALL; UNLISTEN *; RESET ALL")) == [
        "CLOSE CURSOR ALL",
        "UNLISTEN",
        "RESET",
    ]
    assert tags(peer.query("DISCARD ALL")) == ["DISCARD ALL"]


def test_a_held_cursor_reads_backward_from_temporary_space():
    server = Server("postgres", moves=False)
    peer = server.connect()
    peer.query("SET work_mem = '1MB'")
    peer.query(
        "DECLARE c CURSOR WITH HOLD FOR SELECT g, repeat('x', 100) FROM generate_series(1, 20000) g"
    )
    temporary = os.fstat(server.environments[-1].temporary._file)
    assert temporary.st_size > 0
    assert peer.rows("FETCH LAST FROM c")[0][0] == b"20000"
    assert tags(peer.query("MOVE BACKWARD 2000 IN c")) == ["MOVE 2000"]
    assert [row[0] for row in peer.rows("FETCH BACKWARD 3 FROM c")] == [
        b"17999",
        b"17998",
        b"17997",
    ]
    server.stop()


def test_held_cursors_that_were_closed_leave_memory_for_others():
    server = Server("postgres", moves=False)
    peer = server.connect()
    for _ in range(40):  # each statement counted what the others held, and what these had counted
        peer.query("BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT * FROM generate_series(1, 100)")
        assert tags(peer.query("COMMIT")) == ["COMMIT"]
        assert len(peer.rows("FETCH 30 FROM c")) == 30
        peer.query("CLOSE c")
    server.stop()
