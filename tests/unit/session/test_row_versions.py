"""xmin as clients with optimistic locking use it: read with a row, and asked for when that is written."""

from __future__ import annotations

import pytest
from memory_server import Peer, Server, tags


@pytest.fixture
def peer(postgres: Server) -> Peer:
    peer = postgres.connect()
    peer.query("CREATE TABLE t (id int PRIMARY KEY, name text, price numeric)")
    peer.query("INSERT INTO t VALUES (1, 'one', 1.0), (2, 'two', 2.0)")
    return peer


def xmin(peer: Peer, where: str = "id = 1") -> str:
    ((found,),) = peer.rows(f"SELECT xmin FROM t WHERE {where}")
    assert found is not None
    return found.decode()


def test_who_has_read_the_row_as_it_is_may_write_it_once(peer: Peer) -> None:
    version = xmin(peer)
    update = f"UPDATE t SET name = 'new' WHERE id = 1 AND xmin = '{version}'"
    assert tags(peer.query(update)) == ["UPDATE 1"]
    assert tags(peer.query(update)) == ["UPDATE 0"]
    assert tags(peer.query(f"DELETE FROM t WHERE id = 1 AND xmin = '{version}'")) == ["DELETE 0"]


def test_what_is_returned_is_the_new_version(peer: Peer) -> None:
    before = xmin(peer)
    ((told,),) = peer.rows("UPDATE t SET price = price + 1 WHERE id = 1 RETURNING xmin")
    assert told is not None
    assert told.decode() == xmin(peer) != before
    ((told,),) = peer.rows("INSERT INTO t VALUES (3, 'three', NULL) RETURNING xmin")
    assert told is not None
    assert told.decode() == xmin(peer, "id = 3")


@pytest.mark.parametrize("change", ["name = 'won'", "name = NULL", "price = 1.00", "id = 4"])
def test_every_change_of_a_row_changes_its_version(peer: Peer, change: str) -> None:
    before = xmin(peer, "id = 1")
    peer.query(f"UPDATE t SET {change} WHERE id = 1")
    assert xmin(peer, "id IN (1, 4)") != before
    assert xmin(peer, "id = 2") != before


def test_a_version_is_the_same_from_snapshot_to_snapshot(postgres: Server, peer: Peer) -> None:
    before = xmin(peer)
    peer.query("UPDATE t SET name = 'x' WHERE id = 2")
    assert xmin(postgres.connect()) == before == xmin(peer)
    assert peer.rows("SELECT pg_typeof(xmin), xmin::text::bigint > 0 FROM t WHERE id = 1") == [
        [b"xid", b"t"]
    ]


def test_a_row_that_is_not_there_has_no_version(peer: Peer) -> None:
    text = "SELECT b.xmin FROM t a LEFT JOIN t b ON b.id = a.id + 1 ORDER BY a.id"
    assert peer.rows(text)[1] == [None]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT ctid FROM t",
        "SELECT xmin FROM heap",
        "CREATE INDEX ON t (id) WHERE xmin = '1'",
        "ALTER TABLE t ADD CHECK (xmin <> '1')",
    ],
)
def test_what_would_mean_nothing_is_refused(peer: Peer, text: str) -> None:
    peer.query("CREATE TABLE heap (a int)")
    assert peer.fails(text)[0] == "0A000"


def test_a_changed_row_of_a_catalog_has_another_version(peer: Peer) -> None:
    def version(name: str) -> bytes | None:
        ((found,),) = peer.rows(f"SELECT xmin FROM pg_class WHERE relname = '{name}'")
        return found

    peer.query("CREATE TABLE u (a int)")
    before = version("t"), version("u")
    peer.query("ALTER TABLE t ADD COLUMN more int")
    assert version("t") != before[0]
    assert version("u") == before[1]
