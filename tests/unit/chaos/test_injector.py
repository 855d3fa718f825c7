from __future__ import annotations

import errno
import os
from pathlib import Path
from random import Random

import pytest

from dsql.chaos import injector as injector_module
from dsql.chaos.cuts import allow_cuts
from dsql.chaos.faults import KINDS
from dsql.chaos.injector import MEBIBYTE, Injector
from dsql.control.layout import ClusterRecord, Layout

FREE_BYTES = 2 * MEBIBYTE + 3 * 4096


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    allow_cuts(layout := Layout(tmp_path))
    return layout


def injector(layout: Layout, filler_bytes: int) -> Injector:
    record = ClusterRecord("c" * 26, "", "", "", "dsql", ["a", "b", "c"], 0.0)
    return Injector(layout, record, Random(1), filler_bytes)


def test_filling_takes_all_of_a_disk_that_is_smaller_than_what_may_be_taken(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    allocate = os.posix_fallocate

    def until_full(descriptor: int, start: int, size: int) -> None:
        if start + size > FREE_BYTES:
            raise OSError(errno.ENOSPC, "No space left on device")
        allocate(descriptor, start, size)

    monkeypatch.setattr(os, "posix_fallocate", until_full)
    injector(layout, 5 * MEBIBYTE).inject(KINDS["fill-disk"], "a")
    assert (layout.root / "filler").stat().st_size == FREE_BYTES


def test_filling_takes_no_more_than_it_may(layout: Layout) -> None:
    injector(layout, MEBIBYTE).inject(KINDS["fill-disk"], "a")
    assert (layout.root / "filler").stat().st_size == MEBIBYTE


def test_a_disk_has_room_again_before_anything_else_is_undone(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    filler = layout.root / "filler"
    filler.touch()
    seen = []
    monkeypatch.setattr(injector_module, "write_cuts", lambda *_: seen.append(filler.exists()))
    injector(layout, MEBIBYTE).heal()
    assert seen == [False]
