"""The machine's files behind the interface that durable rooms use."""

from __future__ import annotations

import os

import pytest

from dsql.disk.files import SYSTEM_FILES, SystemFiles, read_file, write_all

READ_WRITE = os.O_RDWR | os.O_CREAT


class Counting(SystemFiles):
    """Notes which directories were synced, and takes three bytes at a time."""

    def __init__(self) -> None:
        self.synced: list[str] = []

    def sync_directory(self, path) -> None:
        self.synced.append(path.name)
        super().sync_directory(path)

    def pwrite(self, descriptor, data, offset) -> int:
        return super().pwrite(descriptor, data[:3], offset)


def test_short_writes_and_reads_are_gone_on_with(tmp_path, monkeypatch):
    files = Counting()
    descriptor = files.open(tmp_path / "file", READ_WRITE)
    write_all(files, descriptor, b"0123456789", 2)
    files.close(descriptor)
    monkeypatch.setattr("dsql.disk.files._READ_BYTES", 4)
    assert read_file(files, tmp_path / "file") == b"\0\0" + b"0123456789"


def test_names_of_new_directories_are_durable_up_to_the_first_that_was_there(tmp_path):
    files = Counting()
    for _ in range(2):
        files.make_directory(tmp_path / "a" / "b")
    assert files.synced == [tmp_path.name, "a"]


def test_locked_file_cannot_be_locked_again_until_it_is_closed(tmp_path):
    files = SYSTEM_FILES
    one, other = (files.open(tmp_path / "lock", READ_WRITE) for _ in range(2))
    files.lock(one)
    with pytest.raises(BlockingIOError):
        files.lock(other)
    files.close(one)
    files.lock(other)
    files.close(other)


def test_durable_write_asks_for_durability(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(os, "pwritev", lambda *arguments: asked.append(arguments) or 4)
    SYSTEM_FILES.pwrite_durably(1, b"data", 8)
    assert asked == [(1, [b"data"], 8, os.RWF_DSYNC)]


def test_syncs_reach_the_operating_system(tmp_path, monkeypatch):
    asked = []
    descriptor = SYSTEM_FILES.open(tmp_path / "file", READ_WRITE)
    monkeypatch.setattr(os, "fdatasync", asked.append)
    monkeypatch.setattr(
        os, "fsync", lambda other: asked.append(os.path.samestat(os.fstat(other), here))
    )
    here = tmp_path.stat()
    SYSTEM_FILES.datasync(descriptor)
    SYSTEM_FILES.sync_directory(tmp_path)
    assert asked == [descriptor, True]
    SYSTEM_FILES.close(descriptor)


def test_durable_write_has_its_length_and_its_place(tmp_path):
    files = SYSTEM_FILES
    descriptor = files.open(tmp_path / "file", READ_WRITE)
    assert files.pwrite_durably(descriptor, b"data", 8) == 4
    assert (files.size(descriptor), files.pread(descriptor, 99, 6)) == (12, b"\0\0data")
    files.close(descriptor)


def test_what_is_put_in_a_mapped_file_is_read_back_from_it(tmp_path):
    files = SYSTEM_FILES
    descriptor = files.open(tmp_path / "file", READ_WRITE)
    files.pwrite(descriptor, bytes(8), 0)
    mapped = files.map(descriptor, 8)
    mapped[2:4] = b"ab"
    mapped.close()
    assert files.pread(descriptor, 8, 0) == b"\0\0ab\0\0\0\0"
    files.close(descriptor)


def test_missing_tree_may_be_removed(tmp_path):
    SYSTEM_FILES.make_directory(tmp_path / "a" / "b")
    SYSTEM_FILES.remove_tree(tmp_path / "a")
    SYSTEM_FILES.remove_tree(tmp_path / "a")
    assert SYSTEM_FILES.list(tmp_path) == []
