"""Durable file I/O behind one thin interface: the machine's files, or a test's.

Whoever must not lose what he was told to keep takes a `Files` and uses nothing else. Descriptors are
numbers, offsets and sizes bytes, and errors are OSError with the errno of the operating system: ENOSPC
and EDQUOT for a full disk, EIO for a broken one. What is written is durable once `datasync` of the file,
or a `pwrite_durably`, has returned; a name that was made, changed or removed once `sync_directory` has.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import shutil
from pathlib import Path
from typing import Protocol

BLOCK_BYTES = 4096  # what a disk reads, writes and loses as a whole, at most
_READ_BYTES = 16 * 1024 * 1024


class Mapped(Protocol):
    """A file in memory: what is put there is the file's at once, and is not synced."""

    def __setitem__(self, place: slice, data: bytes) -> None:
        """Put bytes in the place of as many others."""
        ...

    def close(self) -> None:
        """Unmap the file."""
        ...


class Files(Protocol):
    """The operations, in the words of the os module."""

    def open(self, path: Path, flags: int, mode: int = 0o600) -> int:
        """Open a file; `flags` are those of os.open. The process does not pass it on."""
        ...

    def close(self, descriptor: int) -> None:
        """Close a descriptor."""
        ...

    def pread(self, descriptor: int, size: int, offset: int) -> bytes:
        """Return up to `size` bytes; fewer at the end of the file, and seldom before it."""
        ...

    def pwrite(self, descriptor: int, data: bytes, offset: int) -> int:
        """Write, and return how many bytes of `data` were taken."""
        ...

    def pwrite_durably(self, descriptor: int, data: bytes, offset: int) -> int:
        """Write as `pwrite` does; what was taken is on disk on return, with the length that it needs."""
        ...

    def map(self, descriptor: int, size: int) -> Mapped:
        """Map the first `size` bytes of a file, which are there, for writing."""
        ...

    def truncate(self, descriptor: int, size: int) -> None:
        """Set the length of a file."""
        ...

    def datasync(self, descriptor: int) -> None:
        """Return when the content of a file is on disk, with its length."""
        ...

    def size(self, descriptor: int) -> int:
        """Return the length of a file."""
        ...

    def set_mode(self, descriptor: int, mode: int) -> None:
        """Set the permissions of a file."""
        ...

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name, in the place of what had it."""
        ...

    def unlink(self, path: Path) -> None:
        """Remove a file."""
        ...

    def list(self, directory: Path) -> list[str]:
        """Return the names in a directory, sorted. Raises FileNotFoundError."""
        ...

    def make_directory(self, path: Path) -> None:
        """Make a directory, and its parents, unless it is there. Their names are durable on return."""
        ...

    def sync_directory(self, path: Path) -> None:
        """Return when the names in a directory are on disk."""
        ...

    def exists(self, path: Path) -> bool:
        """Return whether there is something of this name."""
        ...

    def lock(self, descriptor: int) -> None:
        """Take the file for this descriptor alone, until it is closed. Raises BlockingIOError."""
        ...

    def remove_tree(self, path: Path) -> None:
        """Remove a directory and all that is in it, if it is there."""
        ...

    def free_bytes(self, path: Path) -> int:
        """Return how much can still be written to the disk that holds `path`."""
        ...


class SystemFiles:
    """The machine's files."""

    def open(self, path: Path, flags: int, mode: int = 0o600) -> int:
        """See Files."""
        return os.open(path, flags | os.O_CLOEXEC, mode)

    def close(self, descriptor: int) -> None:
        """See Files."""
        os.close(descriptor)

    def pread(self, descriptor: int, size: int, offset: int) -> bytes:
        """See Files."""
        return os.pread(descriptor, size, offset)

    def pwrite(self, descriptor: int, data: bytes, offset: int) -> int:
        """See Files."""
        return os.pwrite(descriptor, data, offset)

    def pwrite_durably(self, descriptor: int, data: bytes, offset: int) -> int:
        """See Files."""
        return os.pwritev(descriptor, [data], offset, os.RWF_DSYNC)

    def map(self, descriptor: int, size: int) -> Mapped:
        """See Files."""
        return mmap.mmap(descriptor, size)

    def truncate(self, descriptor: int, size: int) -> None:
        """See Files."""
        os.ftruncate(descriptor, size)

    def datasync(self, descriptor: int) -> None:
        """See Files."""
        os.fdatasync(descriptor)

    def size(self, descriptor: int) -> int:
        """See Files."""
        return os.fstat(descriptor).st_size

    def set_mode(self, descriptor: int, mode: int) -> None:
        """See Files."""
        os.fchmod(descriptor, mode)

    def rename(self, old: Path, new: Path) -> None:
        """See Files."""
        os.replace(old, new)

    def unlink(self, path: Path) -> None:
        """See Files."""
        os.unlink(path)

    def list(self, directory: Path) -> list[str]:
        """See Files."""
        return sorted(os.listdir(directory))

    def make_directory(self, path: Path) -> None:
        """See Files."""
        if path.is_dir():
            return
        self.make_directory(path.parent)
        path.mkdir(exist_ok=True)
        self.sync_directory(path.parent)

    def sync_directory(self, path: Path) -> None:
        """See Files."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def exists(self, path: Path) -> bool:
        """See Files."""
        return path.exists()

    def lock(self, descriptor: int) -> None:
        """See Files."""
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def remove_tree(self, path: Path) -> None:
        """See Files."""
        if path.exists():
            shutil.rmtree(path)

    def free_bytes(self, path: Path) -> int:
        """See Files."""
        disk = os.statvfs(path)
        return disk.f_bavail * disk.f_frsize


SYSTEM_FILES = SystemFiles()


def read_file(files: Files, path: Path) -> bytes:
    """Return the content of a file. Raises FileNotFoundError, OSError."""
    descriptor = files.open(path, os.O_RDONLY)
    try:
        return read_all(files, descriptor)
    finally:
        files.close(descriptor)


def read_all(files: Files, descriptor: int) -> bytes:
    """Return the content of an open file."""
    pieces: list[bytes] = []
    offset = 0
    while piece := files.pread(descriptor, _READ_BYTES, offset):
        pieces.append(piece)
        offset += len(piece)
    return b"".join(pieces)


def read_up_to_damage(files: Files, descriptor: int, size: int, offset: int) -> bytes:
    """Return `size` bytes from `offset` on, or what comes before the first block that cannot be read."""
    try:
        return files.pread(descriptor, size, offset)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
    pieces: list[bytes] = []
    with contextlib.suppress(OSError):
        while size > 0:
            wanted = min(size, BLOCK_BYTES - offset % BLOCK_BYTES)
            pieces.append(files.pread(descriptor, wanted, offset))
            size -= wanted
            offset += wanted
    return b"".join(pieces)


def read_readable(files: Files, descriptor: int) -> bytes:
    """Return the content of an open file; each block that the disk cannot read comes as bytes of ones."""
    size = files.size(descriptor)
    pieces: list[bytes] = []
    offset, wanted = 0, size
    while offset < size:
        try:
            piece = files.pread(descriptor, min(wanted, size - offset), offset)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            if wanted > BLOCK_BYTES:
                wanted = BLOCK_BYTES
                continue
            piece = b"\xff" * min(BLOCK_BYTES, size - offset)
        if not piece:
            break
        pieces.append(piece)
        offset += len(piece)
    return b"".join(pieces)


def write_all(files: Files, descriptor: int, data: bytes, offset: int) -> None:
    """Write all of `data`. Raises OSError."""
    while data:
        taken = files.pwrite(descriptor, data, offset)
        data = data[taken:]
        offset += taken
