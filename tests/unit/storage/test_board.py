from __future__ import annotations

import random
from pathlib import Path

import pytest

from storage.board import HORIZON, KEPT, RELEASES, WATERMARK, Board, BoardUnavailableError

BOOT = 7


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "board"


def test_reader_sees_what_the_writer_publishes_and_cannot_write_it(path: Path) -> None:
    writer = Board(path, BOOT, create=True)
    reader = Board(path, BOOT)
    writer.words[WATERMARK] = 5
    assert reader.words[WATERMARK] == 5
    with pytest.raises(TypeError):
        reader.words[WATERMARK] = 6
    for opened in (writer, reader):
        opened.close()


def test_whatever_is_let_go_of_is_noticed(path: Path) -> None:
    writer = Board(path, BOOT, create=True)
    for releases, word in enumerate((HORIZON, KEPT), 1):
        writer.let_go(word, 9)
        assert (writer.words[word], writer.words[RELEASES]) == (9, releases)
    writer.close()


def test_board_of_another_boot_or_none_is_unavailable(path: Path) -> None:
    with pytest.raises(BoardUnavailableError):
        Board(path, BOOT)
    Board(path, BOOT, create=True).close()
    with pytest.raises(BoardUnavailableError):
        Board(path, BOOT + 1)
    path.write_bytes(b"short")
    with pytest.raises(BoardUnavailableError):
        Board(path, BOOT)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_a_board_holds_is_unavailable_until_a_writer_has_reset_it(
    path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    path.write_bytes(chance.randbytes(chance.randrange(200)))
    with pytest.raises(BoardUnavailableError):
        Board(path, BOOT)
    writer, reader = Board(path, BOOT, create=True), Board(path, BOOT)
    assert reader.words[WATERMARK] == 0
    for opened in (writer, reader):
        opened.close()
