"""COPY's binary format, both ways, a chunk at a time.

A signature, flags and a header extension; then rows, each a field count and per field a length (-1 for
NULL) and the type's binary format; then a field count of -1.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from dsql.errors import SqlError
from dsql.limits import WIRE_MESSAGE_BYTES_MAX
from dsql.wire.copy_lines import Row

SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_HAS_OIDS = 1 << 16
_CRITICAL_FLAGS = 0xFFFF0000
_read_int16 = struct.Struct("!h").unpack_from
_read_int32 = struct.Struct("!i").unpack_from
_pack_int32 = struct.Struct("!i").pack


class BinaryDecoder:
    """Turns the chunks of a COPY FROM in binary format into rows of field bytes."""

    def __init__(self, table: str, columns: Sequence[str]) -> None:
        self.line_number = 0
        self._table = table
        self._count = len(columns)
        self._rest = b""
        self._in_header = True
        self._ended = False

    def feed(self, data: bytes) -> list[Row]:
        """Take a chunk and return the rows it completes. Raises SqlError 22P04."""
        data = self._rest + data
        if self._ended:
            if data:
                raise self._error("received copy data after EOF marker")
            return []
        rows: list[Row] = []
        at = self._skip_header(data) if self._in_header else 0
        while not self._in_header and not self._ended:
            row, next_at = self._row(data, at)
            if next_at == at:
                break
            at = next_at
            if row is not None:
                self.line_number += 1
                rows.append(row)
        self._rest = data[at:]
        if len(self._rest) > WIRE_MESSAGE_BYTES_MAX * 2:
            raise SqlError("54000", "COPY row is too long")
        if self._ended and self._rest:
            raise self._error("received copy data after EOF marker")
        return rows

    def finish(self) -> list[Row]:
        """Check that the data is whole. PostgreSQL takes a missing end marker for the end."""
        if self._in_header:
            raise SqlError("22P04", "COPY file signature not recognized")
        if self._rest:
            raise self._error("unexpected EOF in COPY data")
        return []

    def _error(self, message: str) -> SqlError:
        where = f"COPY {self._table}, line {self.line_number + 1}"
        return SqlError("22P04", message, where=where)

    def _skip_header(self, data: bytes) -> int:
        if data[: len(SIGNATURE)] != SIGNATURE[: len(data)]:
            raise SqlError("22P04", "COPY file signature not recognized")
        start = len(SIGNATURE) + 8
        if len(data) < start:
            return 0
        (flags,) = struct.unpack_from("!I", data, len(SIGNATURE))
        if flags & _HAS_OIDS:
            raise SqlError("22P04", "invalid COPY file header (WITH OIDS)")
        if flags & _CRITICAL_FLAGS:
            raise SqlError("22P04", "unrecognized critical flags in COPY file header")
        extension: int = _read_int32(data, start - 4)[0]
        if extension < 0 or extension > WIRE_MESSAGE_BYTES_MAX:
            raise SqlError("22P04", "invalid COPY file header (missing length)")
        if len(data) < start + extension:
            return 0
        self._in_header = False
        return start + extension

    def _row(self, data: bytes, at: int) -> tuple[Row | None, int]:
        """Return the row at `at` and where the next one starts; `at` itself if it is not whole."""
        start = at
        if len(data) - at < 2:
            return None, start
        (count,) = _read_int16(data, at)
        at += 2
        if count == -1:
            self._ended = True
            return None, at
        if count != self._count:
            raise self._error(f"row field count is {count}, expected {self._count}")
        row: Row = []
        for _ in range(count):
            if len(data) - at < 4:
                return None, start
            (length,) = _read_int32(data, at)
            at += 4
            if length == -1:
                row.append(None)
                continue
            if length < 0:
                raise self._error("invalid field size")
            if len(data) - at < length:
                return None, start
            row.append(data[at : at + length])
            at += length
        return row, at


class BinaryEncoder:
    """Turns rows of field bytes into the binary format."""

    def start(self) -> bytes:
        """Return what comes before the first row."""
        return SIGNATURE + bytes(8)

    def row(self, fields: Sequence[bytes | None]) -> bytes:
        """Return one row."""
        parts = [len(fields).to_bytes(2, "big")]
        for field in fields:
            parts.append(_pack_int32(-1 if field is None else len(field)))
            if field:
                parts.append(field)
        return b"".join(parts)

    def finish(self) -> bytes:
        """Return what comes after the last row."""
        return b"\xff\xff"
