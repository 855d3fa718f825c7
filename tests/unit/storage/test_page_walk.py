"""The walk finds what LMDB finds, and nothing on a page can crash it or keep it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storage.databases import NAMES
from storage.lmdb_format import read_meta
from storage.mvcc import DamagedRowError, verify
from storage.page_walk import DamagedPageError, Pages, Row

PAGE_BYTES = 4096


@pytest.fixture
def filled(replica: Any) -> Any:
    """Several levels, large values, long keys, undo and free pages."""
    chance = random.Random(1)
    for number in range(12):
        rows = [
            (b"k%06d" % chance.randrange(5_000), b"v" * chance.choice([3, 90])) for _ in range(400)
        ]
        replica.apply(list(dict(rows).items()))
        replica.apply([(b"large%d" % (number % 3), bytes(9_000)), (b"long" * 200, b"%d" % number)])
    replica.environment.checkpoints.take()
    return replica


def walk(content: bytes) -> Iterator[tuple[bytes, list[Row]]]:
    metas = [read_meta(content[at : at + PAGE_BYTES]) for at in (0, PAGE_BYTES)]
    meta = max((m for m in metas if m), key=lambda m: m.transaction, default=None)
    if meta is None:
        raise DamagedPageError("no meta page")
    pages = Pages(lambda number, count: content[number * 4096 : (number + count) * 4096], meta)
    for _ in pages.given_up():
        pass
    for name in NAMES:
        for rows in pages.leaves(pages.tree(name)):
            yield name, rows


def content_of(replica: Any) -> bytes:
    path: Path = replica.environment.directory / "data.mdb"
    return path.read_bytes()


def test_walk_finds_what_lmdb_finds(filled: Any) -> None:
    found = {name + key: value for name, rows in walk(content_of(filled)) for key, value in rows}
    assert {key: found[key] for key in found if not key.startswith(b"meta")} == filled.rows()


def test_walk_from_a_key_finds_the_rest(filled: Any) -> None:
    with filled.environment.checkpoints.pinned() as pages:
        tree = pages.tree(b"main")
        rows = [row for some in pages.leaves(tree) for row in some]
        for index in (0, 1, 700, len(rows) - 1):
            for start, first in ((rows[index][0], index), (rows[index][0] + b"\0", index + 1)):
                assert [r for some in pages.leaves(tree, start) for r in some] == rows[first:]


@pytest.mark.parametrize("seed", range(40))
def test_damaged_page_gives_an_error_or_the_same_rows(filled: Any, seed: int) -> None:
    chance = random.Random(seed)
    before = content_of(filled)
    expected = list(walk(before))
    damaged = bytearray(before)
    for _ in range(chance.choice([1, 1, 5, 50])):
        at = chance.randrange(len(before.rstrip(b"\0")))
        size = chance.choice([1, 2, 8, PAGE_BYTES])
        damaged[at : at + size] = chance.randbytes(size) if chance.random() < 0.7 else bytes(size)
    try:
        found = list(walk(bytes(damaged)))
        for name, rows in found:
            verify(name, rows)
    except (DamagedPageError, DamagedRowError):
        return
    assert [one for one in found if one[0] != b"meta"] == [e for e in expected if e[0] != b"meta"]
