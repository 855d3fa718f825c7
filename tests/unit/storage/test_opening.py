"""What a replica starts from, and what it is made from anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb
import pytest

from dsql.rpc.boot import current_boot
from storage.board import Board
from storage.checkpoint import read_checkpoint
from storage.client import LocalReplica
from storage.environment import ENVIRONMENT, ReadableEnvironment
from storage.opening import NoSourceError, open_replica
from storage.remaking import SourceUnavailableError, held, remake

NEXT_BOOT = current_boot() + 1
DAMAGES = {"short": b"not a page", "foreign": b"\xff" * 100_000, "zeroes": bytes(100_000)}


def fill(replica: Any, count: int = 500) -> None:
    """Rows with older versions, tombstones, long keys and large values."""
    rows = [(b"k%05d" % number, b"v%d" % number * 9) for number in range(count)]
    replica.apply(rows, [(b"long" * 200, b"1"), (b"large", bytes(30_000))])
    replica.apply([(key, b"newer") for key, _ in rows[::3]], [(key, None) for key, _ in rows[::7]])


def sequence_of(replica: Path, *peers: Path, boot: int = NEXT_BOOT, **options: Any) -> int:
    environment = open_replica(replica, peers, boot, **options)
    sequence = environment.position.sequence
    environment.close()
    return sequence


def test_replica_without_anything_starts_empty(tmp_path: Path) -> None:
    assert sequence_of(tmp_path / "own", tmp_path / "peer") == 0


def test_a_small_replica_that_is_closed_takes_what_it_uses_and_loses_nothing(
    make_replica: Callable[..., Any],
) -> None:
    replica = make_replica()
    replica.apply([(b"a", b"1")])
    data = replica.directory / ENVIRONMENT / "data.mdb"
    open_bytes = data.stat().st_size
    replica.close()
    reading = LocalReplica([replica.directory])
    assert data.stat().st_blocks * 512 < open_bytes / 8
    assert reading.snapshot(replica.feeder.timestamp).get(b"a") == b"1"
    reading.close()
    reopened = open_replica(replica.directory, (), current_boot())
    assert data.stat().st_size == open_bytes
    assert reopened.position.sequence == 1
    reopened.close()


def test_replica_behind_the_trimmed_journal_is_made_anew(make_replica: Callable[..., Any]) -> None:
    behind, ahead = make_replica(), make_replica()
    behind.apply([(b"a", b"1")])
    behind.close()
    fill(ahead)
    ahead.environment.checkpoints.take()
    assert sequence_of(behind.directory, ahead.directory, must_restore=True) == 4


@pytest.mark.parametrize("content", DAMAGES.values(), ids=DAMAGES)
def test_a_reader_keeps_nothing_of_a_replica_that_it_cannot_open(
    tmp_path: Path, content: bytes
) -> None:
    Board(tmp_path / "board", NEXT_BOOT, create=True).close()
    (tmp_path / "data.mdb").write_bytes(content)
    with pytest.raises(lmdb.Error) as failed:  # which holds on to the frames, and what they made
        ReadableEnvironment(tmp_path, NEXT_BOOT)
    assert str(tmp_path) not in Path("/proc/self/maps").read_text(), failed


@pytest.mark.parametrize("content", DAMAGES.values(), ids=DAMAGES)
def test_damaged_replica_is_made_from_the_peer_that_is_ahead(
    make_replica: Callable[..., Any], content: bytes
) -> None:
    damaged, behind, ahead = (make_replica() for _ in range(3))
    for replica in (damaged, behind, ahead):
        fill(replica)
    ahead.apply([(b"a", b"1")])
    for replica in (behind, ahead):
        replica.environment.checkpoints.take()
    damaged.close()
    (damaged.directory / ENVIRONMENT / "data.mdb").write_bytes(content)
    environment = open_replica(
        damaged.directory, [behind.directory, ahead.directory], current_boot()
    )
    damaged.use(environment)
    damaged.is_closed = False
    assert environment.restored
    assert environment.position == ahead.environment.position
    assert damaged.rows() == ahead.rows()


def test_copy_is_of_the_checkpoint_though_its_owner_writes_on(
    make_replica: Callable[..., Any], tmp_path: Path
) -> None:
    replica = make_replica(map_bytes=1 << 26)
    fill(replica)
    replica.environment.checkpoints.take()
    expected = replica.rows()

    def write_on(seconds: float) -> None:
        replica.apply([(b"k%05d" % number, b"later") for number in range(500)])
        replica.environment.checkpoints.take()

    def verify(name: bytes, rows: Any) -> None:
        write_on(0.0)

    checkpoint = remake(replica.directory / ENVIRONMENT, tmp_path / "made" / ENVIRONMENT, verify)
    made = replica.__class__.__new__(replica.__class__)
    assert checkpoint.position.sequence == 4
    (tmp_path / "made" / ENVIRONMENT).rename(tmp_path / "made" / "remade")
    made.seconds = 0.0
    made.use(open_made(tmp_path / "made"))
    assert made.rows() == expected
    made.environment.close()


def open_made(replica: Path) -> Any:
    from storage.environment import WritableEnvironment

    (replica / "remade").rename(replica / ENVIRONMENT)
    return WritableEnvironment(replica / ENVIRONMENT, current_boot())


def test_damage_does_not_spread(make_replica: Callable[..., Any]) -> None:
    """One letter of one row, on a page that is right otherwise."""
    own, peer = make_replica(), make_replica()
    for replica in (own, peer):
        fill(replica)
        replica.environment.checkpoints.take()
    own.close()
    data = peer.directory / ENVIRONMENT / "data.mdb"
    content = data.read_bytes()
    with data.open("r+b") as file:
        file.write(content.replace(b"v17v17v17", b"V17v17v17"))
    with pytest.raises(NoSourceError):
        open_replica(own.directory, [peer.directory], current_boot(), must_restore=True)
    assert read_checkpoint(own.directory / ENVIRONMENT) is not None  # what there is stays


def test_two_do_not_copy_the_same_replica_at_once(replica: Any) -> None:
    with (
        held(replica.directory),
        pytest.raises(SourceUnavailableError),
        held(replica.directory),
    ):
        pass
    with held(replica.directory):
        pass


def test_copy_of_a_replica_that_was_opened_anew_meanwhile_is_not_used(
    replica: Any, tmp_path: Path
) -> None:
    """Its pins were gone for a moment."""
    fill(replica)
    opened = False

    def open_anew(name: bytes, rows: Any) -> None:
        nonlocal opened
        if not opened:
            opened = True
            replica.environment.close()
            replica.use(open_replica(replica.directory, [], current_boot()))

    replica.environment.checkpoints.take()
    with pytest.raises(SourceUnavailableError):
        remake(replica.directory / ENVIRONMENT, tmp_path / "made", open_anew)


def test_readers_of_a_replaced_environment_are_told(make_replica: Callable[..., Any]) -> None:
    replica, peer = make_replica(), make_replica()
    for one in (replica, peer):
        last = one.apply([(b"a", b"1")])
        one.environment.checkpoints.take()
    local = LocalReplica([replica.directory], stall_seconds=0.01)
    local.snapshot(last)
    replica.close()
    environment = open_replica(
        replica.directory, [peer.directory], current_boot(), must_restore=True
    )
    replica.use(environment)
    replica.is_closed = False
    assert local.snapshot(last).get(b"a") == b"1"
    assert local._environment.environment is environment.environment
    local.close()


def test_replica_that_has_crashed_its_writers_is_not_opened(
    make_replica: Callable[..., Any],
) -> None:
    replica, peer = make_replica(), make_replica()
    for one in (replica, peer):
        one.apply([(b"a", b"1")])
        one.environment.checkpoints.take()
    replica.close()
    (replica.directory / "trial").write_bytes(
        b"".join(word.to_bytes(8, "little") for word in (0, 0, 2, 0))
    )
    environment = open_replica(replica.directory, [peer.directory], current_boot())
    assert environment.restored
    environment.close()
    assert not open_replica(replica.directory, [], current_boot()).restored
