"""Large values piece by piece.

An interrupt finds its place between two steps of Python. A step over 100 MB takes up to a second; one over
a piece takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import AnyStr, TypeVar

PIECE = 1 << 20  # characters or bytes; even, so that no pair of digits is torn

Value = TypeVar("Value", str, bytes)


def pieces(value: Value, size: int = 0) -> Iterator[Value]:
    """Yield the parts of a text or bytea in order, of `size` or `PIECE`."""
    size = size or PIECE
    return (value[start : start + size] for start in range(0, len(value), size))


def in_pieces(change: Callable[[str], str], text: str, start: str = "", end: str = "") -> str:
    """Return what `change`, which looks at one character at a time, makes of a text, between two others."""
    if len(text) <= PIECE:
        return start + change(text) + end
    return "".join([start, *map(change, pieces(text)), end])


def find(text: AnyStr, part: AnyStr) -> int:
    """Return what `text.find(part)` does."""
    step = _step(part)
    for start in range(0, len(text) + 1, step):
        at = text.find(part, start, start + step + len(part) - 1)
        if at >= 0:
            return at
    return -1


def replace(text: str, old: str, new: str) -> str:
    """Return what `text.replace(old, new)` does, if `old` is not empty."""
    if len(old) == 1:
        return in_pieces(lambda piece: piece.replace(old, new), text)
    done: list[str] = []
    start, step = 0, _step(old)
    while len(text) - start > step:
        # The end of what is behind the last one found may be the beginning of another one.
        *whole, rest = text[start : start + step].split(old)
        kept = min(len(rest), len(old) - 1)
        done.append(new.join([*whole, rest[: len(rest) - kept]]))
        start += step - kept
    done.append(text[start:].replace(old, new))
    return "".join(done)


def lstrip(text: AnyStr, characters: AnyStr) -> AnyStr:
    """Return what `text.lstrip(characters)` does."""
    for start in range(0, len(text), PIECE):
        piece = text[start : start + PIECE]
        if rest := piece.lstrip(characters):
            return text[start + len(piece) - len(rest) :]
    return text[:0]


def rstrip(text: AnyStr, characters: AnyStr) -> AnyStr:
    """Return what `text.rstrip(characters)` does."""
    for end in range(len(text), 0, -PIECE):
        start = max(end - PIECE, 0)
        if rest := text[start:end].rstrip(characters):
            return text[: start + len(rest)]
    return text[:0]


def _step(part: str | bytes) -> int:
    return max(PIECE, 4 * len(part))
