"""A disk in memory that remembers every operation, and what could be on it after a crash at each of them.

Between two syncs a disk writes what it likes in whichever order: after a crash each piece of an unsynced
write, each unsynced change of a length and each unsynced change of a name is there or is not. Pieces are
smaller than a disk's sectors, so that more is torn than a disk would.
"""

from __future__ import annotations

import errno
import itertools
import os
import random
from collections.abc import Iterator
from pathlib import Path

PIECE_BYTES = 64
_ALL_SUBSETS_UP_TO = 5
_SOME_SUBSETS = 12

Content = dict[Path, bytes]


class _File:
    def __init__(self) -> None:
        self.data = bytearray()


# An operation: ("write", file, offset, bytes), ("length", file, size), ("name", path, file or None),
# ("sync", file, offset, end) or ("names", directory).
Operation = tuple


class RecordingFiles:
    """`dsql.disk.files.Files` in memory. `operations` are all that change something, in order.

    What is in `forgets` ("writes", "promises", "lengths", "names") is not synced when it should be.
    """

    def __init__(
        self, content: Content | None = None, forgets: frozenset[str] = frozenset()
    ) -> None:
        self.operations: list[Operation] = []
        self._names: dict[Path, _File] = {}
        self._open: dict[int, _File] = {}
        self._numbers = itertools.count(3)
        self._forgets = forgets
        for path, data in (content or {}).items():
            self._names[path] = file = _File()
            file.data += data

    def content(self) -> Content:
        return {path: bytes(file.data) for path, file in self._names.items()}

    def open(self, path: Path, flags: int, mode: int = 0o600) -> int:
        if path not in self._names:
            if not flags & os.O_CREAT:
                raise FileNotFoundError(errno.ENOENT, "No such file", str(path))
            self._name(path, _File())
        elif flags & os.O_TRUNC:
            self._length(self._names[path], 0)
        descriptor = next(self._numbers)
        self._open[descriptor] = self._names[path]
        return descriptor

    def close(self, descriptor: int) -> None:
        del self._open[descriptor]

    def pread(self, descriptor: int, size: int, offset: int) -> bytes:
        return bytes(self._open[descriptor].data[offset : offset + size])

    def pwrite(self, descriptor: int, data: bytes, offset: int) -> int:
        self._write(self._open[descriptor], data, offset)
        return len(data)

    def pwrite_durably(self, descriptor: int, data: bytes, offset: int) -> int:
        file = self._open[descriptor]
        self._write(file, data, offset)
        kind = "promises" if self._path(file).name == "state" else "writes"
        if kind not in self._forgets:
            self.operations.append(("sync", file, offset, offset + len(data)))
        return len(data)

    def map(self, descriptor: int, size: int) -> _Mapped:
        return _Mapped(self, self._open[descriptor])

    def truncate(self, descriptor: int, size: int) -> None:
        self._length(self._open[descriptor], size)

    def datasync(self, descriptor: int) -> None:
        file = self._open[descriptor]
        if "lengths" not in self._forgets:
            self.operations.append(("sync", file, 0, len(file.data)))

    def size(self, descriptor: int) -> int:
        return len(self._open[descriptor].data)

    def set_mode(self, descriptor: int, mode: int) -> None:
        pass

    def rename(self, old: Path, new: Path) -> None:
        if old in self._names:
            self._name(new, self._names[old])
            self._name(old, None)
        for path in [path for path in self._names if old in path.parents]:
            self._name(new / path.relative_to(old), self._names[path])
            self._name(path, None)

    def unlink(self, path: Path) -> None:
        self._name(path, None)

    def list(self, directory: Path) -> list[str]:
        names = {
            path.relative_to(directory).parts[0]
            for path in self._names
            if directory in path.parents
        }
        return sorted(names)

    def make_directory(self, path: Path) -> None:
        pass

    def sync_directory(self, path: Path) -> None:
        if "names" not in self._forgets:
            self.operations.append(("names", path))

    def exists(self, path: Path) -> bool:
        return any(path == other or path in other.parents for other in self._names)

    def lock(self, descriptor: int) -> None:
        pass

    def remove_tree(self, path: Path) -> None:
        for other in [other for other in self._names if path in other.parents]:
            self._name(other, None)

    def free_bytes(self, path: Path) -> int:
        return 1 << 40

    def _write(self, file: _File, data: bytes, offset: int) -> None:
        self.operations.append(("write", file, offset, data))
        file.data.extend(bytes(max(0, offset - len(file.data))))
        file.data[offset : offset + len(data)] = data

    def _length(self, file: _File, size: int) -> None:
        self.operations.append(("length", file, size))
        del file.data[size:]
        file.data.extend(bytes(size - len(file.data)))

    def _name(self, path: Path, file: _File | None) -> None:
        self.operations.append(("name", path, file))
        if file is None:
            del self._names[path]
        else:
            self._names[path] = file

    def _path(self, file: _File) -> Path:
        return next(path for path, other in self._names.items() if other is file)


class _Mapped:
    def __init__(self, files: RecordingFiles, file: _File) -> None:
        self._files = files
        self._file = file

    def __setitem__(self, place: slice, data: bytes) -> None:
        self._files._write(self._file, data, place.start)

    def close(self) -> None:
        pass


def after_crash(operations: list[Operation], chance: random.Random) -> Iterator[Content]:
    """Yield what could be on the disk if the machine died before the next operation."""
    stored, pending = _settled(operations)
    for kept in _subsets(len(pending), chance):
        yield _content(stored, [pending[index] for index in kept])


def after_death(operations: list[Operation]) -> Content:
    """Return what is there if the process dies before the next operation, and the machine lives."""
    return _content([], list(operations))


def _settled(operations: list[Operation]) -> tuple[list[Operation], list[Operation]]:
    """Return the changes that are durable, and the others in pieces, each in order."""
    stored: list[Operation] = []
    pending: list[Operation] = []
    for operation in operations:
        kind = operation[0]
        if kind == "write":
            _, file, offset, data = operation
            pending += [
                ("write", file, offset + start, data[start : start + PIECE_BYTES])
                for start in range(0, len(data), PIECE_BYTES)
            ]
        elif kind in ("length", "name"):
            pending.append(operation)
        else:
            done = [other for other in pending if _is_synced(other, operation)]
            pending = [other for other in pending if not _is_synced(other, operation)]
            stored += done
    return stored, pending


def _is_synced(change: Operation, sync: Operation) -> bool:
    if sync[0] == "names":
        return change[0] == "name" and change[1].parent == sync[1]
    if change[0] == "name" or change[1] is not sync[1]:
        return False
    return change[0] == "length" or sync[2] <= change[2] < sync[3]


def _subsets(count: int, chance: random.Random) -> Iterator[list[int]]:
    everything = list(range(count))
    if count <= _ALL_SUBSETS_UP_TO:
        for size in range(count + 1):
            yield from map(list, itertools.combinations(everything, size))
        return
    yield []
    yield everything
    for _ in range(_SOME_SUBSETS):
        share = chance.random()
        yield [index for index in everything if chance.random() < share]


def _content(stored: list[Operation], kept: list[Operation]) -> Content:
    names: dict[Path, _File] = {}
    files: dict[_File, bytearray] = {}
    for operation in stored + kept:
        if operation[0] == "name":
            if operation[2] is None:
                names.pop(operation[1], None)
            else:
                names[operation[1]] = operation[2]
        elif operation[0] == "write":
            _, file, offset, data = operation
            content = files.setdefault(file, bytearray())
            content.extend(bytes(max(0, offset - len(content))))
            content[offset : offset + len(data)] = data
        elif operation[0] == "length":
            content = files.setdefault(operation[1], bytearray())
            del content[operation[2] :]
            content.extend(bytes(operation[2] - len(content)))
    return {path: bytes(files.get(file, b"")) for path, file in names.items()}
