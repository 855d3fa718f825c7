"""How large a value may become while a statement runs: asked before it is made, so that it never is.

PostgreSQL stops at 1 GB. A process here has less to spare, and a text is held several times on its way to
the client, so the limit is `MADE_VALUE_BYTES_MAX` of memory; a character outside ASCII counts four bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from sys import getsizeof
from typing import Any, AnyStr

from dsql.errors import SqlError
from dsql.limits import MADE_VALUE_BYTES_MAX

_WIDE_CHARACTER_BYTES = 4
SHORT = MADE_VALUE_BYTES_MAX // _WIDE_CHARACTER_BYTES  # characters that are never too many
_CHECKED_CHARACTERS = SHORT // 4  # between two looks at all parts of a text that is not short
_JOINED_PARTS = 65_536
POINTER_BYTES = 8
_MADE_ELEMENT_BYTES = 64  # a short text made for each element
_NESTED = (list, tuple)
ELEMENTS_MAX = MADE_VALUE_BYTES_MAX // 16


def check_size(length: int, *parts: str | bytes) -> None:
    """Raise SqlError 54000 if a text or bytea of so many characters of these parts is too large."""
    if length <= SHORT:
        return
    wide = any(isinstance(part, str) and not part.isascii() for part in parts)
    if wide or length > MADE_VALUE_BYTES_MAX:
        raise SqlError("54000", "requested length too large")


def size_of(value: Any) -> int:
    """Return the bytes of a value in memory, with those of the values inside it."""
    size = getsizeof(value)
    if isinstance(value, _NESTED):
        for item in value:
            size += size_of(item) if isinstance(item, _NESTED) else getsizeof(item)
    return size


def check_elements(count: int, item: Any = None) -> None:
    """Raise SqlError 54000 if an array of so many elements, each of them `item`, is too large."""
    size = len(item) if isinstance(item, str | bytes) else 0
    if count > ELEMENTS_MAX or count * max(size, POINTER_BYTES) > MADE_VALUE_BYTES_MAX:
        raise array_too_large()


def check_parts(count: int) -> None:
    """Raise SqlError 54000 if an array of so many texts, each made for it, is too large."""
    if count * _MADE_ELEMENT_BYTES > MADE_VALUE_BYTES_MAX:
        raise array_too_large()


def array_too_large() -> SqlError:
    """Return PostgreSQL's error of an array with too many elements."""
    return SqlError("54000", f"array size exceeds the maximum allowed ({ELEMENTS_MAX})")


def join_kept(empty: AnyStr, parts: list[AnyStr]) -> AnyStr:
    """Return the parts, all of which are there, in one. Raises SqlError 54000."""
    size = sum(map(len, parts))
    if size > SHORT:
        check_size(size, *parts)
    return empty.join(parts)


def join(separator: AnyStr, parts: Iterable[AnyStr]) -> AnyStr:
    """Return `separator.join(parts)`, whose parts are made one by one. Raises SqlError 54000."""
    kept: list[AnyStr] = []
    joined: list[AnyStr] = []  # so that no step joins or forgets millions of parts
    append, size, limit = kept.append, 0, SHORT
    for part in parts:
        append(part)
        size += len(part)
        if size > limit:
            check_size(size, *joined, *kept)
            limit = size + _CHECKED_CHARACTERS
        if len(kept) == _JOINED_PARTS:
            joined.append(separator.join(kept))
            size += len(separator) * _JOINED_PARTS
            kept.clear()
    size += len(separator) * len(kept)
    if size > SHORT:
        check_size(size, separator, *joined, *kept)
    if kept:
        joined.append(separator.join(kept))
    return separator.join(joined)
