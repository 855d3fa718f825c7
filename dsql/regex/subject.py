"""A text that is matched: its bytes, and what matching it has cost so far."""

from __future__ import annotations

from typing import Any

from dsql.errors import SqlError

# What one search may cost: Python does about a million steps a second, RE2 reads a thousand bytes in one.
_STEPS_MAX = 2_000_000
_BYTES_PER_STEP = 1000


class Subject:
    """A text in UTF-8. Engines know positions as byte offsets; `index` turns one into characters."""

    __slots__ = ("_at", "_index", "_spent", "_wide", "data", "facts", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.data = text.encode("utf-8", "surrogatepass")
        self.facts: dict[Any, Any] = {}  # what engines have found out about this text
        self._spent = 0
        self._wide = len(self.data) != len(text)
        self._at = self._index = 0  # an offset with its index, near which the next is looked for

    def restart(self) -> None:
        """Begin a search with its own bound."""
        self._spent = 0

    def charge(self, steps: int) -> None:
        """Count work. Raises SqlError 54001 when a search has had its share."""
        self._spent += steps
        if self._spent > _STEPS_MAX:
            raise SqlError("54001", "regular expression failed: too many steps")

    def charge_bytes(self, count: int) -> None:
        """Count a run of RE2."""
        self.charge(4 + count // _BYTES_PER_STEP)

    def index(self, offset: int) -> int:
        """Return the number of characters before a byte offset."""
        if not self._wide:
            return offset
        low, high = min(offset, self._at), max(offset, self._at)
        between = len(self.data[low:high].decode("utf-8", "surrogatepass"))
        self._index += between if offset >= self._at else -between
        self._at = offset
        return self._index

    def offset(self, index: int) -> int:
        """Return the byte offset of a character's index; past the end for one past the end."""
        if not self._wide:
            return index
        if index > len(self.text):
            return len(self.data) + 1
        return len(self.text[:index].encode("utf-8", "surrogatepass"))

    def after(self, offset: int) -> int:
        """Return the offset of the next character."""
        offset += 1
        while offset < len(self.data) and self.data[offset] & 0xC0 == 0x80:
            offset += 1
        return offset

    def is_boundary(self, offset: int) -> bool:
        """Return whether no character extends over an offset."""
        return not 0 <= offset < len(self.data) or self.data[offset] & 0xC0 != 0x80

    def code(self, offset: int) -> int:
        """Return the code point of the character at an offset; -1 outside."""
        if not 0 <= offset < len(self.data):
            return -1
        first = self.data[offset]
        if first < 0x80:
            return first
        return ord(self.data[offset : self.after(offset)].decode("utf-8", "surrogatepass"))
