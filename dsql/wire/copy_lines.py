"""Lines and rows of the COPY formats made of lines."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from dsql.errors import SqlError
from dsql.limits import WIRE_MESSAGE_BYTES_MAX
from dsql.wire.copy_options import CopyOptions

Row = list[bytes | None]

END_OF_DATA = b"\\."  # a line of its own; what follows is passed over

_SHOWN_CHARACTERS_MAX = 100  # PostgreSQL's MAX_COPY_DATA_DISPLAY


class LineReader:
    r"""Cuts chunks into lines, without their ends.

    The first line decides whether lines end in \n, \r\n or \r; `opaque` matches what may hold such
    characters as data. With `backslash_continues` a backslash before a line's end makes that end data
    (text format); csv rows are put together by their decoder.
    """

    def __init__(self, opaque: re.Pattern[bytes], *, backslash_continues: bool) -> None:
        self.number = 0
        self.end = b""
        self._opaque = opaque
        self._continues = backslash_continues
        self._rest = b""
        self._held = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the lines that `data` completes; `number` is that of the line just yielded."""
        return self._cut(self._rest + data, last=False)

    def finish(self) -> Iterator[bytes]:
        """Yield what is left, a last line without an end."""
        yield from self._cut(self._rest, last=True)
        line = self._held + self._rest
        if line:
            self._held = self._rest = b""
            self.number += 1
            yield line

    def look_ahead(self, data: bytes) -> list[bytes] | None:
        """Return the lines that `data` would complete, and the rest behind them.

        None unless the ends alone tell where they are: a backslash may change that.
        """
        if not self.end or self._held or b"\\" in data or b"\\" in self._rest:
            return None
        whole = self._rest + data
        return whole.split(self.end) if len(whole) <= WIRE_MESSAGE_BYTES_MAX else None

    def take(self, count: int, rest: bytes) -> None:
        """Go on behind `count` lines that `look_ahead` has shown."""
        self.number += count
        self._rest = rest

    def _cut(self, data: bytes, *, last: bool) -> Iterator[bytes]:
        if len(data) + len(self._held) > WIRE_MESSAGE_BYTES_MAX * 2:
            raise SqlError("54000", "COPY line is too long")
        if not self.end:
            shown = self._opaque.sub(lambda match: b"x" * len(match[0]), data)
            self.end = _detect_end(shown, last)
            if not self.end:
                self._rest = data
                return
        *lines, self._rest = data.split(self.end)
        for line in lines:
            self.number += 1
            if self._continues and line.endswith(b"\\") and _escapes_end(line):
                self._held += line + self.end
                continue
            if self._held:
                line = self._held + line
                self._held = b""
            yield line


def _detect_end(data: bytes, last: bool) -> bytes:
    """Return how the lines of `data` end, b"" as long as it cannot be known."""
    newline, carriage = data.find(b"\n"), data.find(b"\r")
    if carriage < 0 or 0 <= newline < carriage:
        return b"\n" if newline >= 0 else b""
    if carriage + 1 == len(data) and not last:
        return b""
    return b"\r\n" if data[carriage + 1 : carriage + 2] == b"\n" else b"\r"


def _escapes_end(line: bytes) -> bool:
    return (len(line) - len(line.rstrip(b"\\"))) % 2 == 1


class LineDecoder(ABC):
    """Turns the chunks of a COPY FROM into rows of field bytes, by way of lines."""

    def __init__(
        self, lines: LineReader, options: CopyOptions, table: str, columns: Sequence[str]
    ) -> None:
        self._lines = lines
        self._options = options
        self._table = table
        self._columns = columns
        self._header = options.header
        self._ended = False

    @property
    def line_number(self) -> int:
        """The line of the last row returned, from 1."""
        return self._lines.number

    def feed(self, data: bytes) -> list[Row]:
        """Take a chunk and return the rows it completes. Raises SqlError 22P04."""
        rows: list[Row] = []
        for line in self._lines.feed(data):
            self._take(line, rows)
        return rows

    def finish(self) -> list[Row]:
        """Return the row of a last line without an end, if there is one."""
        rows: list[Row] = []
        for line in self._lines.finish():
            self._take(line, rows)
        return rows

    @abstractmethod
    def _row(self, line: bytes) -> Row:
        """Return the fields of a row's text."""

    def _take(self, line: bytes, rows: list[Row]) -> None:
        if self._ended:
            return
        if line == END_OF_DATA:
            self._ended = True
            return
        row = self._row(line)
        if self._header == "off":
            if len(row) != len(self._columns):
                check_field_count(row, self._columns, self._context(line))
            rows.append(row)
            return
        if self._header == "match":
            check_header(row, self._columns, self._context(line))
        self._header = "off"

    def _context(self, line: bytes) -> LineContext:
        return LineContext(self._table, self._lines.number, line)


def check_field_count(
    row: Sequence[bytes | None], columns: Sequence[str], where: LineContext
) -> None:
    """Raise SqlError 22P04 unless the row has one field per column."""
    if len(row) == len(columns):
        return
    if len(row) > len(columns):
        raise where.error("extra data after last expected column")
    raise where.error(f'missing data for column "{columns[len(row)]}"')


def check_header(row: Sequence[bytes | None], columns: Sequence[str], where: LineContext) -> None:
    """Raise SqlError 22P04 unless the header line names the columns in order (HEADER MATCH)."""
    if len(row) != len(columns):
        raise where.error(
            f"wrong number of fields in header line: got {len(row)}, expected {len(columns)}"
        )
    for number, (field, name) in enumerate(zip(row, columns, strict=True), 1):
        if field is None:
            raise where.error(
                f"column name mismatch in header line field {number}: "
                f'got null value ("\\N"), expected "{name}"'
            )
        if field != name.encode():
            got = field.decode(errors="replace")
            raise where.error(
                f'column name mismatch in header line field {number}: got "{got}", expected "{name}"'
            )


class LineContext:
    """Where in a COPY an error happened, for its CONTEXT."""

    def __init__(self, table: str, number: int, line: bytes = b"") -> None:
        self._table = table
        self._number = number
        self._line = line

    def error(self, message: str) -> SqlError:
        """Return a bad-copy-file-format error (22P04) for this line."""
        return SqlError("22P04", message, where=str(self))

    def __str__(self) -> str:
        text = self._line.decode(errors="replace")
        if len(text) > _SHOWN_CHARACTERS_MAX:
            text = text[:_SHOWN_CHARACTERS_MAX] + "..."
        return f'COPY {self._table}, line {self._number}: "{text}"'
