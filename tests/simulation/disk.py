"""Simulated disks behind the product's `Files`: they lose or tear what was not synced, and they fail.

A file has what processes see and what would be there after the machine has crashed. Between them lie
the writes that were not synced; a crash keeps of each what chance will, sector by sector. The names in
a directory are kept in the order of their changes, up to some point. `datasync` and `pwrite_durably`
take time, in which other threads run, and a crash may come.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from .world import Process, Thread, World, running

SECTOR_BYTES = 512
_PAGE_BYTES = 4096


class File:
    """Content as seen, content as stored, and the unsynced changes: (offset, bytes) or (length, None)."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.stored = bytearray()
        self.unsynced: list[tuple[int, bytes | None]] = []
        self.bad_sectors: set[int] = set()
        self.locked_by: tuple[SimulatedFiles, int] | None = None

    def change(self, offset: int, data: bytes | None) -> tuple[int, bytes | None]:
        """Write, or with None set the length; return the change, which is not stored yet."""
        change = (offset, data)
        _apply(self.data, change)
        self.unsynced.append(change)
        if data is not None and self.bad_sectors:  # a sector that is written anew is another one
            first, last = offset // SECTOR_BYTES, (offset + len(data)) // SECTOR_BYTES
            self.bad_sectors.difference_update(range(first, last + 1))
        return change

    def store(self, change: tuple[int, bytes | None]) -> None:
        """Make one write durable, and with it what its sectors and the file's length were before."""
        offset, data = change
        assert data is not None
        left: list[tuple[int, bytes | None]] = []
        for index, earlier in enumerate(self.unsynced):
            if earlier is change:
                _apply(self.stored, change)
                self.unsynced = left + self.unsynced[index + 1 :]
                return
            start, other = earlier
            near = other is None or (start < offset + len(data) and offset < start + len(other))
            if near:
                _apply(self.stored, earlier)
            else:
                left.append(earlier)

    def sync(self) -> None:
        """Make all changes so far durable."""
        for change in self.unsynced:
            _apply(self.stored, change)
        self.unsynced.clear()

    def crash(self, world: World) -> None:
        """Keep what is stored, and what chance will of the rest."""
        chance = world.chance
        keeping = chance.choice((0.0, 0.5, 1.0))
        for offset, data in self.unsynced:
            if data is None:
                if chance.random() < keeping:
                    _apply(self.stored, (offset, None))
                continue
            for start in range(0, len(data), SECTOR_BYTES):
                if chance.random() < keeping:
                    _apply(self.stored, (offset + start, data[start : start + SECTOR_BYTES]))
        self.unsynced.clear()
        self.data = bytearray(self.stored)
        self.locked_by = None


def _apply(content: bytearray, change: tuple[int, bytes | None]) -> None:
    offset, data = change
    end = offset + (0 if data is None else len(data))
    if data is None:
        del content[offset:]
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    if data is not None:
        content[offset:end] = data


class Directory:
    """Names as seen, as stored, and the changes between: (name, node or None)."""

    def __init__(self) -> None:
        self.names: dict[str, File | Directory] = {}
        self.stored: dict[str, File | Directory] = {}
        self.unsynced: list[list[tuple[str, File | Directory | None]]] = []

    def change(self, *changes: tuple[str, File | Directory | None]) -> None:
        """Change names, all or none of them after a crash."""
        _rename(self.names, list(changes))
        self.unsynced.append(list(changes))

    def sync(self) -> None:
        """Make all changes so far durable."""
        for changes in self.unsynced:
            _rename(self.stored, changes)
        self.unsynced.clear()

    def crash(self, world: World) -> None:
        """Keep the first so many changes."""
        for changes in self.unsynced[: world.chance.randint(0, len(self.unsynced))]:
            _rename(self.stored, changes)
        self.unsynced.clear()
        self.names = dict(self.stored)
        for node in self.names.values():
            node.crash(world)

    def files(self) -> list[File]:
        """Return every file below."""
        found: list[File] = []
        for _, node in sorted(self.names.items()):
            found += node.files() if isinstance(node, Directory) else [node]
        return found


def _rename(
    names: dict[str, File | Directory], changes: list[tuple[str, File | Directory | None]]
) -> None:
    for name, node in changes:
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


class Disk:
    """One disk: its tree, how slow it is (microseconds), and what is wrong with it."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.root = Directory()
        self.read_delay = 20
        self.sync_delay = 200
        self.capacity: int | None = None
        self.write_errors = 0.0  # probability that a write or sync fails
        self.misdirected = 0.0  # probability that a write lands elsewhere
        self.stalled_until = 0
        self.synced: dict[tuple[int, int], bytes] = {}  # content of real files, by their identity

    def wait(self, thread: Thread, delay: int) -> None:
        """Let a thread wait for the disk."""
        stall = max(0, self.stalled_until - self.world.now)
        thread.sleep(stall + self.world.chance.randint(1, delay))

    def fail(self) -> None:
        """Raise OSError EIO, if a write is to fail now."""
        if running() is None:
            return  # a fault's own work
        if self.write_errors and self.world.chance.random() < self.write_errors:
            self.world.note(f"disk of {self.name} fails to write")
            raise OSError(errno.EIO, "Input/output error")

    def crash_file(self, path: Path) -> None:
        """Let a real file, mapped and written at random, lose the pages that were not synced, or not."""
        content = path.read_bytes()
        status = path.stat()
        synced = self.synced.get((status.st_dev, status.st_ino), b"").ljust(len(content), b"\0")
        keeping = self.world.chance.choice((0.0, 0.5, 1.0))
        with path.open("r+b") as file:
            for start in range(0, len(content), _PAGE_BYTES):
                page = slice(start, start + _PAGE_BYTES)
                if content[page] != synced[page] and self.world.chance.random() >= keeping:
                    file.seek(start)
                    file.write(synced[page])

    def crash(self) -> None:
        """Lose the cache."""
        self.root.crash(self.world)

    def used(self) -> int:
        """How many bytes its files have."""
        return sum(len(file.data) for file in self.root.files())

    def rot(self) -> bool:
        """Flip a bit of some file; False if there is none to flip."""
        chance = self.world.chance
        files = [file for file in self.root.files() if file.stored]
        if not files:
            return False
        file = chance.choice(files)
        # Segments are long; what is near their beginning and their end matters as much as the rest.
        position = chance.choice(
            (chance.randrange(min(64, len(file.stored))), chance.randrange(len(file.stored)))
        )
        mask = 1 << chance.randrange(8)
        file.stored[position] ^= mask
        if position < len(file.data):
            file.data[position] ^= mask
        return True

    def fail_sector(self) -> bool:
        """Let some sector be unreadable until it is written again."""
        chance = self.world.chance
        files = [file for file in self.root.files() if file.data]
        if not files:
            return False
        file = chance.choice(files)
        file.bad_sectors.add(chance.randrange(len(file.data)) // SECTOR_BYTES)
        return True


class _Mapped:
    """A file in memory."""

    def __init__(self, file: File, size: int) -> None:
        self._file = file
        self._size = size

    def __setitem__(self, place: slice, data: bytes) -> None:
        start, end, _ = place.indices(self._size)
        assert end - start == len(data), "a map has no more room than it has"
        self._file.change(start, bytes(data))

    def close(self) -> None: ...


class SimulatedFiles:
    """`dsql.disk.files.Files` for one simulated process. `disk_of` finds the disk of a path."""

    def __init__(self, process: Process | None, cluster_root: Path, disks: dict[str, Disk]) -> None:
        self._process = process
        self._root = cluster_root
        self._disks = disks
        self._open: dict[int, tuple[File | Directory, Disk]] = {}
        self._next = 100_000  # no real descriptor is so high
        if process is not None:
            process.on_death.append(self._let_go)

    def open(self, path: Path, flags: int, mode: int = 0o600) -> int:
        disk, directory, name = self._find(path)
        node = directory.names.get(name)
        if node is None:
            if not flags & os.O_CREAT:
                raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
            node = File()
            directory.change((name, node))
        elif flags & os.O_EXCL and flags & os.O_CREAT:
            raise FileExistsError(errno.EEXIST, "File exists", str(path))
        if isinstance(node, File) and flags & os.O_TRUNC:
            node.change(0, None)
        self._next += 1
        self._open[self._next] = (node, disk)
        return self._next

    def close(self, descriptor: int) -> None:
        file, _ = self._entry(descriptor)
        if isinstance(file, File) and file.locked_by == (self, descriptor):
            file.locked_by = None
        del self._open[descriptor]

    def pread(self, descriptor: int, size: int, offset: int) -> bytes:
        file, disk = self._file(descriptor)
        self._wait(disk, disk.read_delay)
        data = bytes(file.data[offset : offset + size])
        if file.bad_sectors and data:
            first, last = offset // SECTOR_BYTES, (offset + len(data) - 1) // SECTOR_BYTES
            if any(first <= sector <= last for sector in file.bad_sectors):
                raise OSError(errno.EIO, "Input/output error")
        return data

    def pwrite(self, descriptor: int, data: bytes, offset: int) -> int:
        file, disk = self._file(descriptor)
        disk.fail()
        taken = self._room(disk, file, data, offset)
        self._change(disk, file, bytes(data[:taken]), offset)
        return taken

    def pwrite_durably(self, descriptor: int, data: bytes, offset: int) -> int:
        file, disk = self._file(descriptor)
        taken = self._room(disk, file, data, offset)
        changes = self._change(disk, file, bytes(data[:taken]), offset)
        self._wait(disk, disk.sync_delay)
        disk.fail()
        for changed, change in changes:
            changed.store(change)
        return taken

    def map(self, descriptor: int, size: int) -> _Mapped:
        return _Mapped(self._file(descriptor)[0], size)

    def truncate(self, descriptor: int, size: int) -> None:
        file, disk = self._file(descriptor)
        disk.fail()
        file.change(size, None)

    def datasync(self, descriptor: int) -> None:
        file, disk = self._file(descriptor)
        self._wait(disk, disk.sync_delay)
        disk.fail()
        file.sync()

    def size(self, descriptor: int) -> int:
        return len(self._file(descriptor)[0].data)

    def set_mode(self, descriptor: int, mode: int) -> None:
        self._entry(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        _, source, name = self._find(old)
        _, target, new_name = self._find(new)
        node = source.names.get(name)
        if node is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(old))
        if source is target:
            source.change((name, None), (new_name, node))
        else:
            target.change((new_name, node))
            source.change((name, None))

    def unlink(self, path: Path) -> None:
        _, directory, name = self._find(path)
        if name not in directory.names:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
        directory.change((name, None))

    def list(self, directory: Path) -> list[str]:
        return sorted(self._directory(directory).names)

    def make_directory(self, path: Path) -> None:
        directory = self._disk(path).root
        for part in self._parts(path):
            node = directory.names.get(part)
            if node is None:
                node = Directory()
                directory.change((part, node))
                directory.sync()
            if isinstance(node, File):
                raise NotADirectoryError(errno.ENOTDIR, "Not a directory", str(path))
            directory = node

    def sync_directory(self, path: Path) -> None:
        disk = self._disk(path)
        self._wait(disk, disk.sync_delay)
        disk.fail()
        self._directory(path).sync()

    def exists(self, path: Path) -> bool:
        try:
            _, directory, name = self._find(path)
        except OSError:
            return False
        return name in directory.names

    def lock(self, descriptor: int) -> None:
        file, _ = self._file(descriptor)
        if file.locked_by not in (None, (self, descriptor)):
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        file.locked_by = (self, descriptor)

    def remove_tree(self, path: Path) -> None:
        _, directory, name = self._find(path)
        if name in directory.names:
            directory.change((name, None))

    def free_bytes(self, path: Path) -> int:
        disk = self._disk(path)
        return 1 << 40 if disk.capacity is None else max(0, disk.capacity - disk.used())

    # Finding

    def _disk(self, path: Path) -> Disk:
        parts = path.relative_to(self._root).parts
        return self._disks.get(parts[0] if parts else "", self._disks[""])

    def _parts(self, path: Path) -> tuple[str, ...]:
        return path.relative_to(self._root).parts

    def _directory(self, path: Path) -> Directory:
        node: File | Directory = self._disk(path).root
        for part in self._parts(path):
            if not isinstance(node, Directory) or part not in node.names:
                raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
            node = node.names[part]
        assert isinstance(node, Directory), path
        return node

    def _find(self, path: Path) -> tuple[Disk, Directory, str]:
        return self._disk(path), self._directory(path.parent), path.name

    def _entry(self, descriptor: int) -> tuple[File | Directory, Disk]:
        if descriptor not in self._open:
            raise OSError(errno.EBADF, "Bad file descriptor")
        return self._open[descriptor]

    def _file(self, descriptor: int) -> tuple[File, Disk]:
        node, disk = self._entry(descriptor)
        assert isinstance(node, File)
        return node, disk

    # Faults

    def _wait(self, disk: Disk, delay: int) -> None:
        thread = running()
        if thread is not None:
            disk.wait(thread, delay)

    def _room(self, disk: Disk, file: File, data: bytes, offset: int) -> int:
        """Return how much of a write fits. Raises OSError ENOSPC for nothing."""
        growth = offset + len(data) - len(file.data)
        if disk.capacity is None or growth <= 0:
            return len(data)
        missing = growth - max(0, disk.capacity - disk.used())
        if missing <= 0:
            return len(data)
        taken = len(data) - missing
        if taken <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return taken

    def _change(
        self, disk: Disk, file: File, data: bytes, offset: int
    ) -> list[tuple[File, tuple[int, bytes | None]]]:
        chance = disk.world.chance
        if disk.misdirected and chance.random() < disk.misdirected:
            offset = max(0, offset + chance.choice((-4096, -512, 512, 4096)))
            disk.world.note(f"disk of {disk.name} writes to {offset} instead")
        return [(file, file.change(offset, data))]

    def _let_go(self) -> None:
        """The process has died: its descriptors and locks are gone."""
        for descriptor, (node, _) in self._open.items():
            if isinstance(node, File) and node.locked_by == (self, descriptor):
                node.locked_by = None
        self._open.clear()
