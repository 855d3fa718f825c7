"""Walking a B+tree of LMDB's page by page, believing nothing.

LMDB checks little of what it finds on its pages: what is damaged may crash it, or keep it in a loop. So
whoever looks for damage, or copies what may be damaged, comes here. Pages are read, not mapped, and a
page is taken for what it should be only if it says so itself: its number, its kind, where its nodes lie,
that their keys rise and stay within those of the branch above. Whatever else is wrong must show in the
rows (`storage.mvcc` has their checksums), or by comparison with another replica.

The pages are those of one transaction, and somebody holds them (`storage.checkpoint`).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from operator import lt
from typing import overload

from storage.lmdb_format import (
    BRANCH,
    INTEGER_KEYS,
    KINDS,
    LEAF,
    NO_PAGE,
    OVERFLOW,
    PAGE_HEADER,
    PAGE_HEADER_BYTES,
    TREE_BYTES,
    Meta,
    Tree,
    read_tree,
)

Row = tuple[bytes, bytes]
ReadPages = Callable[
    [int, int], bytes
]  # from a page on, so many; fewer bytes at the end of the file

_DEPTH_MAX = 32  # LMDB's own limit
_NODE = struct.Struct("<IHH")
_BIG = 0x01  # a node's value lies on overflow pages


class DamagedPageError(Exception):
    """A page is not what its place in the tree asks for."""


class PageKeys(Sequence[bytes]):
    """The keys of one page, taken out as they are asked for."""

    def __init__(self, page: bytes, offsets: tuple[int, ...]) -> None:
        self._page = page
        self._offsets = offsets

    def __len__(self) -> int:
        return len(self._offsets)

    @overload
    def __getitem__(self, place: int) -> bytes: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[bytes]: ...

    def __getitem__(self, place: int | slice) -> bytes | Sequence[bytes]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        offset = self._offsets[place]
        begin = offset + _NODE.size
        return self._page[begin : begin + _NODE.unpack_from(self._page, offset)[2]]

    def child(self, place: int) -> int:
        """Return the number of the page below, if the page is a branch."""
        low, high, _ = _NODE.unpack_from(self._page, self._offsets[place])
        return int(low | high << 32)


class Pages:
    """The pages of one transaction. `read` may raise OSError, which is damage as well."""

    def __init__(self, read: ReadPages, meta: Meta) -> None:
        self._read = read
        self._meta = meta
        self._bytes = meta.page_bytes

    def content(self, number: int) -> bytes:
        """Return a page as it is. Raises DamagedPageError if it is not there."""
        page = self._read(number, 1)
        if len(page) < self._bytes:
            raise DamagedPageError(f"page {number} is not there")
        return page

    def tree(self, name: bytes) -> Tree:
        """Return a database by its name. Raises DamagedPageError."""
        for rows in self.leaves(self._meta.names):
            for key, value in rows:
                if key == name and len(value) == TREE_BYTES:
                    return read_tree(value)
        raise DamagedPageError(f"there is no database {name!r}")

    def keys(self, number: int, *, is_leaf: bool) -> PageKeys:
        """Return the keys of a page, of bytes. Raises DamagedPageError."""
        return PageKeys(*self._page(number, LEAF if is_leaf else BRANCH))

    def given_up(self, after: int = 0) -> Iterator[tuple[int, ...]]:
        """Yield the free pages that each transaction later than `after` has given up.

        Raises DamagedPageError.
        """
        for rows in self.leaves(self._meta.free, (after + 1).to_bytes(8, "big")):
            for _, value in rows:
                count = int.from_bytes(value[:8], "little")
                if len(value) < 8 * (1 + count):
                    raise DamagedPageError("a list of free pages is cut off")
                yield struct.unpack_from(f"<{count}Q", value, 8)

    def leaves(self, tree: Tree, start: bytes = b"") -> Iterator[list[Row]]:
        """Yield the rows from `start` on, a leaf page's at a time; numbers as keys are big-endian.

        Raises DamagedPageError.
        """
        if tree.root == NO_PAGE:
            return
        if not 0 < tree.depth <= _DEPTH_MAX:
            raise DamagedPageError(f"a tree that is {tree.depth} pages deep")
        step = -1 if tree.flags & INTEGER_KEYS else 1
        yield from self._below(tree.root, tree.depth, step, start, b"", None)

    def _below(
        self, number: int, depth: int, step: int, start: bytes, low: bytes, high: bytes | None
    ) -> Iterator[list[Row]]:
        """Yield what lies below a page, of which the keys are in [low, high)."""
        if depth == 1:
            rows = self._leaf(number, step)
            _check([key for key, _ in rows], low, high, number)
            yield [row for row in rows if row[0] >= start] if start else rows
            return
        children = self._branch(number, step)
        keys = [low, *(key for key, _ in children[1:])]
        _check(keys, low, high, number)
        for (_, child), begin, end in zip(children, keys, [*keys[1:], high], strict=True):
            if not start or end is None or end > start:
                yield from self._below(child, depth - 1, step, start, begin, end)

    def _page(self, number: int, kind: int) -> tuple[bytes, tuple[int, ...]]:
        """Return a page of this kind and where its nodes lie."""
        page = self.content(number)
        said, _, flags, lower, upper = PAGE_HEADER.unpack_from(page)
        if said != number or flags & KINDS != kind:
            raise DamagedPageError(f"page {number} is another one")
        if not PAGE_HEADER_BYTES < lower <= upper <= len(page) or lower % 2:
            raise DamagedPageError(f"page {number} has its nodes nowhere")
        offsets = struct.unpack_from(
            f"<{(lower - PAGE_HEADER_BYTES) // 2}H", page, PAGE_HEADER_BYTES
        )
        if min(offsets) < upper or max(offsets) > len(page) - _NODE.size:
            raise DamagedPageError(f"page {number} has nodes beside it")
        return page, offsets

    def _branch(self, number: int, step: int) -> list[tuple[bytes, int]]:
        """Return (key, page) of each child; the first one's key says nothing."""
        page, offsets = self._page(number, BRANCH)
        children = []
        for offset in offsets:
            low, high, key_bytes = _NODE.unpack_from(page, offset)
            begin = offset + _NODE.size
            children.append((page[begin : begin + key_bytes][::step], low | high << 32))
        return children

    def _leaf(self, number: int, step: int) -> list[Row]:
        page, offsets = self._page(number, LEAF)
        rows = []
        for offset in offsets:
            size, flags, key_bytes = _NODE.unpack_from(page, offset)
            begin = offset + _NODE.size + key_bytes
            value = (
                self._overflow(page, begin, size) if flags & _BIG else page[begin : begin + size]
            )
            if len(value) != size or begin > len(page):
                raise DamagedPageError(f"page {number} has a row that is cut off")
            rows.append((page[offset + _NODE.size : begin][::step], value))
        return rows

    def _overflow(self, page: bytes, offset: int, size: int) -> bytes:
        number = int.from_bytes(page[offset : offset + 8], "little")
        count = -(-(PAGE_HEADER_BYTES + size) // self._bytes)
        if number + count > self._meta.last_page + 1:
            raise DamagedPageError(f"page {number} is beyond the last one")
        content = self._read(number, count)
        if len(content) < count * self._bytes:
            raise DamagedPageError(f"page {number} is not there")
        said, _, flags, low, high = PAGE_HEADER.unpack_from(content)
        if said != number or flags & KINDS != OVERFLOW or low | high << 16 != count:
            raise DamagedPageError(f"page {number} is another one")
        return content[PAGE_HEADER_BYTES : PAGE_HEADER_BYTES + size]


def _check(keys: list[bytes], low: bytes, high: bytes | None, number: int) -> None:
    """Raise DamagedPageError unless keys rise strictly within [low, high)."""
    rising = all(map(lt, keys, keys[1:]))
    if not rising or keys[0] < low or (high is not None and keys[-1] >= high):
        raise DamagedPageError(f"page {number} has its keys out of order")
