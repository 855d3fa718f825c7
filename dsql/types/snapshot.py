"""pg_snapshot and txid_snapshot, which are alike. A value is its text: `xmin:xmax:xip,xip,...`."""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

from dsql.errors import SqlError
from dsql.types.pg_type import define
from dsql.types.string import decode_utf8

_TEXT = re.compile(r"(\d{1,19}):(\d{1,19}):((?:\d{1,19}(?:,\d{1,19})*,?)?)", re.ASCII)
_ID_END = 1 << 63
_COUNT = struct.Struct("!i")
_ID = struct.Struct("!Q")


class Snapshot(NamedTuple):
    """Ids below xmin are over, those from xmax on not begun, and those of xip in progress."""

    xmin: int
    xmax: int
    xip: tuple[int, ...]

    def shows(self, identifier: int) -> bool:
        """Return whether a transaction was over when the snapshot was taken."""
        if identifier >= self.xmax:
            return False
        return identifier < self.xmin or identifier not in self.xip


def parse(value: str) -> Snapshot:
    """Return the parts of a value."""
    xmin, xmax, xip = value.split(":")
    return Snapshot(int(xmin), int(xmax), tuple(map(int, xip.split(","))) if xip else ())


def _checked(xmin: int, xmax: int, xip: list[int]) -> str | None:
    """Return the value, None if it makes no sense: what is in progress rises from xmin to below xmax."""
    if not 0 < xmin <= xmax < _ID_END:
        return None
    if xip != sorted(xip) or any(not xmin <= one < xmax for one in xip):
        return None
    return f"{xmin}:{xmax}:{','.join(map(str, dict.fromkeys(xip)))}"


def _decode(data: bytes) -> str:
    text = decode_utf8(data)
    found = _TEXT.fullmatch(text)
    value = None
    if found:
        xip = [int(part) for part in found[3].split(",") if part]
        value = _checked(int(found[1]), int(found[2]), xip)
    if value is None:
        raise SqlError("22P02", f'invalid input syntax for type pg_snapshot: "{text}"')
    return value


def _to_binary(value: str) -> bytes:
    xmin, xmax, xip = parse(value)
    return _COUNT.pack(len(xip)) + b"".join(map(_ID.pack, (xmin, xmax, *xip)))


def _from_binary(data: bytes) -> str:
    count = _COUNT.unpack_from(data)[0] if len(data) >= _COUNT.size else -1
    value = None
    if len(data) == _COUNT.size + (2 + count) * _ID.size:
        xmin, xmax, *xip = (one for (one,) in _ID.iter_unpack(data[_COUNT.size :]))
        value = _checked(xmin, xmax, xip)
    if value is None:
        raise SqlError("22P03", "invalid external pg_snapshot data")
    return value


for _name in ("pg_snapshot", "txid_snapshot"):
    define(
        _name,
        encode=str.encode,
        decode=_decode,
        binary_encode=_to_binary,
        binary_decode=_from_binary,
        text_template="{0}.encode()",
    )
