from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from placement.child_output import (
    ALL_BYTES_PER_SECOND_MAX,
    BYTES_PER_SECOND_MAX,
    ChildOutput,
    Pace,
)


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


def test_who_writes_too_much_waits_for_the_next_second_and_the_others_do_not(
    pipe: tuple[ChildOutput, int],
) -> None:
    noisy, writing = pipe
    quiet = ChildOutput(8, noisy.descriptor)
    now = 5.0
    pace = Pace(lambda: now)
    assert pace.is_next_second([noisy, quiet])
    while pace.allows(noisy):
        os.write(writing, b"x" * 1_023 + b"\n")
        pace.count(noisy.take() or b"")
        assert noisy.taken <= BYTES_PER_SECOND_MAX
    assert pace.allows(quiet)
    now = 5.9
    assert not pace.is_next_second([noisy, quiet])
    assert not pace.allows(noisy)
    now = 6.0
    assert pace.is_next_second([noisy, quiet])
    assert pace.allows(noisy)
    os.close(writing)


def test_all_together_write_no_more_than_the_log_bears() -> None:
    now = 1.0
    pace, late = Pace(lambda: now), ChildOutput(9, -1)
    pace.is_next_second([late])
    pace.count(b"x" * (ALL_BYTES_PER_SECOND_MAX - 1))
    assert pace.allows(late)
    pace.count(b"\n")
    assert not pace.allows(late)
    now = 2.0
    assert pace.is_next_second([late])
    assert pace.allows(late)
