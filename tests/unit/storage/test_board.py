from __future__ import annotations

import os
from pathlib import Path

import pytest

from storage import board
from storage.board import FIRST_SLOT, Board

BOOT = 7


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "board"


def test_every_reader_has_a_slot_of_its_own_until_none_is_left(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "READERS_MAX", 3)
    monkeypatch.setattr(os, "getpid", lambda: 5)
    writer = Board(path, BOOT, create=True)
    readers = [Board(path, BOOT) for _ in range(4)]
    slots = [reader.claim_slot() for reader in readers[:3]]
    assert slots == [FIRST_SLOT + 2, FIRST_SLOT, FIRST_SLOT + 1]
    with pytest.raises(OSError, match="taken"):
        readers[3].claim_slot()
    readers[1].close()
    assert readers[3].claim_slot() == FIRST_SLOT
    for opened in (writer, readers[0], readers[2], readers[3]):
        opened.close()


def test_oldest_start_is_that_of_a_living_reader(path: Path) -> None:
    writer, first, second = Board(path, BOOT, create=True), Board(path, BOOT), Board(path, BOOT)
    first.words[first.claim_slot()] = 50
    second.words[second.claim_slot()] = 40
    assert writer.oldest_start(0) == 40
    assert writer.oldest_start(45) == 50
    slot = second.slot
    second.slot = 0  # it dies without clearing its word
    second.close()
    assert writer.words[slot] == 40
    assert writer.oldest_start(0) == 50
    assert writer.words[slot] == 0
    first.close()
    writer.close()
