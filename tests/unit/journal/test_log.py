"""The log on a real disk: what was synced is there again, whatever happens between."""

from __future__ import annotations

import errno
import os

import google_crc32c
import msgspec
import pytest

from journal.log import DiskFullError, Log, SyncFailedError
from journal.messages import Record
from journal.replica import Promise
from journal.segment import CorruptionError, Frame, make_frame


def frame(first: int, count: int = 1, epoch: int = 1, size: int = 10) -> Frame:
    span = range(first, first + count)
    return make_frame([Record(n, epoch, 1_000 * n, 0, b"x" * size) for n in span])


def filled(directory, *, frames: int = 10, segment_bytes: int = 1 << 20) -> Log:
    log = Log(directory, segment_bytes=segment_bytes)
    for number in range(frames):
        log.write([frame(1 + 2 * number, 2)])
    return log


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


def test_unsynced_torn_write_is_forgotten_at_the_next_start(tmp_path):
    log = filled(tmp_path)
    log.write([frame(21)])
    log.close()
    path = max(tmp_path.glob("*.segment"))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 3)
    log = Log(tmp_path)
    assert log.extent.last_sequence == 20
    log.write([frame(21, 2)])
    log.close()
    log = Log(tmp_path)
    assert log.extent.last_sequence == 22
    log.close()


def test_damage_in_an_old_segment_refuses_the_log(tmp_path):
    filled(tmp_path, segment_bytes=300).close()
    path = min(tmp_path.glob("*.segment"))
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\xff")
    with pytest.raises(CorruptionError, match=path.name):
        Log(tmp_path)


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


def test_full_disk_refuses_the_write_and_loses_nothing(tmp_path, monkeypatch):
    log = filled(tmp_path)
    real = os.pwritev

    def full(descriptor, buffers, offset, flags):
        real(descriptor, [buffers[0][:20]], offset, flags)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("journal.log.os.pwritev", full)
    with pytest.raises(DiskFullError):
        log.write([frame(21)])
    monkeypatch.undo()
    log.write([frame(21)])
    log.close()
    log = Log(tmp_path)
    assert log.extent.last_sequence == 21
    log.close()


@pytest.mark.parametrize("call", ["fdatasync", "pwritev"])
def test_failed_sync_ends_the_log_for_good(tmp_path, monkeypatch, call):
    log = filled(tmp_path)

    def broken(descriptor, *_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(f"journal.log.os.{call}", broken)
    with pytest.raises(SyncFailedError):
        log.write([frame(21)])
        log.cut(20)
    monkeypatch.undo()
    log.close()
    with pytest.raises(SyncFailedError, match="delete this folder"):
        Log(tmp_path)


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


@pytest.mark.parametrize("missing", ["promise", "*.segment"])
def test_log_with_a_part_missing_is_lost(tmp_path, missing):
    log = filled(tmp_path)
    log.save_promise(Promise(7, b"c" * 16))
    log.close()
    for path in tmp_path.glob(missing):
        path.unlink()
    log = Log(tmp_path, expected=True)
    assert not log.promise.whole
    log.close()


def test_promise_written_before_there_were_lost_logs_is_whole(tmp_path):
    log = filled(tmp_path)
    body = msgspec.msgpack.encode((7, b"c" * 16))
    (tmp_path / "promise").write_bytes(google_crc32c.value(body).to_bytes(4, "little") + body)
    log.close()
    log = Log(tmp_path)
    assert log.promise == Promise(7, b"c" * 16, whole=True)
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
