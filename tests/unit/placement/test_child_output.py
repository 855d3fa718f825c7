from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from placement.child_output import ChildOutput


@pytest.fixture
def pipe() -> Iterator[tuple[ChildOutput, int]]:
    reading, writing = os.pipe2(os.O_NONBLOCK)
    yield ChildOutput(7, reading), writing
    os.close(reading)


def test_lines_are_marked_however_they_come(pipe: tuple[ChildOutput, int]) -> None:
    output, writing = pipe
    os.write(writing, b'{"role": "seed"}\nha')
    assert output.take() == b'[7] {"role": "seed"}\n'
    os.write(writing, b"lf\rforged\n\nlast")
    assert output.take() == b"[7] half forged\n[7] \n"
    assert output.take() == b""
    os.close(writing)
    assert output.take() == b"[7] last\n"
    assert output.take() is None


def test_no_line_is_without_its_mark_and_none_is_kept_for_ever(
    pipe: tuple[ChildOutput, int],
) -> None:
    output, writing = pipe
    chance = random.Random(1)
    for _ in range(50):
        os.write(writing, chance.randbytes(1_000) + b"x" * 3_000)
        lines = output.take() or b""
        assert all(line.startswith(b"[7] ") for line in lines.split(b"\n")[:-1])
        assert len(output._line) <= 20_000
    os.close(writing)
