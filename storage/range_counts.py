"""How many rows lie in a range of keys, about: read off the upper pages of the B+tree.

Where the two ends of a range come to lie is found from the root down, a page of each level; what is
between them is counted as subtrees of the size of one of them. Some ten pages are read, of whatever the
tree holds. Nobody keeps these pages for us: what does not look like a page of the tree, because it was
used again or is damaged, makes the answer None, and what looks like one may make it wrong. It is for the
planner, whose answers are right by any plan.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_left, bisect_right
from pathlib import Path

from dsql.encoding.long_keys import stored_high, stored_low
from storage.databases import NAMES
from storage.lmdb_format import META_BYTES, NO_PAGE, Tree, read_meta
from storage.page_walk import DamagedPageError, Pages

_DATABASE = NAMES[0]
_MISREAD = (DamagedPageError, OSError, struct.error, ValueError, IndexError, OverflowError)


def count_rows(directory: Path, page_bytes: int, low: bytes, high: bytes) -> float | None:
    """Return about how many keys of an environment lie in [low, high); None if that cannot be said now."""
    try:
        descriptor = os.open(directory / "data.mdb", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _count(descriptor, page_bytes, stored_low(low), stored_high(high))
    except _MISREAD:
        return None
    finally:
        os.close(descriptor)


def _count(descriptor: int, page_bytes: int, low: bytes, high: bytes) -> float | None:
    def read(number: int, count: int) -> bytes:
        return os.pread(descriptor, count * page_bytes, number * page_bytes)

    metas = [read_meta(os.pread(descriptor, META_BYTES, n * page_bytes)) for n in (0, 1)]
    newest = max((meta for meta in metas if meta), key=lambda meta: meta.transaction, default=None)
    if newest is None:
        return None
    pages = Pages(read, newest)
    return count_in_tree(pages, pages.tree(_DATABASE), low, high)


def count_in_tree(pages: Pages, tree: Tree, low: bytes, high: bytes) -> float:
    """Return about how many keys of a tree lie in [low, high). Raises DamagedPageError."""
    if tree.root == NO_PAGE or low >= high:
        return 0.0
    return min(_between(pages, tree.root, tree.depth, low, high), float(tree.entries))


def _between(pages: Pages, number: int, depth: int, low: bytes, high: bytes) -> float:
    keys = pages.keys(number, is_leaf=depth == 1)
    if depth == 1:
        return float(bisect_left(keys, high) - bisect_left(keys, low))
    # the first child's key says nothing: it is below all
    first = max(bisect_right(keys, low, 1) - 1, 0)
    last = max(bisect_left(keys, high, 1) - 1, 0)
    if first == last:
        return _between(pages, keys.child(first), depth - 1, low, high)
    ends = (keys.child(first), keys.child(last))
    rows = sum(_between(pages, child, depth - 1, low, high) for child in ends)
    between = last - first - 1
    if between:
        rows += between * _size(pages, keys.child(first + 1 + between // 2), depth - 1)
    return rows


def _size(pages: Pages, number: int, depth: int) -> float:
    """Return about how many keys lie below a page: as if all its children were like one in the middle."""
    keys = pages.keys(number, is_leaf=depth == 1)
    if depth == 1:
        return float(len(keys))
    return len(keys) * _size(pages, keys.child(len(keys) // 2), depth - 1)
