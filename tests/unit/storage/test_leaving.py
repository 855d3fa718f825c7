"""A reader leaves a replica that is damaged or given up, in the midst of what it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dsql.errors import SqlError
from dsql.rpc.boot import current_boot
from storage.client import LocalReplica
from storage.environment import ENVIRONMENT, DamagedReplicaError, discard
from storage.snapshot import LocalSnapshot

ROWS = [(b"k%06d" % number, b"value" * 8) for number in range(4_000)]
PAGE_BYTES = 4096
_FLAGS = slice(10, 12)
_OVERFLOW = b"\x04\x00"


def damage(directory: Path) -> None:
    """Let every page but the meta pages say that it is of another kind."""
    with (directory / ENVIRONMENT / "data.mdb").open("r+b") as file:
        pages = bytearray(file.read())
        for start in range(2 * PAGE_BYTES, len(pages), PAGE_BYTES):
            pages[start + _FLAGS.start : start + _FLAGS.stop] = _OVERFLOW
        file.seek(0)
        file.write(pages)


class Two:
    """Two replicas of the same rows, and a reader that prefers the first."""

    def __init__(self, first: Any, second: Any) -> None:
        self.first, self.second = first, second
        for replica in (first, second):
            self.timestamp = replica.apply(ROWS)
            replica.apply([(ROWS[7][0], b"newer")])  # so that there is an older version to look for
        self.reader = LocalReplica([first.directory, second.directory], deadline_seconds=0.05)
        self.snapshot = self.reader.snapshot(self.timestamp)


@pytest.fixture
def two(make_replica: Callable[..., Any]) -> Iterator[Two]:
    two = Two(make_replica(), make_replica())
    yield two
    two.reader.close()


def spoil(two: Two) -> None:
    damage(two.first.directory)


def give_up(two: Two) -> None:
    two.first.environment.board.retire()


REASONS = pytest.mark.parametrize("lose", [spoil, give_up])


@REASONS
@pytest.mark.parametrize("key", [3, 7], ids=["newest version", "older version"])
def test_get_goes_on_elsewhere(two: Two, lose: Callable[[Two], None], key: int) -> None:
    lose(two)
    assert two.snapshot.get(ROWS[key][0]) == ROWS[key][1]
    assert two.reader.directory == two.second.directory


@REASONS
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("rows_before", [0, 1, 32, 33, 1_000, 3_999])
def test_scan_goes_on_elsewhere_behind_its_last_row(
    two: Two, lose: Callable[[Two], None], rows_before: int, reverse: bool
) -> None:
    rows = two.snapshot.scan(b"", b"\xff", reverse=reverse) if rows_before else iter(())
    seen = [next(rows) for _ in range(rows_before)]
    lose(two)
    seen += rows if rows_before else two.snapshot.scan(b"", b"\xff", reverse=reverse)
    assert seen == (ROWS[::-1] if reverse else ROWS)


@REASONS
def test_hints_come_from_elsewhere(two: Two, lose: Callable[[Two], None]) -> None:
    lose(two)
    assert two.snapshot.is_outdated([ROWS[7][0]], two.snapshot.timestamp)
    assert not two.snapshot.is_outdated([ROWS[3][0]], two.snapshot.timestamp)
    assert two.snapshot.may_have([ROWS[3][0]])


@REASONS
def test_two_scans_of_a_join_leave_together(two: Two, lose: Callable[[Two], None]) -> None:
    outer = two.snapshot.scan(b"", b"\xff")
    inner = two.snapshot.scan(b"", b"\xff")
    pairs = [(next(outer), next(inner)) for _ in range(100)]
    lose(two)
    pairs += zip(outer, inner, strict=True)
    assert pairs == [(row, row) for row in ROWS]


@REASONS
def test_next_snapshot_is_taken_elsewhere(two: Two, lose: Callable[[Two], None]) -> None:
    lose(two)
    two.snapshot.get(ROWS[7][0])
    two.reader.release()
    assert two.reader.snapshot(two.timestamp).get(ROWS[7][0]) == ROWS[7][1]
    assert two.reader.directory == two.second.directory


@REASONS
def test_long_transaction_survives_its_replica(two: Two, lose: Callable[[Two], None]) -> None:
    for replica in (two.first, two.second):
        replica.apply([(ROWS[3][0], b"newer")])
        replica.pass_time(250)
    lose(two)
    assert two.snapshot.get(ROWS[3][0]) == ROWS[3][1]
    assert list(two.snapshot.scan(ROWS[3][0], ROWS[5][0])) == ROWS[3:5]
    two.second.pass_time(50)
    assert two.snapshot.get(ROWS[3][0]) == ROWS[3][1]
    two.reader.release()
    two.second.pass_time(10)
    assert not two.second.count("undo")


def test_what_is_given_up_is_left_before_the_next_read(two: Two) -> None:
    give_up(two)
    two.reader.snapshot(two.timestamp)
    assert two.reader.directory == two.second.directory


def test_without_another_sound_replica_the_read_fails(two: Two) -> None:
    spoil(two)
    damage(two.second.directory)
    with pytest.raises(SqlError) as raised:
        two.snapshot.get(ROWS[7][0])
    assert raised.value.sqlstate == "58000"


def test_damaged_replica_is_entered_again_once_it_has_been_made_anew(two: Two) -> None:
    spoil(two)
    two.snapshot.get(ROWS[7][0])
    two.second.environment.board.retire()
    with pytest.raises(SqlError):
        two.reader.snapshot(two.timestamp)
    two.first.environment.close()
    discard(two.first.directory / ENVIRONMENT, current_boot())
    two.first.__init__(two.first.directory, 1 << 20)
    two.first.apply(ROWS)
    assert two.reader.snapshot(two.timestamp).get(ROWS[7][0]) == ROWS[7][1]


def test_writer_is_told(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bytes] = []
    monkeypatch.setattr(two.reader._slot, "_say", told.append)
    spoil(two)
    two.snapshot.get(ROWS[7][0])
    assert told == [b"d"]


def test_snapshot_that_knows_no_other_replica_says_what_is_wrong(two: Two) -> None:
    spoil(two)
    with pytest.raises(DamagedReplicaError):
        LocalSnapshot(two.reader._environment, two.timestamp).get(ROWS[7][0])
