from __future__ import annotations

from dsql.encoding import rowcode


def test_row_survives_encoding() -> None:
    row = [1, None, "é", b"\x00", True, 1.5, [1, [None, "x"]], -(2**63)]
    assert rowcode.decode_row(rowcode.encode_row(row)) == row


def test_first_byte_tells_the_format() -> None:
    firsts = {rowcode.encode_row([None] * count)[0] for count in (0, 15, 16, 256)}
    assert firsts <= {*range(0x90, 0xA0), 0xDC, 0xDD}
