"""Temporary space: blocks of one file without a name, in which the statements of a process keep rows.

The file is made when it is first needed. The kernel forgets it with the process; its blocks are used
again by whoever comes next, and given back to the file system when nobody holds any.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir
from typing import Protocol

from dsql.errors import SqlError

BLOCK_BYTES = 64 * 1024
_FREE_BYTES_MIN = 256 * 1024 * 1024  # what has to be left of the disk, which the journals may share
_FREE_CHECK_BLOCKS = 256


def unnamed_file(directory: Path | None = None) -> int:
    """Return the descriptor of a new file that has no name. Raises OSError."""
    where = directory or gettempdir()
    return os.open(where, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)


class TemporarySpace:
    """Blocks by number. `open_file` returns the descriptor of an empty file.

    Raises SqlError 53100 for a full disk, 58030 for another failure of it.
    """

    def __init__(self, open_file: Callable[[], int]) -> None:
        self._open_file = open_file
        self._descriptor = -1
        self._free: list[int] = []
        self._blocks = 0  # the file's length

    def append(self, blocks: list[int], data: bytes) -> None:
        """Write data into a block that nobody uses, and add it to those of its user."""
        assert len(data) <= BLOCK_BYTES
        if not self._free:
            if self._blocks % _FREE_CHECK_BLOCKS == 0:
                self._check_disk()
            self._free.append(self._blocks)
            self._blocks += 1
        self._write(self._free[-1], data)
        blocks.append(self._free.pop())

    def release(self, blocks: list[int]) -> None:
        """Let blocks be used again; the last ones give the whole file back."""
        self._free += blocks
        if len(self._free) == self._blocks and self._blocks:
            self._free.clear()
            self._blocks = 0
            with suppress(OSError):  # it only takes room until the process ends
                os.ftruncate(self._descriptor, 0)

    def _write(self, block: int, data: bytes) -> None:
        try:
            written = os.pwrite(self._file, data, block * BLOCK_BYTES)
        except OSError as error:
            raise _failed(error) from None
        if written < len(data):
            raise _failed(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    def read(self, block: int, start: int, length: int) -> bytes:
        """Return part of a block that was written."""
        try:
            data = os.pread(self._file, length, block * BLOCK_BYTES + start)
        except OSError as error:
            raise _failed(error) from None
        assert len(data) == length, "only what was written is read"
        return data

    def close(self) -> None:
        """Forget the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def open(self) -> None:
        """Make the file now, as long as there may be one made. Raises SqlError 53100, 58030."""
        _ = self._file

    @property
    def _file(self) -> int:
        if self._descriptor < 0:
            try:
                self._descriptor = self._open_file()
            except OSError as error:
                raise _failed(error) from None
        return self._descriptor

    def _check_disk(self) -> None:
        disk = os.fstatvfs(self._file)
        if disk.f_bavail * disk.f_frsize < _FREE_BYTES_MIN:
            raise _failed(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))


class Account(Protocol):
    """Who answers for the space that a statement takes."""

    def charge_temporary(self, size: int) -> None:
        """Take `size` bytes. Raises SqlError 53400 or 54000."""
        ...

    def release_temporary(self, size: int) -> None:
        """Give bytes back."""
        ...


class Blocks:
    """Bytes in blocks of their own, one after the other; given back with the object."""

    __slots__ = ("_account", "_numbers", "_space")

    def __init__(self, space: TemporarySpace, account: Account) -> None:
        self._space = space
        self._account = account
        self._numbers: list[int] = []

    def __len__(self) -> int:
        return len(self._numbers)

    def append(self, data: bytes) -> None:
        """Write a block, the last one perhaps not to its end."""
        self._account.charge_temporary(BLOCK_BYTES)
        try:
            self._space.append(self._numbers, data)
        except SqlError:
            self._account.release_temporary(BLOCK_BYTES)
            raise

    def read(self, start: int, length: int) -> bytes:
        """Return bytes that were written."""
        block, offset = divmod(start, BLOCK_BYTES)
        if offset + length <= BLOCK_BYTES:
            return self._space.read(self._numbers[block], offset, length)
        parts = []
        while length:
            block, offset = divmod(start, BLOCK_BYTES)
            size = min(length, BLOCK_BYTES - offset)
            parts.append(self._space.read(self._numbers[block], offset, size))
            start += size
            length -= size
        return b"".join(parts)

    def __del__(self) -> None:
        if self._numbers:
            self._account.release_temporary(len(self._numbers) * BLOCK_BYTES)
            self._space.release(self._numbers)


def _failed(error: OSError) -> SqlError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    message = f"could not write to temporary file: {error.strerror}"
    return SqlError("53100" if full else "58030", message)
