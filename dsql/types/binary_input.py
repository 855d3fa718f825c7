"""Binary input of the wrong length, in PostgreSQL's words."""

from __future__ import annotations

from dsql.errors import SqlError

INCORRECT_BINARY = "incorrect binary data format"


def wrong_length(data: bytes, size: int) -> SqlError:
    """Return the error of binary input that has not the `size` bytes it must have: 08P01, 22P03."""
    if not data and size == 1:
        return SqlError("08P01", "no data left in message")
    if len(data) < size:
        return SqlError("08P01", "insufficient data left in message")
    return SqlError("22P03", INCORRECT_BINARY)
