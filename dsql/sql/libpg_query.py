"""PostgreSQL's scanner and parser, called in the library libpg_query.

Errors become `SqlError`s with PostgreSQL's message, SQLSTATE and position.
"""

from __future__ import annotations

import hashlib
import importlib
import mmap
import string
from collections.abc import Callable
from typing import Any

from dsql.errors import SqlError, syntax_error
from dsql.sql import large_texts
from dsql.sql.depth import allow_deep_statements, stack_depth_error

# Imported by name because mypy cannot parse the stub of postgast's generated messages.
postgast: Any = importlib.import_module("postgast")
grammar: Any = importlib.import_module("postgast.pg_query_pb2")
_native: Any = importlib.import_module("postgast.native").lib
_message: Any = importlib.import_module("google._upb._message")
_check_error: Any = importlib.import_module("postgast.errors").check_error
_DecodeError: Any = importlib.import_module("google.protobuf.message").DecodeError

# Protobuf stops at 100 nested messages by default, which is an expression of 45 operators.
_message.SetAllowOversizeProtos(True)
allow_deep_statements()

# What libpg_query and its tree take at most was measured as 520 bytes for a character of `1+1+1...`; texts
# that are longer than for a tree of TREE_BYTES_MAX are rarely so dense.
_SMALL_CHARACTERS = 1_000
_TREE_BYTES_PER_CHARACTER = 600
_TREE_BYTES_MAX = 64 * 1024 * 1024
_SQLSTATE_BY_MESSAGE = (
    ("frame start", "42P20"),
    ("frame end", "42P20"),
    ("memory exhausted", "54001"),
    ("unsafe use of \\'", "22P06"),
    ("invalid byte sequence", "22021"),
    ("conversion specifier", "0A000"),
    ("LIMIT #,# syntax", "42601"),
    ("role name ", "42939"),
    ("CURRENT_ROLE cannot be used", "42939"),
    ("CURRENT_USER cannot be used", "42939"),
    ("SESSION_USER cannot be used", "42939"),
)


_DIGITS = string.ascii_lowercase + string.digits
_IDENTIFIER_LETTERS = 13  # 36 ** 13 > 2 ** 64

_UNICODE_ESCAPE = "invalid Unicode escape"


def _hint(*forms: str) -> str:
    return "Unicode escapes must be " + " or ".join(f"\\{form}" for form in forms) + "."


def scan(text: str) -> Any:
    """Return libpg_query's tokens of a text. Raises SqlError 42601 for one that cannot be cut."""
    _find_room(text)
    read = large_texts.scan if large_texts.is_large(text) else postgast.scan
    try:
        return read(text).tokens
    except postgast.PgQueryError as error:
        position = _error_position(text, error.cursorpos)
        if error.message == _UNICODE_ESCAPE:
            raise SqlError(
                "22025", error.message, hint=_hint("uXXXX", "UXXXXXXXX"), position=position
            ) from None
        raise _error(error.message, position) from None


def parse(text: str) -> Any:
    """Return libpg_query's tree of a script.

    Raises PostgreSQL's errors, SqlError 54001 for a tree that is deeper than a message may be, and
    MemoryError where there is no room.
    """
    return _checked(text, large_texts.parse if large_texts.is_large(text) else postgast.parse)


def query_identifier(text: str) -> str:
    """Return 13 letters and digits that statements have in common which differ in constants only.

    Large texts are not read again: theirs are those of the text.
    """
    if large_texts.is_large(text):
        number = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
    else:
        number = postgast.fingerprint(text).fingerprint
    letters = []
    for _ in range(_IDENTIFIER_LETTERS):
        number, digit = divmod(number, len(_DIGITS))
        letters.append(_DIGITS[digit])
    return "".join(letters)


def check_syntax(text: str) -> None:
    """Raise what `parse` does, but for trees too deep; the tree stays with libpg_query."""
    _checked(text, large_texts.check if large_texts.is_large(text) else _read_errors)


def _read_errors(text: str) -> None:
    result = _native.pg_query_parse_protobuf(text.encode())
    try:
        _check_error(result)
    finally:
        _native.pg_query_free_protobuf_parse_result(result)


def _checked(text: str, read: Callable[[str], Any]) -> Any:
    _find_room(text)
    try:
        return read(text)
    except postgast.PgQueryError as error:
        position = _error_position(text, error.cursorpos)
        if error.message == _UNICODE_ESCAPE:
            scan(text)  # has an error of its own for e'\u0'; U&'\0' is the parser's
            hint = _hint("XXXX", "+XXXXXX")
            raise SqlError("42601", error.message, hint=hint, position=position) from None
        raise _error(error.message, position) from None
    except (_DecodeError, RecursionError):  # the tree is deeper than a message may be
        raise stack_depth_error() from None


def _find_room(text: str) -> None:
    """Raise MemoryError if libpg_query might not get what it needs, and end the process."""
    if len(text) <= _SMALL_CHARACTERS:
        return
    size = min(len(text) * _TREE_BYTES_PER_CHARACTER, _TREE_BYTES_MAX)
    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except OSError:
        raise MemoryError from None


def _error(message: str, position: int) -> SqlError:
    for start, sqlstate in _SQLSTATE_BY_MESSAGE:
        if message.startswith(start):
            if sqlstate == "54001":
                return stack_depth_error()
            return SqlError(sqlstate, message, position=position)
    return syntax_error(message, position=position)


def _error_position(text: str, cursor: int) -> int:
    # Unlike node locations, the cursor of an error is counted in characters already, if the
    # text is valid in the library's encoding.
    return min(cursor, len(text) + 1)
