"""bytea and uuid."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dsql.errors import SqlError
from dsql.types.binary_input import wrong_length
from dsql.types.pg_type import define
from dsql.types.pieces import PIECE, in_pieces, pieces
from dsql.types.size import check_size, join
from dsql.types.string import decode_utf8
from dsql.types.type import Encode, FormatSettings

_ESCAPE = re.compile(rb"\\(\\|[0-3][0-7]{2})")
_ESCAPED = re.compile(rb"(?:[^\\]+|\\\\|\\[0-3][0-7]{2})*")
_UUID = re.compile(r"[0-9a-fA-F]{4}(-?[0-9a-fA-F]{4}){7}")


def encode_bytea_hex(value: bytes) -> bytes:
    r"""Return "\x" and hexadecimal digits. Raises SqlError 54000."""
    check_size(2 * len(value))
    return b"".join([b"\\x", *(piece.hex().encode() for piece in pieces(value))])


def encode_bytea_escape(value: bytes) -> bytes:
    """Return printable ASCII as it is, other bytes as a backslash and three octal digits."""
    return join(
        b"",
        (
            b"\\\\" if byte == 0x5C else b"%c" % byte if 32 <= byte <= 126 else b"\\%03o" % byte
            for byte in value
        ),
    )


def decode_bytea(data: bytes) -> bytes:
    """Read either format. Raises SqlError 22023 (hex) or 22P02 (escape)."""
    if not data.startswith(b"\\x"):
        return b"".join(_unescaped(data))
    text = decode_utf8(data)[2:]
    return decode_hex(in_pieces(lambda piece: "".join(piece.split()), text))


def _unescaped(data: bytes) -> Iterator[bytes]:
    """Yield what parts of a text in the escape format spell. Raises SqlError 22P02."""
    start = 0
    while start < len(data):
        found = _ESCAPED.match(data, start, start + PIECE)
        if found is None or found.end() == start:
            raise SqlError("22P02", "invalid input syntax for type bytea")
        yield _ESCAPE.sub(_unescape, found.group())
        start = found.end()


def decode_hex(digits: str) -> bytes:
    """Return the bytes that hexadecimal digits spell. Raises SqlError 22023."""
    try:
        return b"".join([bytes.fromhex(piece) for piece in pieces(digits)])
    except ValueError:
        bad = next((char for char in digits if char not in "0123456789abcdefABCDEF"), "")
        if bad:
            raise SqlError("22023", f'invalid hexadecimal digit: "{bad}"') from None
        raise SqlError("22023", "invalid hexadecimal data: odd number of digits") from None


def _unescape(match: re.Match[bytes]) -> bytes:
    return b"\\" if match[1] == b"\\" else bytes([int(match[1], 8)])


def _bytea_encoder(settings: FormatSettings) -> Encode:
    return encode_bytea_escape if settings.bytea_output == "escape" else encode_bytea_hex


def format_uuid(value: bytes) -> bytes:
    """Return the lower-case text with four hyphens."""
    digits = value.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}".encode()


def decode_uuid(data: bytes) -> bytes:
    """Read a uuid: hyphens after any four digits, braces around it. Raises SqlError 22P02."""
    text = decode_utf8(data)
    bare = text[1:-1] if text[:1] == "{" and text[-1:] == "}" else text
    if not _UUID.fullmatch(bare):
        raise SqlError("22P02", f'invalid input syntax for type uuid: "{text}"')
    return bytes.fromhex(bare.replace("-", ""))


def _uuid_from_binary(data: bytes) -> bytes:
    if len(data) != 16:
        raise wrong_length(data, 16)
    return bytes(data)


define(
    "bytea",
    text_encoder=_bytea_encoder,
    decode=decode_bytea,
    binary_encode=bytes,
    binary_decode=bytes,
)
define(
    "uuid",
    encode=format_uuid,
    decode=decode_uuid,
    binary_encode=bytes,
    binary_decode=_uuid_from_binary,
    text_template="format_uuid({0})",
)
