"""Pages of a checkpoint that have been given up since, in a file, so that their places can be used again.

    <replica>/environment/superseded   entries of one size, for one checkpoint at a time

    entry   u32 CRC32C of the rest, u64 opening, u64 transaction, u64 begin, u64 number, page

Opening and transaction name the checkpoint: what is for another one was left by that, and says nothing.
`begin` is where in the file the entry's batch begins. Each batch is synced before the next one, and
before anything relies on it. So a last batch that is torn says nothing either, and what is wrong before
it is damage.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from pathlib import Path

import google_crc32c

from dsql.disk.files import Files, read_file, write_all

SUPERSEDED = "superseded"
_CRC = struct.Struct("<I")
_HEAD = struct.Struct("<QQQQ")

Name = tuple[int, int]  # of a checkpoint: opening, transaction


class DamagedLogError(Exception):
    """Pages of a checkpoint have been lost."""


class SupersededPages:
    """The file, as its writer has it."""

    def __init__(self, environment: Path, files: Files) -> None:
        self._files = files
        self._descriptor = files.open(environment / SUPERSEDED, os.O_RDWR | os.O_CREAT)
        self._name: Name = (0, 0)
        self._end = 0

    def begin(self, name: Name) -> None:
        """Go on with another checkpoint, of which nothing has been given up yet. Raises OSError."""
        self._name, self._end = name, 0
        self._files.truncate(self._descriptor, 0)

    def append(self, pages: Iterable[tuple[int, bytes]]) -> int:
        """Add pages, durably; return how many bytes the file has. Raises OSError."""
        entries = b"".join(map(self._entry, pages))
        if entries:
            write_all(self._files, self._descriptor, entries, self._end)
            self._files.datasync(self._descriptor)
            self._end += len(entries)
        return self._end

    def _entry(self, numbered: tuple[int, bytes]) -> bytes:
        number, page = numbered
        content = _HEAD.pack(*self._name, self._end, number) + page
        return _CRC.pack(google_crc32c.value(content)) + content

    def close(self) -> None:
        """Close the file."""
        self._files.close(self._descriptor)


def read_superseded(
    environment: Path, name: Name, page_bytes: int, files: Files
) -> dict[int, bytes]:
    """Return the pages that a checkpoint had, and that may have others in their places, by number.

    Raises DamagedLogError, OSError.
    """
    try:
        content = read_file(files, environment / SUPERSEDED)
    except FileNotFoundError:
        raise DamagedLogError("the superseded pages are gone") from None
    size = _CRC.size + _HEAD.size + page_bytes
    pages: dict[int, bytes] = {}
    torn_at = len(content)
    for start in range(0, len(content), size):
        entry = content[start : start + size]
        found = _open(entry, name, size)
        if found is None:
            torn_at = min(torn_at, start)
            continue
        begin, number = found
        if begin > torn_at:
            raise DamagedLogError("superseded pages are damaged")
        pages[number] = entry[_CRC.size + _HEAD.size :]
    return pages


def _open(entry: bytes, name: Name, size: int) -> tuple[int, int] | None:
    """Return (begin, number of the page) of an entry, None if it is none of this checkpoint."""
    if len(entry) < size or google_crc32c.value(entry[_CRC.size :]) != _CRC.unpack_from(entry)[0]:
        return None
    opening, transaction, begin, number = _HEAD.unpack_from(entry, _CRC.size)
    return (begin, number) if (opening, transaction) == name else None
