from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from dsql.chaos.damage import FILES, damageable, flip
from dsql.control.layout import Layout

CLUSTER = "c" * 26


@pytest.mark.parametrize("seed", range(20))
def test_one_bit_of_what_the_file_holds_is_flipped(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "file"
    before = bytes(3000) + b"something" + bytes(5000)
    path.write_bytes(before)
    damage = flip([path], Random(seed))
    after = path.read_bytes()
    changed = [n for n, (x, y) in enumerate(zip(before, after, strict=True)) if x != y]
    assert damage is not None
    assert changed == [damage.offset]
    assert 3000 <= damage.offset < 3009
    assert (before[damage.offset] ^ after[damage.offset]).bit_count() == 1


def test_a_file_of_zeros_holds_nothing_to_damage(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(10_000))
    assert flip([path], Random(1)) is None


def test_only_files_of_the_zone_that_hold_something_are_chosen(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    for az in ("a", "b"):
        journal, storage = layout.journal(az, CLUSTER), layout.storage(az, CLUSTER)
        for path in (
            journal / "1.segment",
            journal / "state",
            storage / "environment" / "data.mdb",
            storage / "environment" / "checkpoint",
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
    (layout.journal("a", CLUSTER) / "2.segment").touch()
    found = {what: damageable(layout, what, "a", CLUSTER) for what in FILES}
    assert [len(paths) for paths in found.values()] == [1] * 4
    assert all("/a/" in str(path) for paths in found.values() for path in paths)
    assert damageable(layout, "journal", "c", CLUSTER) == []
