"""Large values piece by piece.

An interrupt finds its place between two steps of Python. A step over 100 MB takes up to a second; one over
a piece takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

PIECE = 1 << 20  # characters or bytes; even, so that no pair of digits is torn

Value = TypeVar("Value", str, bytes)


def pieces(value: Value, size: int = PIECE) -> Iterator[Value]:
    """Yield the parts of a text or bytea in order."""
    return (value[start : start + size] for start in range(0, len(value), size))


def in_pieces(change: Callable[[str], str], text: str) -> str:
    """Return what `change`, which looks at one character at a time, makes of a text."""
    if len(text) <= PIECE:
        return change(text)
    return "".join([change(piece) for piece in pieces(text)])
