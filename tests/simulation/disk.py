"""Simulated disks behind the product's `Files`: they lose or tear what was not synced, and they fail.

A file has what processes see and what would be there after the machine has crashed. Between them lie
the writes that were not synced; a crash keeps of each what chance will, sector by sector. The names in
a directory are kept in the order of their changes, up to some point. `datasync` and `pwrite_durably`
take time, in which other threads run, and a crash may come.
"""

from __future__ import annotations

import errno
from pathlib import Path

from .world import Thread, World, running

SECTOR_BYTES = 512
_PAGE_BYTES = 4096


class File:
    """Content as seen, content as stored, and the unsynced changes: (offset, bytes) or (length, None)."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.stored = bytearray()
        self.unsynced: list[tuple[int, bytes | None]] = []
        self.bad_sectors: set[int] = set()
        self.locked_by: tuple[object, int] | None = None  # an opener and its descriptor

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
