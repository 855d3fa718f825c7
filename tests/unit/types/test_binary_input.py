"""Binary values that only a client out of order sends, in PostgreSQL's words."""

from __future__ import annotations

import struct

import pytest

import dsql.types.builtin  # noqa: F401  (the types must be known)
from dsql.errors import SqlError
from dsql.types import oids, registry


def refusal(type_oid: int, data: bytes) -> tuple[str, str]:
    with pytest.raises(SqlError) as caught:
        registry.get(type_oid).binary_decode(data)
    return caught.value.sqlstate, caught.value.message


def test_a_numeric_has_no_more_digits_than_postgresql_keeps() -> None:
    for sign in (0x0000, 0xC000):
        data = struct.pack("!HhHHh", 1, 0, sign, 65_535, 1)
        assert refusal(oids.NUMERIC, data) == (
            "22P03",
            'invalid scale in external "numeric" value',
        )


@pytest.mark.parametrize(
    ("count", "flags", "expected"),
    [
        (-1, 0, ("22P03", "invalid number of dimensions: -1")),
        (7, 0, ("54000", "number of array dimensions (7) exceeds the maximum allowed (6)")),
        (0, 2, ("22P03", "invalid array flags")),
    ],
)
def test_an_array_has_a_header_that_can_be(
    count: int, flags: int, expected: tuple[str, str]
) -> None:
    assert refusal(oids.INT4_ARRAY, struct.pack("!iiI", count, flags, oids.INT4)) == expected
