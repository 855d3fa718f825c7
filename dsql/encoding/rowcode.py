"""Row values: a msgpack list of the row's columns, slot = column number - 1.

A list that is shorter than the table's columns ends in NULLs (columns added later). The first byte of a
msgpack list is 0x90..0x9f, 0xdc or 0xdd; any other first byte is free for a later format, so the
format is told apart without a byte of its own.
"""

from __future__ import annotations

from typing import Any

import msgspec

NAMES: dict[str, Any]

encode_row = msgspec.msgpack.Encoder().encode
_decode_any = msgspec.msgpack.Decoder().decode


def decode_row(value: bytes) -> list[Any]:
    """Return the columns of a row value.

    Generated code uses the decoder under the name `decode_row` of `NAMES`, without this call.
    """
    row: list[Any] = _decode_any(value)
    return row


NAMES = {"encode_row": encode_row, "decode_row": _decode_any}
