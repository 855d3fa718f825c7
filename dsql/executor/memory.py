"""How much a running statement may hold, in memory and in temporary space.

Every node that keeps rows and every aggregate that grows charges the statement's account for them. What
can be written out (sorts, distinct rows, groups, joins, windows, sets, CTEs, materialised rows) goes to
temporary space once a node holds `work_max`, or where memory is scarce; what can not, one value, ends the
statement at `memory_max`. Sizes are `sys.getsizeof`'s: of one row in `SAMPLE_EVERY`, chosen at random, and
of every value above `LARGE_BYTES`. What escapes all that meets the limit of the process, see
`placement.sandbox`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import getrandbits, random
from sys import getsizeof
from typing import Any

from dsql.errors import SqlError
from dsql.executor.temporary import TemporarySpace
from dsql.limits import (
    QUERY_MEMORY_BYTES_MAX,
    STATEMENT_MEMORY_BYTES_MAX,
    STATEMENTS_AT_THEIR_LIMIT,
    WORK_MEMORY_BYTES,
)
from dsql.types.size import POINTER_BYTES, size_of

SAMPLE_EVERY = 64  # rows between two samples; generated code knows it as `& 63`
_SPARED_SHARE = 32  # of a node's share: with less it is left alone even where memory is scarce
LARGE_BYTES = 4_096  # strings above it are counted one by one; generated code knows the name
FLIGHT_BYTES = 4_096  # as many values below it as a statement can name come to little
_READ_FACTOR_MAX = 16  # what rows of small integers take here, by what they took in temporary space
SET_ENTRY_BYTES = 72  # hash, pointer, and free places of a set or dict


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bytes: in memory, in memory of one node that can spill, in temporary space.

    `documented`: exceeding any of them is Aurora DSQL's one error for it, not PostgreSQL's several.
    """

    memory_max: int = QUERY_MEMORY_BYTES_MAX
    work_max: int = WORK_MEMORY_BYTES
    temporary_max: int = QUERY_MEMORY_BYTES_MAX
    documented: bool = True


class ProcessMemory:
    """What the statements of all sessions of a process hold together, in bytes, and may hold."""

    __slots__ = ("max", "used")

    def __init__(self, most: int = STATEMENTS_AT_THEIR_LIMIT * STATEMENT_MEMORY_BYTES_MAX) -> None:
        self.max = most
        self.used = 0


class StatementMemory:
    """The account of one running statement, within that of its process.

    `check_cancel` is what long loops over kept rows call.
    """

    __slots__ = (
        "__weakref__", "_held", "_held_temporary", "bounds", "check_cancel", "process", "space",
        "temporary", "used",
    )  # fmt: skip

    def __init__(
        self,
        bounds: Bounds,
        space: TemporarySpace,
        check_cancel: Callable[[], None] = lambda: None,
        held: int = 0,
        process: ProcessMemory | None = None,
        held_temporary: int = 0,
    ) -> None:
        """`held`: bytes that suspended statements of the session hold besides; `process` knows of them.

        `held_temporary`: what these and its temporary tables have of its temporary space.
        """
        self.bounds = bounds
        self.space = space
        self.check_cancel = check_cancel
        self.process = process or ProcessMemory()
        self.used = self._held = held
        self.temporary = self._held_temporary = held_temporary

    @property
    def own(self) -> int:
        """The bytes of memory that the statement itself holds."""
        return self.used - self._held

    @property
    def own_temporary(self) -> int:
        """The bytes of temporary space that the statement itself holds."""
        return self.temporary - self._held_temporary

    def charge(self, size: int) -> None:
        """Take `size` bytes of memory. Raises SqlError 54000 (dsql) or 53200 above the limit.

        Where all statements of the process hold too much together, the one that asks for more gets 53200.
        """
        process = self.process
        self.used += size
        process.used += size
        if self.used > self.bounds.memory_max:
            self.release(size)
            raise self._too_much(size)
        if process.used > process.max:
            self.release(size)
            raise out_of_memory("Other sessions of the same process hold too much.")

    def release(self, size: int) -> None:
        """Give back what was charged."""
        self.used -= size
        self.process.used -= size

    def is_share(self, size: int) -> bool:
        """Return True if a node that holds so many bytes should write them out, or take no more.

        That is more than a node's share, and much less where many nodes hold theirs.
        """
        bounds = self.bounds
        if size > bounds.work_max:
            return True
        process = self.process
        is_scarce = self.used > bounds.memory_max * 3 // 4 or process.used > process.max * 3 // 4
        return is_scarce and size > bounds.work_max // _SPARED_SHARE

    def hold(self) -> Held:
        """Return an account within this one."""
        return Held(self)

    def charge_temporary(self, size: int) -> None:
        """Take `size` bytes of temporary space. Raises SqlError 54000 (dsql) or 53400 above the limit."""
        limit = self.bounds.temporary_max
        if self.temporary + size > limit:
            if self.bounds.documented:
                raise too_much_space(limit)
            message = f"temporary file size exceeds temp_file_limit ({limit // 1024}kB)"
            raise SqlError("53400", message)
        self.temporary += size

    def release_temporary(self, size: int) -> None:
        """Give back temporary space."""
        self.temporary -= size

    def _too_much(self, size: int) -> SqlError:
        if self.bounds.documented:
            return too_much_space(self.bounds.memory_max)
        return out_of_memory(f"Failed on request of size {size}.")


def too_much_space(limit: int) -> SqlError:
    """Return Aurora DSQL's error of a statement that holds more than it may."""
    message = f"query requires more than allowed temp space of {limit // 1024} KB to execute"
    return SqlError("54000", message)


def out_of_memory(detail: str) -> SqlError:
    """Return PostgreSQL's error of memory that is not to be had."""
    return SqlError("53200", "out of memory", detail=detail)


class Held:
    """What one node holds of the statement's memory; given back when the node's data is forgotten."""

    __slots__ = ("bytes", "memory")

    def __init__(self, memory: StatementMemory) -> None:
        self.memory = memory
        self.bytes = 0

    def add(self, size: int) -> None:
        """Take `size` bytes more. Raises what `StatementMemory.charge` raises."""
        self.memory.charge(size)
        self.bytes += size

    def large(self, value: Any) -> None:
        """Take a large value, or an array or record of whatever size, which no sample counts."""
        self.add(size_of(value))

    def sample(self, rows: list[Any]) -> None:
        """Take the last `SAMPLE_EVERY` rows of a list, by the size of one of them."""
        self.add(SAMPLE_EVERY * row_size(rows[-1 - getrandbits(6)]))

    def sample_many(self, rows: list[Any], count: int) -> None:
        """Take the last `count` rows of a list, by the size of one of them."""
        self.add(count * row_size(rows[-1 - int(random() * count)]))

    def read(self, rows: Sequence[Any], count: int, size: int, entry_bytes: int = 0) -> None:
        """Take `count` of the rows of a chunk, of `size` bytes in temporary space, by one of them.

        It is `size` at least, which large values cannot escape, and not much more for the luck of one draw.
        `entry_bytes` are added for each.
        """
        made = len(rows) * (POINTER_BYTES + size_of(rows[int(random() * len(rows))]))
        made = min(max(made, size), _READ_FACTOR_MAX * size)
        self.add(count * (made // len(rows) + entry_bytes))

    def list(self, items: Sequence[Any]) -> None:
        """Take all items of a list, by the sizes of a few of them."""
        some = items[:: -(-len(items) // SAMPLE_EVERY) or 1]
        if some:
            self.add((POINTER_BYTES + sum(map(size_of, some)) // len(some)) * len(items))

    def sample_one(self, row: Any) -> None:
        """Take `SAMPLE_EVERY` rows by the size of this one, the last of them."""
        self.add(SAMPLE_EVERY * row_size(row))

    def sample_entry(self, key: Any) -> None:
        """Take `SAMPLE_EVERY` entries of a set or dict by the size of one key."""
        self.add(SAMPLE_EVERY * (SET_ENTRY_BYTES + row_size(key)))

    def replace(self, old: Any, new: Any) -> None:
        """Take a new string in the place of an old one; None is no string."""
        self.add((0 if new is None else len(new)) - (0 if old is None else len(old)))

    def clear(self) -> None:
        """Give everything back."""
        self.memory.release(self.bytes)
        self.bytes = 0

    def __del__(self) -> None:
        self.memory.release(self.bytes)


class Flight(Held):
    """The large values of one row, or of one call's arguments, that exist before the whole does."""

    __slots__ = ()

    def take(self, value: Any) -> Any:
        """Account for a value and return it."""
        if isinstance(value, list | tuple) or (
            isinstance(value, str | bytes) and len(value) > FLIGHT_BYTES
        ):
            self.add(size_of(value))
        return value

    def give(self, whole: Any) -> Any:
        """Return what was made of the values, which are not needed further."""
        self.clear()
        return whole


def row_size(row: Any) -> int:
    """Return the bytes of a row without those of large values and of arrays in it."""
    if not isinstance(row, tuple | list):
        return POINTER_BYTES + _small(row)
    return POINTER_BYTES + getsizeof(row) + sum(map(_small, row))


def _small(value: Any) -> int:
    if isinstance(value, list):
        return 0
    if isinstance(value, tuple):
        return getsizeof(value) + sum(map(_small, value))
    size = getsizeof(value)
    return 0 if size > LARGE_BYTES and isinstance(value, str | bytes) else size
