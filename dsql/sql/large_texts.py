"""libpg_query's work on large texts, so that whoever waits for it can be interrupted.

One call takes 0.25 s and more per MB and cannot be cut. So it is made in a thread (`dsql.call_thread`), of
which a process has one: the next large text waits for its turn behind one that was interrupted. What
libpg_query has made is turned into messages in pieces, because that keeps everything else waiting.
"""

from __future__ import annotations

import ctypes
import importlib
from typing import Any

from dsql.call_thread import CallThread

_native: Any = importlib.import_module("postgast.native").lib
_check_error: Any = importlib.import_module("postgast.errors").check_error
_grammar: Any = importlib.import_module("postgast.pg_query_pb2")

LARGE_CHARACTERS = 64 * 1024  # some 25 ms
# libpg_query survives 25,000 links of a chain in 8 MiB, and gets 8,000 at most (`dsql.sql.chains`).
_STACK_BYTES = 16 * 1024 * 1024
_PIECE_BYTES = 128 * 1024  # some 5 ms
_LENGTH_DELIMITED = 2
_FIXED_BYTES = {1: 8, 5: 4}


class Answer:
    """What a function of libpg_query made of a script; its memory goes back with the object."""

    __slots__ = ("_free", "struct")

    def __init__(self, struct: Any, free: Any) -> None:
        self.struct = struct
        self._free = free

    def __del__(self) -> None:
        self._free(self.struct)


thread: CallThread[Answer] = CallThread("parser", _STACK_BYTES)


def is_large(text: str) -> bool:
    """Return whether a text is to be given to the functions below."""
    return len(text) > LARGE_CHARACTERS


def parse(text: str) -> Any:
    """Return libpg_query's ParseResult of a large text. Raises PgQueryError, MemoryError, DecodeError."""
    answer = _answer(
        _native.pg_query_parse_protobuf, _native.pg_query_free_protobuf_parse_result, text
    )
    return _message(_grammar.ParseResult(), answer, answer.struct.parse_tree)


def check(text: str) -> None:
    """Raise what `parse` does, and leave the tree where it is."""
    _answer(_native.pg_query_parse_protobuf, _native.pg_query_free_protobuf_parse_result, text)


def scan(text: str) -> Any:
    """Return libpg_query's ScanResult of a large text. Raises PgQueryError, MemoryError."""
    answer = _answer(_native.pg_query_scan, _native.pg_query_free_scan_result, text)
    return _message(_grammar.ScanResult(), answer, answer.struct.pbuf)


def split(script: bytes) -> Answer:
    """Return where libpg_query's scanner sees the statements of a large script, or its error."""
    function, free = _native.pg_query_split_with_scanner, _native.pg_query_free_split_result
    return thread.answer(lambda: Answer(function(script), free))


def _answer(function: Any, free: Any, text: str) -> Answer:
    script = text.encode()
    answer = thread.answer(lambda: Answer(function(script), free))
    _check_error(answer.struct)
    return answer


def _message(message: Any, answer: Answer, buffer: Any) -> Any:
    """Return the message that was serialized into a buffer of an answer, which lives as long as this."""
    if buffer.len:
        content = (ctypes.c_char * buffer.len).from_address(buffer.data)
        merge(message, memoryview(content).cast("B"))
    del answer
    return message


def merge(message: Any, serialized: memoryview) -> None:
    """Merge serialized fields into a message as MergeFromString does, some `_PIECE_BYTES` in one step."""
    size = len(serialized)
    start = at = 0
    fields = message.DESCRIPTOR.fields_by_number
    while at < size and size > _PIECE_BYTES:
        key, body = _varint(serialized, at)
        end = _end(serialized, key, body)
        field = fields[key >> 3]
        if end - body > _PIECE_BYTES and field.message_type is not None:
            message.MergeFromString(bytes(serialized[start:at]))
            part = getattr(message, field.name)
            length, inner = _varint(serialized, body)
            merge(part.add() if field.is_repeated else part, serialized[inner : inner + length])
            start = end
        elif end - start > _PIECE_BYTES:
            message.MergeFromString(bytes(serialized[start:end]))
            start = end
        at = end
    message.MergeFromString(bytes(serialized[start:]))


def _end(serialized: memoryview, key: int, body: int) -> int:
    """Return where a field ends whose key has been read."""
    kind = key & 7
    if kind in _FIXED_BYTES:
        return body + _FIXED_BYTES[kind]
    value, end = _varint(serialized, body)
    return end + value if kind == _LENGTH_DELIMITED else end


def _varint(serialized: memoryview, at: int) -> tuple[int, int]:
    """Return a number of a variable length, and where it ends."""
    value = shift = 0
    while True:
        byte = serialized[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
