"""The log on a real disk: what was synced is there again, whatever happens between."""

from __future__ import annotations

import errno
import os

import pytest

from dsql.disk.files import SYSTEM_FILES, SystemFiles
from journal.log import DiskFullError, Log, SyncFailedError
from journal.messages import Record
from journal.opening import damaged_logs, open_log
from journal.recovery import LogDamagedError
from journal.replica import Promise
from journal.segment import CorruptionError, Frame, make_frame


def frame(first: int, count: int = 1, epoch: int = 1, size: int = 10) -> Frame:
    span = range(first, first + count)
    return make_frame([Record(n, epoch, 1_000 * n, 0, b"x" * size) for n in span])


def filled(directory, *, frames: int = 10, segment_bytes: int = 1 << 20, files=SYSTEM_FILES) -> Log:
    log = Log(directory, segment_bytes=segment_bytes, files=files)
    log.save_promise(Promise(2, b"c" * 16))
    for number in range(frames):
        log.write([frame(1 + 2 * number, 2)])
    return log


class Failing(SystemFiles):
    """Writes so many bytes of the next durable write to a segment, then fails; or fails to sync."""

    def __init__(self, error: int, taken: int = 0) -> None:
        self.error = error
        self.taken = taken
        self.armed = False
        self.syncs_fail = False

    def pwrite_durably(self, descriptor, data, offset) -> int:
        if self.armed and len(data) > 40:
            super().pwrite(descriptor, data[: self.taken], offset)
            raise OSError(self.error, os.strerror(self.error))
        return super().pwrite_durably(descriptor, data, offset)

    def datasync(self, descriptor) -> None:
        if self.syncs_fail:
            raise OSError(self.error, os.strerror(self.error))
        super().datasync(descriptor)


def damage(path, offset: int, length: int = 1) -> None:
    with path.open("r+b") as file:
        file.seek(offset, os.SEEK_END if offset < 0 else os.SEEK_SET)
        there = file.read(length)
        file.seek(-len(there), os.SEEK_CUR)
        file.write(bytes(byte ^ 0xFF for byte in there))


def segment_files(directory) -> list:
    return sorted(directory.glob("*.segment"))


def sequences(frames: list[Frame]) -> list[int]:
    return [record.sequence for frame in frames for record in frame.records]


def test_reopened_log_has_everything_across_segments(tmp_path):
    filled(tmp_path, segment_bytes=300).close()
    assert len(list(tmp_path.glob("*.segment"))) > 2
    log = Log(tmp_path)
    assert log.extent.last_sequence == 20
    assert log.extent.epochs == [(1, 1)]
    found = [n for start in range(1, 21, 2) for n in sequences(log.read(start, 1))]
    assert found == list(range(1, 21))
    log.close()


def test_read_begins_with_the_frame_that_holds_the_sequence(tmp_path):
    log = filled(tmp_path)
    assert sequences(log.read(4, 1 << 20))[:2] == [3, 4]
    assert log.read(21, 100) == []
    log.close()


def test_read_gives_a_frame_that_is_longer_than_asked_for(tmp_path):
    log = Log(tmp_path)
    log.write([frame(1, size=1_000_000)])
    assert sequences(log.read(1, 10)) == [1]
    log.close()


def test_torn_write_is_forgotten_at_the_next_start_and_counts_as_no_loss(tmp_path):
    files = Failing(errno.EINTR, taken=50)
    log = filled(tmp_path, files=files)
    files.armed = True
    with pytest.raises(SyncFailedError):
        log.write([frame(21)])
    log._files.close(log._lock)  # as if the process had died
    log = Log(tmp_path)
    assert (log.extent.last_sequence, log.promise.whole) == (20, True)
    log.write([frame(21, 2)])
    log.close()
    log = Log(tmp_path)
    assert log.extent.last_sequence == 22
    log.close()


def test_acknowledged_frame_that_is_gone_is_a_loss(tmp_path):
    filled(tmp_path, segment_bytes=300).close()
    newest = segment_files(tmp_path)[-1]
    os.truncate(newest, newest.stat().st_size - 1)
    with pytest.raises(LogDamagedError, match="but 20 was written durably") as lost:
        Log(tmp_path)
    assert lost.value.sound == segment_files(tmp_path)[:-1]


def test_damaged_header_of_the_newest_segment_loses_nothing(tmp_path):
    filled(tmp_path).close()
    damage(segment_files(tmp_path)[-1], 3)
    log = Log(tmp_path)
    assert (log.extent.last_sequence, log.damaged, log.repaired) == (20, [], 1)
    log.close()
    log = Log(tmp_path)
    assert (log.extent.last_sequence, log.repaired) == (20, 0)
    log.close()


@pytest.mark.parametrize("which", [0, -1])
def test_missing_segment_at_either_end_is_a_loss(tmp_path, which):
    filled(tmp_path, segment_bytes=300).close()
    segment_files(tmp_path)[which].unlink()
    with pytest.raises(LogDamagedError):
        Log(tmp_path)


@pytest.mark.parametrize("remove", [False, True])
def test_damage_between_sound_frames_of_one_epoch_leaves_the_log_whole_with_a_gap(tmp_path, remove):
    filled(tmp_path, segment_bytes=300).close()
    victim = segment_files(tmp_path)[2]
    first = int(victim.stem)
    if remove:
        victim.unlink()
    else:
        damage(victim, -1)
    log = Log(tmp_path)
    assert (log.promise.whole, log.extent.last_sequence, log.extent.epochs) == (True, 20, [(1, 1)])
    ((begin, last),) = log.damaged
    assert begin <= first <= last
    with pytest.raises(CorruptionError):
        log.read(last, 1 << 20)
    assert sequences(log.read(1, 1 << 20)) == list(
        range(1, sequences(log.read(1, 1 << 20))[-1] + 1)
    )
    assert sequences(log.read(19, 1)) == [19, 20]
    log.close()


def test_damaged_segment_is_written_anew_from_a_peers_frames(tmp_path):
    other = filled(tmp_path / "b")
    filled(tmp_path / "a", segment_bytes=300).close()
    damage(segment_files(tmp_path / "a")[1], 40, 200)
    log = Log(tmp_path / "a", segment_bytes=300)
    ((first, last),) = log.damaged
    replacement = log.begin_replacement(first)
    while not replacement.complete:
        replacement.add(other.read(replacement.next, 1))
    assert log.replace(replacement)
    assert (log.damaged, log.repaired) == ([], 1)
    assert sequences(log.read(last, 1))[-1] == last
    log.cut(last)
    log.write([frame(last + 1, epoch=2)])
    log.close()
    log = Log(tmp_path / "a", segment_bytes=300)
    assert (log.damaged, log.extent.last_sequence) == ([], last + 1)
    log.close()
    other.close()


def test_what_a_peer_has_of_another_epoch_is_no_replacement(tmp_path):
    filled(tmp_path, segment_bytes=300).close()
    damage(segment_files(tmp_path)[1], 70)
    log = Log(tmp_path)
    ((first, last),) = log.damaged
    replacement = log.begin_replacement(first)
    with pytest.raises(CorruptionError, match="is another one"):
        replacement.add([frame(first, 2, epoch=2)])
    replacement.give_up()
    assert last < 20
    assert log.begin_replacement(int(segment_files(tmp_path)[-1].stem)) is None
    log.close()


def test_segment_that_is_gone_meanwhile_is_not_replaced(tmp_path):
    other = filled(tmp_path / "b")
    filled(tmp_path / "a", segment_bytes=300).close()
    damage(segment_files(tmp_path / "a")[0], 150)
    log = Log(tmp_path / "a", segment_bytes=300)
    ((first, last),) = log.damaged
    replacement = log.begin_replacement(first)
    while not replacement.complete:
        replacement.add(other.read(replacement.next, 1))
    log.trim(last + 3)
    assert not log.replace(replacement)
    log.close()
    log = Log(tmp_path / "a")
    assert log.first_sequence > last
    log.close()
    other.close()


@pytest.mark.parametrize("copy", [0, 4096])
def test_promise_survives_the_loss_of_one_copy_and_is_mended(tmp_path, copy):
    log = filled(tmp_path)
    log.save_promise(Promise(7, b"c" * 16))
    damage(tmp_path / "state", copy, 4096)
    log.check_state()
    assert log.repaired == 1
    log.close()
    damage(tmp_path / "state", 4096 - copy, 4096)
    log = Log(tmp_path)
    assert log.promise == Promise(7, b"c" * 16)
    log.close()


@pytest.mark.parametrize(("offset", "length"), [(0, 8192), (8192, 3 * 4096)])
def test_log_without_a_sound_promise_or_reach_is_lost(tmp_path, offset, length):
    filled(tmp_path).close()
    damage(tmp_path / "state", offset, length)
    log = open_log(tmp_path, expected=True)
    assert not log.promise.whole
    log.close()


def test_promise_that_is_older_than_the_log_is_not_believed(tmp_path):
    log = filled(tmp_path)
    log.write([frame(21, epoch=3)])
    log.close()
    with pytest.raises(LogDamagedError, match="what was promised"):
        Log(tmp_path)


def test_checking_reads_every_record_and_mends_headers(tmp_path):
    log = filled(tmp_path, segment_bytes=300)
    for path in segment_files(tmp_path):
        damage(path, 0)
    sequence = 1
    while sequence <= log.last_sequence:
        sequence = log.check(sequence, 1)
    assert log.repaired == len(segment_files(tmp_path))
    damage(segment_files(tmp_path)[1], 60)
    sequence = 1
    with pytest.raises(CorruptionError):
        while sequence <= log.last_sequence:
            sequence = log.check(sequence, 1)
    assert len(log.damaged) == 1
    log.close()


@pytest.mark.parametrize("segment_bytes", [300, 1 << 20])
@pytest.mark.parametrize("last", [0, 2, 10, 18])
def test_cut_removes_the_tail_and_the_log_goes_on(tmp_path, last, segment_bytes):
    log = filled(tmp_path, segment_bytes=segment_bytes)
    log.cut(last)
    log.write([frame(last + 1, epoch=2)])
    log.close()
    log = Log(tmp_path, segment_bytes=segment_bytes)
    assert log.extent.last_sequence == last + 1
    assert log.extent.epochs[-1] == (2, last + 1)
    log.close()


def test_trim_keeps_what_is_wanted(tmp_path):
    log = filled(tmp_path, segment_bytes=300)
    log.trim(12)
    assert 1 < log.first_sequence <= 12
    log.close()
    log = Log(tmp_path)
    assert log.extent.first_sequence == log.first_sequence > 1
    assert sequences(log.read(12, 1))[-1] >= 12
    log.close()


def test_kept_bytes_shrink_when_the_log_is_trimmed(tmp_path):
    log = filled(tmp_path, segment_bytes=300)
    kept = log.kept_bytes
    log.trim(12)
    assert log.kept_bytes < kept
    log.close()


def test_locate_finds_a_place_at_or_before_the_timestamp(tmp_path):
    log = filled(tmp_path, segment_bytes=300)
    for timestamp in (0, 5_000, 12_345, 99_999):
        first = log.locate(timestamp)
        earlier = [
            r.timestamp for f in log.read(1, 1 << 20) for r in f.records if r.sequence < first
        ]
        assert all(other < timestamp for other in earlier)
    assert log.locate(19_000) > 10
    log.close()


def test_full_disk_refuses_the_write_and_loses_nothing(tmp_path):
    files = Failing(errno.ENOSPC, taken=20)
    log = filled(tmp_path, files=files)
    files.armed = True
    with pytest.raises(DiskFullError):
        log.write([frame(21)])
    files.armed = False
    log.write([frame(21)])
    log.close()
    log = Log(tmp_path)
    assert log.extent.last_sequence == 21
    log.close()


@pytest.mark.parametrize("last", [0, 10, 12])
def test_cut_knows_the_timestamp_of_what_is_the_last_record_then(tmp_path, last):
    log = filled(tmp_path, segment_bytes=300)
    log.cut(last)
    assert (log.extent.last_sequence, log.extent.last_timestamp) == (last, 1_000 * last)
    log.close()
    log = Log(tmp_path)
    assert log.extent.last_timestamp == 1_000 * last
    log.close()


def test_trim_always_leaves_the_record_before_what_is_kept(tmp_path):
    files = Failing(errno.ENOSPC)
    log = filled(tmp_path, segment_bytes=300, files=files)
    log.seal()
    log.trim(21)
    assert log.first_sequence <= 20
    log.close()
    log = Log(tmp_path)
    assert (log.extent.last_timestamp, log.extent.epochs[-1][0]) == (20_000, 1)
    log.close()


@pytest.mark.parametrize("way", ["write", "cut"])
def test_log_whose_disk_failed_is_set_aside_and_the_new_one_is_lost(tmp_path, way):
    files = Failing(errno.EIO)
    log = filled(tmp_path / "journal", files=files)
    files.armed = files.syncs_fail = True
    with pytest.raises(SyncFailedError):
        log.write([frame(21)]) if way == "write" else log.cut(10)
    files.armed = files.syncs_fail = False
    log.mark_failed()
    log.close()
    log = open_log(tmp_path / "journal", expected=True)
    assert (log.promise, log.last_sequence) == (Promise(0, b"", whole=False), 0)
    log.close()
    assert len(segment_files(tmp_path / "journal.damaged-1")) == 1


def test_only_the_two_newest_of_what_was_set_aside_are_kept(tmp_path):
    for _ in range(4):
        log = open_log(tmp_path / "journal", expected=True)
        log.mark_failed()
        log.close()
    open_log(tmp_path / "journal", expected=True).close()
    assert [path.name for path in damaged_logs(tmp_path / "journal")] == [
        "journal.damaged-3",
        "journal.damaged-4",
    ]


def test_sound_beginning_of_a_damaged_log_is_kept_to_copy_less(tmp_path):
    log = filled(tmp_path / "journal", segment_bytes=300)
    log.close()
    newest = segment_files(tmp_path / "journal")[-1]
    damage(newest, 30, 1000)
    log = open_log(tmp_path / "journal", expected=True)
    assert (log.promise.whole, log.last_sequence) == (False, int(newest.stem) - 1)
    assert sequences(log.read(1, 1)) == [1, 2]
    log.close()


def test_trouble_that_is_not_the_disks_leaves_the_log_alone(tmp_path, monkeypatch):
    filled(tmp_path).close()
    monkeypatch.setattr(
        SystemFiles, "pread", lambda *_: (_ for _ in ()).throw(OSError(errno.EMFILE, ""))
    )
    with pytest.raises(OSError, match="24"):
        open_log(tmp_path, expected=True)
    monkeypatch.undo()
    log = Log(tmp_path)
    assert log.last_sequence == 20
    log.close()


def test_unreadable_sector_is_damage_and_nothing_more(tmp_path):
    class Unreadable(SystemFiles):
        def pread(self, descriptor, size, offset) -> bytes:
            if offset <= 8192 < offset + size and self.size(descriptor) > 20_000:
                raise OSError(errno.EIO, "Input/output error")
            return super().pread(descriptor, size, offset)

    log = Log(tmp_path)
    log.save_promise(Promise(1, b"c" * 16))
    for number in range(1, 11):
        log.write([frame(number, size=3_000)])
    log.close()
    log = Log(tmp_path, files=Unreadable())
    assert (log.last_sequence, log.damaged, log.promise.whole) == (10, [(1, 10)], True)
    assert sequences(log.read(1, 1 << 20)) == [1, 2]
    with pytest.raises(CorruptionError):
        log.read(3, 1)
    log.close()


def test_zeros_ahead_of_a_crash_are_no_records(tmp_path):
    log = filled(tmp_path)
    path = max(tmp_path.glob("*.segment"))
    left = path.read_bytes()
    assert left.endswith(bytes(4096))
    log.close()
    path.write_bytes(left)
    log = Log(tmp_path)
    assert log.extent.last_sequence == 20
    log.write([frame(21, 2)])
    log.close()
    log = Log(tmp_path)
    assert log.extent.last_sequence == 22
    log.close()


def test_promise_is_there_again(tmp_path):
    log = Log(tmp_path)
    log.save_promise(Promise(7, b"c" * 16))
    log.close()
    log = Log(tmp_path)
    assert log.promise == Promise(7, b"c" * 16)
    log.close()


def test_second_process_cannot_open_the_log(tmp_path):
    log = Log(tmp_path)
    with pytest.raises(BlockingIOError):
        Log(tmp_path)
    log.close()


def test_log_that_never_was_is_whole_and_stays_so(tmp_path):
    Log(tmp_path).close()
    log = Log(tmp_path, expected=True)
    assert log.promise == Promise(0, b"", whole=True)
    log.close()


def test_missing_log_that_was_expected_is_lost_and_stays_so(tmp_path):
    Log(tmp_path, expected=True).close()
    log = Log(tmp_path, expected=True)
    assert log.promise == Promise(0, b"", whole=False)
    log.close()


@pytest.mark.parametrize("missing", ["state", "*.segment"])
def test_log_with_a_part_missing_is_lost(tmp_path, missing):
    filled(tmp_path / "journal").close()
    for path in (tmp_path / "journal").glob(missing):
        path.unlink()
    log = open_log(tmp_path / "journal", expected=True)
    assert not log.promise.whole
    log.close()


def test_cleared_log_goes_on_further_on(tmp_path):
    log = filled(tmp_path, segment_bytes=300)
    log.clear(101)
    assert (log.first_sequence, log.extent.last_sequence) == (101, 100)
    log.write([frame(101)])
    log.close()
    log = Log(tmp_path)
    assert sequences(log.read(101, 100)) == [101]
    log.close()


def test_a_log_that_lost_its_state_is_lost_once_and_keeps_its_records(tmp_path) -> None:
    filled(tmp_path / "journal").close()
    (tmp_path / "journal" / "state").write_bytes(b"")
    for _ in range(3):
        log = open_log(tmp_path / "journal", expected=True)
        assert (log.promise.whole, log.promise.epoch, log.last_sequence) == (False, 1, 20)
        log.close()
    assert damaged_logs(tmp_path / "journal") == []
