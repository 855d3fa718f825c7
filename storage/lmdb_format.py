"""As much of LMDB's file format (0.9, 64 bits, little-endian; mdb.c) as is used here without LMDB.

    page 0, 1   the meta pages; transaction t writes page t % 2, and the newer one counts
    page        u64 its number, u16 -, u16 flags, then u16 lower, u16 upper or, of an overflow page,
                u32 how many pages it spans; then u16 offsets of the nodes, the nodes at the end
    node        u32 size of the value, u16 flags, u16 size of the key, key, value or overflow page
                in a branch: u48 number of the child, u16 size of the key, key
    meta page   magic, version, where it was mapped, map size, the two inner trees, last page, transaction
    tree        u32 -, u16 flags, u16 depth, u64 branch, leaf and overflow pages, entries, root

A meta page is all that stands for a state of the environment: whoever puts an old one back, while the
pages that it leads to have not been used again, has the environment as it was then.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

PAGE_HEADER_BYTES = 16
META_BYTES = 152  # of a meta page, with its header
BRANCH, LEAF, OVERFLOW, META = 0x01, 0x02, 0x04, 0x08
KINDS = BRANCH | LEAF | OVERFLOW | META
INTEGER_KEYS = 0x08  # of a tree's flags
NO_PAGE = (1 << 64) - 1

_MAGIC = 0xBEEFC0DE
_VERSION = 1
PAGE_HEADER = struct.Struct("<QHHHH")
_META = struct.Struct("<IIQQ")
_TREE = struct.Struct("<IHHQQQQQ")
TREE_BYTES = _TREE.size
_META_TREES = PAGE_HEADER_BYTES + _META.size
_META_END = struct.Struct("<QQ")


@dataclass(frozen=True, slots=True)
class Tree:
    """Where a B+tree begins, and what it consists of."""

    flags: int
    depth: int
    pages: int
    entries: int
    root: int


@dataclass(frozen=True, slots=True)
class Meta:
    """What a meta page says. `free` lists pages by who gave them up, `names` has the databases."""

    transaction: int
    page_bytes: int
    last_page: int
    free: Tree
    names: Tree


def read_tree(content: bytes, offset: int = 0) -> Tree:
    """Return the tree that is described at an offset. Raises struct.error."""
    _, flags, depth, branch, leaf, overflow, entries, root = _TREE.unpack_from(content, offset)
    return Tree(flags, depth, branch + leaf + overflow, entries, root)


def read_meta(page: bytes) -> Meta | None:
    """Return what a meta page says, None if it is none."""
    if len(page) < META_BYTES or not PAGE_HEADER.unpack_from(page)[2] & META:
        return None
    magic, version, _, _ = _META.unpack_from(page, PAGE_HEADER_BYTES)
    if (magic, version) != (_MAGIC, _VERSION):
        return None
    free = read_tree(page, _META_TREES)
    names = read_tree(page, _META_TREES + _TREE.size)
    last_page, transaction = _META_END.unpack_from(page, _META_TREES + 2 * _TREE.size)
    page_bytes: int = _TREE.unpack_from(page, _META_TREES)[0]  # LMDB keeps it there
    return Meta(transaction, page_bytes, last_page, free, names)


def meta_page(content: bytes, number: int, page_bytes: int) -> bytes:
    """Return meta page 0 or 1 with what another one says."""
    header = PAGE_HEADER.pack(number, 0, META, 0, 0)
    return (header + content[PAGE_HEADER_BYTES:META_BYTES]).ljust(page_bytes, b"\0")
