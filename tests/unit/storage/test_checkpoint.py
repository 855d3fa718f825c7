"""What a checkpoint is worth when the machine, the process or the disk fails at any moment."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import shutil
from pathlib import Path
from typing import Any

import lmdb
import pytest

from dsql.disk.files import SystemFiles
from dsql.rpc.boot import current_boot
from storage.checkpoint import CHECKPOINT, HELD, LostWritesError, read_checkpoint, superseded_pages
from storage.environment import DAMAGED, ENVIRONMENT, WritableEnvironment
from storage.file_lock import lock
from storage.opening import open_replica
from storage.superseded import SUPERSEDED, DamagedLogError

from .conftest import Replica, durable_sequence

NEXT_BOOT = current_boot() + 1
PAGE_BYTES = 4096
KEYS = 400


def data_of(directory: Path) -> Path:
    return directory / ENVIRONMENT / "data.mdb"


def live(replica: Replica) -> dict[bytes, bytes]:
    """Return the newest versions that are no tombstones: garbage is collected sooner or later."""
    rows = replica.rows()
    return {key: rows[key] for key in rows if key.startswith(b"main") and rows[key][0] < 0x80}


class Crashing:
    """A replica under random writes, and what the disk is sure to hold of it."""

    def __init__(self, directory: Path, chance: random.Random) -> None:
        self.chance = chance
        self.replica = Replica(directory, 1 << 20)
        self.records: list[Any] = []
        self.watch()

    def write(self, records: int) -> None:
        chance = self.chance
        for _ in range(records):
            writes = [
                (b"key%03d" % key, chance.choice([None, b"v" * chance.choice([5, 100, 100, 6000])]))
                for key in {chance.randrange(KEYS) for _ in range(chance.choice([1, 1, 5, 60]))}
            ]
            self.records.append(self.replica.feeder.record(writes))
            self.replica.apply_records(self.records[-1:])
            if chance.random() < 0.3:
                self.replica.pass_time(6)
            if chance.random() < 0.3:
                self.replica.environment.checkpoints.make_way()

    def watch(self) -> None:
        """Note what is on the disk whenever a checkpoint is taken."""
        checkpoints = self.replica.environment.checkpoints
        take = checkpoints.take

        def take_and_note() -> int:
            sequence = take()
            self.synced = data_of(self.replica.directory).read_bytes()
            self.expected = self.replica.rows()
            return sequence

        checkpoints.take = take_and_note  # type: ignore[method-assign]
        take_and_note()

    def checkpoint(self) -> None:
        self.replica.environment.checkpoints.take()

    def crash(self, directory: Path) -> Replica:
        """Return what a machine that has lost or torn whatever was not synced opens."""
        chance = self.chance
        pages = bytearray(data_of(self.replica.directory).read_bytes())
        for start in range(0, len(pages), PAGE_BYTES):
            page = slice(start, start + PAGE_BYTES)
            before = self.synced[page].ljust(PAGE_BYTES, b"\0")
            if pages[page] != before:
                torn = before[: PAGE_BYTES // 2] + pages[page][PAGE_BYTES // 2 :]
                pages[page] = chance.choice(
                    [before, torn, chance.randbytes(PAGE_BYTES), pages[page]]
                )
        shutil.copytree(self.replica.directory, directory, ignore=shutil.ignore_patterns("wake"))
        data_of(directory).write_bytes(pages)
        crashed = Replica.__new__(Replica)
        crashed.directory, crashed.seconds, crashed.feeder = directory, 0.0, self.replica.feeder
        crashed.use(open_replica(directory, [], NEXT_BOOT))
        return crashed


@pytest.mark.parametrize("seed", range(6))
def test_crashed_machine_is_at_its_checkpoint_whatever_became_of_later_pages(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    crashing = Crashing(tmp_path / "replica", chance)
    for number in range(3):
        crashing.write(chance.randrange(40))
        crashing.checkpoint()
        crashing.write(chance.randrange(60))
        crashed = crashing.crash(tmp_path / f"crashed{number}")
        assert not crashed.environment.restored
        assert crashed.rows() == crashing.expected
        rest = crashing.records[crashed.environment.position.sequence :]
        if rest:
            crashed.apply_records(rest)
        crashed.pass_time(20)
        assert live(crashed) == live(crashing.replica)
        crashed.environment.close()
    crashing.replica.environment.close()


@pytest.mark.parametrize("seed", range(4))
def test_machine_that_crashes_in_the_next_process_is_at_a_checkpoint(
    tmp_path: Path, seed: int
) -> None:
    """The pins of the first process are gone; the next one has not written before it had its own."""
    chance = random.Random(seed)
    crashing = Crashing(tmp_path / "first", chance)
    crashing.write(60)
    killed = tmp_path / "killed"
    shutil.copytree(tmp_path / "first", killed, ignore=shutil.ignore_patterns("wake", "lock.mdb"))
    crashing.replica.environment.close()
    crashing.replica.directory = killed
    crashing.replica.use(open_replica(killed, [], current_boot()))
    crashing.watch()
    crashing.write(60)
    crashed = crashing.crash(tmp_path / "crashed")
    assert crashed.rows() == crashing.expected
    crashed.environment.close()
    crashing.replica.environment.close()


class Forgetful(SystemFiles):
    """Files that keep nothing."""

    def pwrite(self, descriptor: int, data: bytes, offset: int) -> int:
        """Say that it is written."""
        return len(data)


def test_without_what_was_saved_a_checkpoint_is_worth_nothing(tmp_path: Path) -> None:
    """What the tests above would see if it were not."""
    crashing = Crashing(tmp_path / "replica", random.Random(1))
    crashing.write(100)
    crashing.checkpoint()
    superseded = crashing.replica.environment.checkpoints._superseded
    superseded._files = Forgetful()  # type: ignore[assignment]
    crashing.write(100)
    crashed = crashing.crash(tmp_path / "crashed")
    with contextlib.suppress(lmdb.Error):
        assert crashed.rows() != crashing.expected
    crashed.environment.close()
    crashing.replica.environment.close()


def test_saved_pages_that_are_damaged_are_not_put_back(tmp_path: Path) -> None:
    """But for those of a last batch, on which nothing relies yet."""
    crashing = Crashing(tmp_path / "replica", random.Random(2))
    crashing.write(150)
    path = crashing.replica.directory / ENVIRONMENT / SUPERSEDED
    checkpoint = read_checkpoint(path.parent)
    assert checkpoint is not None
    content = path.read_bytes()
    pages = superseded_pages(path.parent, checkpoint)
    assert pages
    crashing.replica.environment.close()
    path.write_bytes(content[:-10])
    assert len(superseded_pages(path.parent, checkpoint)) == len(pages) - 1
    path.write_bytes(content[:50] + b"\xff" + content[51:])
    with pytest.raises(DamagedLogError):
        superseded_pages(path.parent, checkpoint)


def test_growing_does_not_spoil_the_checkpoint(tmp_path: Path) -> None:
    crashing = Crashing(tmp_path / "replica", random.Random(1))
    crashing.write(30)
    crashing.replica.environment.grow()
    crashing.write(100)
    crashed = crashing.crash(tmp_path / "crashed")
    assert crashed.rows() == crashing.expected
    crashed.environment.close()
    crashing.replica.environment.close()


def test_killed_process_keeps_its_environment(replica: Any) -> None:
    replica.apply([(b"a", b"1")])
    killed = replica.directory.with_name("killed")
    shutil.copytree(replica.directory, killed, ignore=shutil.ignore_patterns("wake"))
    environment = open_replica(killed, [], current_boot())
    assert environment.position.sequence == 1
    environment.close()


def test_closed_environment_survives_a_new_boot(replica: Any) -> None:
    replica.apply([(b"a", b"1")])
    replica.close()
    environment = open_replica(replica.directory, [], NEXT_BOOT)
    assert environment.position.sequence == 1
    environment.close()


def test_checkpoint_writes_what_has_changed_and_not_the_data(replica: Any) -> None:
    for number in range(40):
        replica.apply([(b"k%06d" % (number * 100 + row), bytes(500)) for row in range(100)])
    replica.environment.checkpoints.take()
    before, written = data_of(replica.directory).read_bytes(), bytes_written()
    replica.apply([(b"k000007", b"other")])
    replica.environment.checkpoints.make_way()
    replica.environment.checkpoints.take()
    written = bytes_written() - written
    after = data_of(replica.directory).read_bytes()
    starts = range(0, len(after), PAGE_BYTES)
    changed = sum(before[at : at + PAGE_BYTES] != after[at : at + PAGE_BYTES] for at in starts)
    assert 0 < written + changed * PAGE_BYTES < len(after) / 20


def bytes_written() -> int:
    """Return how much this process has given to the kernel to write; maps do not count."""
    return int(Path("/proc/self/io").read_text().split("wchar: ")[1].split()[0])


@pytest.mark.parametrize("step", ["take", "make_way"])
def test_pages_are_used_again(replica: Any, step: str) -> None:
    rows = [(b"k%06d" % row, bytes(100)) for row in range(500)]
    sizes = []
    for _ in range(60):
        replica.apply(rows)
        replica.pass_time(6)
        getattr(replica.environment.checkpoints, step)()
        sizes.append(data_of(replica.directory).stat().st_size)
    assert sizes[-1] == sizes[20]


def test_pages_of_a_checkpoint_that_is_copied_are_kept_until_the_copy_has_ended(
    replica: Any,
) -> None:
    checkpoints = replica.environment.checkpoints
    holder = os.open(replica.directory / HELD, os.O_RDWR)
    lock(holder)
    for number in range(3):
        replica.apply([(b"a", b"%d" % number)])
        checkpoints.take()
    assert len(checkpoints._pins) == 4
    os.close(holder)
    checkpoints.take()
    assert len(checkpoints._pins) == 1


@pytest.mark.parametrize("damage", [b"", b"short", b"\0" * 400])
def test_record_that_is_damaged_is_not_believed(replica: Any, damage: bytes) -> None:
    replica.apply([(b"a", b"1")])
    replica.close()
    record = replica.directory / ENVIRONMENT / CHECKPOINT
    record.write_bytes(damage)
    assert read_checkpoint(replica.directory / ENVIRONMENT) is None
    environment = open_replica(replica.directory, [], current_boot())
    assert environment.restored
    environment.close()


def test_no_bit_of_a_record_can_change_unnoticed(replica: Any) -> None:
    replica.close()
    path = replica.directory / ENVIRONMENT / CHECKPOINT
    record = path.read_bytes()
    for at in range(len(record)):
        path.write_bytes(record[:at] + bytes((record[at] ^ 4,)) + record[at + 1 :])
        assert read_checkpoint(path.parent) is None


def test_pages_that_the_disk_has_not_taken_end_the_environment(
    replica: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = durable_sequence(replica.directory)

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    replica.apply([(b"a", b"1")])
    with monkeypatch.context() as patch, pytest.raises(LostWritesError):
        patch.setattr("storage.checkpoint.os.fdatasync", fail)
        replica.environment.checkpoints.take()
    assert durable_sequence(replica.directory) == before


def test_record_that_does_not_fit_on_the_disk_leaves_the_one_before(
    replica: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = replica.environment.checkpoints
    replica.apply([(b"a", b"1")])
    checkpoints.take()

    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    replica.apply([(b"a", b"2")])
    with monkeypatch.context() as patch, pytest.raises(OSError, match="space"):
        patch.setattr("storage.checkpoint.write_atomically", fail)
        checkpoints.take()
    assert durable_sequence(replica.directory) == checkpoints.sequence == 1
    assert len(checkpoints._pins) == 1


@pytest.mark.parametrize(
    "step", ["_allocate", "open_databases", "PinnedPages", "Checkpoints", "Board"]
)
def test_opening_that_fails_at_any_step_can_be_tried_again(
    replica: Any, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    replica.apply([(b"a", b"1")])
    replica.close()
    descriptors = len(os.listdir("/proc/self/fd"))

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    for _ in range(3):
        with monkeypatch.context() as patch, pytest.raises(OSError, match="Input"):
            patch.setattr(f"storage.environment.{step}", fail)
            open_replica(replica.directory, [], current_boot())
    assert len(os.listdir("/proc/self/fd")) == descriptors
    environment = open_replica(replica.directory, [], current_boot())
    assert environment.position.sequence == 1
    environment.close()


def test_environment_that_lmdb_did_not_open_opens_once_it_is_whole_again(replica: Any) -> None:
    replica.apply([(b"a", b"1")])
    replica.close()
    data = replica.directory / ENVIRONMENT / "data.mdb"
    whole = data.read_bytes()
    data.write_bytes(b"\xff" * len(whole))
    for _ in range(2):
        with pytest.raises(DAMAGED):
            WritableEnvironment(replica.directory / ENVIRONMENT, current_boot())
    data.write_bytes(whole)
    environment = WritableEnvironment(replica.directory / ENVIRONMENT, current_boot())
    assert environment.position.sequence == 1
    environment.close()


def test_first_checkpoint_that_fails_leaves_nothing_behind(
    replica: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica.close()

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch, pytest.raises(LostWritesError):
        patch.setattr("storage.checkpoint.os.fdatasync", fail)
        WritableEnvironment(replica.directory / ENVIRONMENT, current_boot())
    WritableEnvironment(replica.directory / ENVIRONMENT, current_boot()).close()
