"""What an aggregate keeps of its input until the end, on the statement's account."""

from __future__ import annotations

from sys import getsizeof
from typing import Any

from dsql.functions.function import Context
from dsql.types.size import POINTER_BYTES, size_of

_SAMPLE_EVERY = 63  # odd: texts and their separators take turns
_LARGE_BYTES = 512  # values above it, and arrays, are counted one by one


class Gathered:
    """Values in the order in which they came; given back with the aggregate."""

    __slots__ = ("_held", "items")

    def __init__(self, context: Context) -> None:
        self.items: list[Any] = []
        self._held = context.memory.hold()

    def add(self, value: Any) -> None:
        """Keep a value. Raises SqlError 54000 or 53200 above the statement's limit."""
        items = self.items
        items.append(value)
        size = getsizeof(value)
        if size > _LARGE_BYTES or isinstance(value, list | tuple):
            self._held.add(size_of(value))
        elif not len(items) % _SAMPLE_EVERY:
            self._held.add(_SAMPLE_EVERY * (size + POINTER_BYTES))
