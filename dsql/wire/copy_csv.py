"""COPY's csv format, both ways, a chunk at a time.

A row may go over several lines if a line's end is quoted. Whether a line ends inside quotes shows from
the number of its quote characters (the usual case, where the escape is the quote itself), so that only
rows with quotes are looked at character by character. A quoted field is never NULL, an unquoted one
is if it equals the null string; FORCE NULL and FORCE NOT NULL change that per column.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dsql.wire.copy_lines import END_OF_DATA, LineDecoder, LineReader, Row
from dsql.wire.copy_options import CopyOptions


class CsvDecoder(LineDecoder):
    """Turns the chunks of a COPY FROM in csv format into rows of field bytes."""

    def __init__(self, options: CopyOptions, table: str, columns: Sequence[str]) -> None:
        quote, escape = re.escape(options.quote), re.escape(options.escape)
        inside = b"(?:" + escape + b"[" + quote + escape + b"]|[^" + quote + b"])*"
        quoted = re.compile(quote + inside + quote + b"?")
        lines = LineReader(quoted, backslash_continues=False)
        super().__init__(lines, options, table, columns)
        self._open: list[bytes] = []  # lines of a row whose last line ended inside quotes
        self._quoted = False
        self._force_null = _chosen(options.force_null, columns)
        self._force_not_null = _chosen(options.force_not_null, columns)

    def finish(self) -> list[Row]:
        """Return the row of a last line without an end, if there is one."""
        rows = super().finish()
        if self._open:
            raise self._context(self._joined()).error("unterminated CSV quoted field")
        return rows

    def _take(self, line: bytes, rows: list[Row]) -> None:
        if not self._ended and (self._open or line != END_OF_DATA):
            if self._ends_quoted(line):
                self._open.append(line)
                return
            if self._open:
                self._open.append(line)
                line = self._joined()
                self._open.clear()
        super()._take(line, rows)

    def _joined(self) -> bytes:
        return self._lines.end.join(self._open)

    def _ends_quoted(self, line: bytes) -> bool:
        quote, escape = self._options.quote, self._options.escape
        if quote == escape or escape not in line:
            self._quoted ^= line.count(quote) % 2 == 1
            return self._quoted
        escaped = False
        for position in range(len(line)):
            character = line[position : position + 1]
            if self._quoted and character == escape:
                escaped = not escaped
                continue
            if character == quote and not escaped:
                self._quoted = not self._quoted
            escaped = False
        return self._quoted

    def _row(self, line: bytes) -> Row:
        options = self._options
        if not self._columns and not line:
            return []
        if options.quote not in line:
            row: Row = [
                None if field == options.null else field for field in line.split(options.delimiter)
            ]
            quoted = None
        else:
            row, quoted = self._split_quoted(line)
        if self._force_null or self._force_not_null:
            self._force(row, quoted)
        return row

    def _force(self, row: Row, quoted: list[bool] | None) -> None:
        null = self._options.null
        for index, field in enumerate(row):
            if field is None and index in self._force_not_null:
                row[index] = null
            elif field == null and quoted and quoted[index] and index in self._force_null:
                row[index] = None

    def _split_quoted(self, line: bytes) -> tuple[Row, list[bool]]:
        row: Row = []
        quoted: list[bool] = []
        at = 0
        while True:
            field, saw_quote, at = self._field(line, at)
            row.append(None if field == self._options.null and not saw_quote else field)
            quoted.append(saw_quote)
            if at >= len(line):
                return row, quoted
            at += 1
            if at == len(line):
                row.append(None if self._options.null == b"" else b"")
                quoted.append(False)
                return row, quoted

    def _field(self, line: bytes, at: int) -> tuple[bytes, bool, int]:
        """Return one field, whether it has quotes, and where its delimiter or the end is."""
        delimiter, quote = self._options.delimiter, self._options.quote
        parts = []
        saw_quote = False
        while True:
            stop = line.find(delimiter, at)
            stop = len(line) if stop < 0 else stop
            opening = line.find(quote, at, stop)
            if opening < 0:
                parts.append(line[at:stop])
                return b"".join(parts), saw_quote, stop
            saw_quote = True
            parts.append(line[at:opening])
            part, at = self._inside_quotes(line, opening + 1)
            parts.append(part)

    def _inside_quotes(self, line: bytes, at: int) -> tuple[bytes, int]:
        quote, escape = self._options.quote, self._options.escape
        parts = []
        while True:
            closing = line.find(quote, at)
            escaping = closing if escape == quote else line.find(escape, at, closing)
            if escaping >= 0 and line[escaping + 1 : escaping + 2] in (quote, escape):
                parts += [line[at:escaping], line[escaping + 1 : escaping + 2]]
                at = escaping + 2
            elif 0 <= escaping < closing:
                parts.append(line[at : escaping + 1])
                at = escaping + 1
            elif closing >= 0:
                parts.append(line[at:closing])
                return b"".join(parts), closing + 1
            else:
                raise self._context(line).error("unterminated CSV quoted field")


def _chosen(names: tuple[str, ...] | None, columns: Sequence[str]) -> frozenset[int]:
    if names is None:
        return frozenset(range(len(columns)))
    return frozenset(index for index, column in enumerate(columns) if column in names)


class CsvEncoder:
    """Turns rows of field bytes into lines of the csv format."""

    def __init__(self, options: CopyOptions, columns: Sequence[str]) -> None:
        self._options = options
        self._columns = columns
        self._force_quote = _chosen(options.force_quote, columns)
        self._special = (options.delimiter, options.quote, b"\n", b"\r")

    def start(self) -> bytes:
        """Return what comes before the first row."""
        if self._options.header == "off":
            return b""
        names = [self._encode(name.encode(), False) for name in self._columns]
        return self._options.delimiter.join(names) + b"\n"

    def row(self, fields: Sequence[bytes | None]) -> bytes:
        """Return one line."""
        texts = [
            self._options.null if field is None else self._encode(field, index in self._force_quote)
            for index, field in enumerate(fields)
        ]
        return self._options.delimiter.join(texts) + b"\n"

    def finish(self) -> bytes:
        """Return what comes after the last row."""
        return b""

    def _encode(self, field: bytes, force: bool) -> bytes:
        needs_quotes = (
            force
            or field == self._options.null
            or (field == b"\\." and len(self._columns) == 1)
            or any(special in field for special in self._special)
        )
        if not needs_quotes:
            return field
        quote, escape = self._options.quote, self._options.escape
        if escape != quote:
            field = field.replace(escape, escape + escape)
        return quote + field.replace(quote, escape + quote) + quote
