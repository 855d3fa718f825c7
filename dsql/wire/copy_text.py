r"""COPY's text format, both ways, a chunk at a time.

A line is a row, fields stand between delimiters, and a backslash starts an escape (`\t`, `\134`,
`\x5c`) or, with the null string, a NULL. Lines without a backslash, nearly all of them in practice,
are only split.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

from dsql.wire.copy_lines import LineDecoder, LineReader, Row
from dsql.wire.copy_options import CopyOptions

_LETTERS = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{1,2})|([0-7]{1,3})|(.)|$)", re.DOTALL)
_ESCAPED_CHARACTER = re.compile(rb"\\.", re.DOTALL)
_SPECIAL = re.compile(rb"[\x08\f\n\r\t\v\\]")
_ESCAPED = {letter: b"\\" + name for name, letter in _LETTERS.items()} | {b"\\": b"\\\\"}


class TextDecoder(LineDecoder):
    """Turns the chunks of a COPY FROM in text format into rows of field bytes."""

    def __init__(self, options: CopyOptions, table: str, columns: Sequence[str]) -> None:
        lines = LineReader(_ESCAPED_CHARACTER, backslash_continues=True)
        super().__init__(lines, options, table, columns)
        self._field = re.compile(
            rb"(?:[^\\" + re.escape(options.delimiter) + rb"]|\\.|\\$)*", re.DOTALL
        )

    def feed(self, data: bytes) -> list[Row]:
        """Take a chunk and return the rows it completes. Raises SqlError 22P04."""
        rows = self._plain_rows(data)
        return super().feed(data) if rows is None else rows

    def _plain_rows(self, data: bytes) -> list[Row] | None:
        """Do `feed` for a chunk without backslashes; None: nothing was taken, look at each line."""
        options, fields = self._options, len(self._columns)
        if self._ended or self._header != "off" or options.null != b"\\N" or not fields:
            return None
        lines = self._lines.look_ahead(data)
        if lines is None:
            return None
        rest = lines.pop()
        delimiter = options.delimiter
        rows = [line.split(delimiter) for line in lines]
        if rows and set(map(len, rows)) != {fields}:
            return None
        self._lines.take(len(rows), rest)
        return cast("list[Row]", rows)

    def _row(self, line: bytes) -> Row:
        null = self._options.null
        if not self._columns and not line:
            return []
        if b"\\" not in line:
            fields: list[bytes] = line.split(self._options.delimiter)
            if null == b"\\N":
                return list(fields)
        elif b"\\" + self._options.delimiter in line:
            fields = self._split_escaped(line)
        else:
            fields = line.split(self._options.delimiter)
        return [
            None if field == null else _unescape(field) if b"\\" in field else field
            for field in fields
        ]

    def _split_escaped(self, line: bytes) -> list[bytes]:
        fields, at = [], 0
        while True:
            match = self._field.match(line, at)
            assert match is not None
            fields.append(match[0])
            if match.end() == len(line):
                return fields
            at = match.end() + 1


def _unescape(field: bytes) -> bytes:
    return _ESCAPE.sub(_replacement, field)


def _replacement(match: re.Match[bytes]) -> bytes:
    hexadecimal, octal, character = match.groups()
    if hexadecimal:
        return bytes([int(hexadecimal, 16)])
    if octal:
        return bytes([int(octal, 8) & 0xFF])
    if character is None:
        return b"\\"
    return _LETTERS.get(character, character)


class TextEncoder:
    """Turns rows of field bytes into lines of the text format."""

    def __init__(self, options: CopyOptions, columns: Sequence[str]) -> None:
        self._delimiter = options.delimiter
        self._null = options.null
        self._columns = columns
        self._header = options.header != "off"
        self._special = re.compile(_SPECIAL.pattern[:-1] + re.escape(options.delimiter) + b"]")
        self._escaped = {options.delimiter: b"\\" + options.delimiter} | _ESCAPED

    def start(self) -> bytes:
        """Return what comes before the first row."""
        if not self._header:
            return b""
        return self.row([name.encode() for name in self._columns])

    def row(self, fields: Sequence[bytes | None]) -> bytes:
        """Return one line."""
        return self._delimiter.join([self._encode(field) for field in fields]) + b"\n"

    def finish(self) -> bytes:
        """Return what comes after the last row."""
        return b""

    def _encode(self, field: bytes | None) -> bytes:
        if field is None:
            return self._null
        return self._special.sub(lambda match: self._escaped[match[0]], field)
