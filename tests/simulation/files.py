"""The product's `Files` (`dsql/disk`) over simulated disks, as one simulated process sees them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from .disk import SECTOR_BYTES, Directory, Disk, File
from .world import Process, running


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
